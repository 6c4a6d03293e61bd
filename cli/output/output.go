// Package output prints objects in the formats of -o: YAML, JSON, names, JSONPath and custom
// columns.
package output

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"
)

// Options are what the flags beside -o say.
type Options struct {
	// Format is the value of -o.
	Format string
	// Template is --template, or the file of it.
	Template          string
	ShowManagedFields bool
	AllowMissingKeys  bool
	NoHeaders         bool
}

// Read reads the flags of command.OutputFlags, and --no-headers where there is one.
func Read(c *cli.Context) Options {
	return Options{Format: c.String("output"), Template: c.String("template"), ShowManagedFields: c.Bool("show-managed-fields"),
		AllowMissingKeys: c.Bool("allow-missing-keys"), NoHeaders: c.Bool("no-headers")}
}

const formats = "custom-columns,custom-columns-file,json,jsonpath,jsonpath-as-json,jsonpath-file,name,yaml"

// New returns the printer for o.Format, which must not be "" nor "wide".
func New(o Options) (printers.ResourcePrinter, error) {
	kind, rest, _ := strings.Cut(o.Format, "=")
	switch kind {
	case "yaml":
		return o.object(&printers.YAMLPrinter{}), nil
	case "json":
		return o.object(&printers.JSONPrinter{}), nil
	case "name":
		return &printers.NamePrinter{ShortOutput: true}, nil
	case "jsonpath", "jsonpath-file", "jsonpath-as-json":
		return o.jsonPath(kind, rest)
	case "custom-columns":
		return ColumnsFromSpec(rest, o.NoHeaders)
	case "custom-columns-file":
		return columnsFromFile(rest, o.NoHeaders)
	case "go-template", "go-template-file", "template", "templatefile":
		return nil, fmt.Errorf("output format %q is not supported: use -o jsonpath=… or -o custom-columns=…", kind)
	}
	return nil, fmt.Errorf("unable to match a printer suitable for the output format %q, allowed formats are: %s", o.Format, formats)
}

// object hides managedFields unless they were asked for.
func (o Options) object(p printers.ResourcePrinter) printers.ResourcePrinter {
	if o.ShowManagedFields {
		return p
	}
	return &printers.OmitManagedFieldsPrinter{Delegate: p}
}

func (o Options) jsonPath(kind, expression string) (printers.ResourcePrinter, error) {
	if expression == "" {
		expression = o.Template
	}
	if expression == "" {
		return nil, fmt.Errorf("template format specified but no template given")
	}
	if kind == "jsonpath-file" {
		data, err := os.ReadFile(expression)
		if err != nil {
			return nil, fmt.Errorf("error reading --template %s, %w", expression, err)
		}
		expression = string(data)
	}
	p, err := printers.NewJSONPathPrinter(expression)
	if err != nil {
		return nil, fmt.Errorf("error parsing jsonpath %s, %w", expression, err)
	}
	p.AllowMissingKeys(o.AllowMissingKeys)
	if kind == "jsonpath-as-json" {
		p.EnableJSONOutput(true)
	}
	return p, nil
}

// Reporter reports what was done to an object: by a line such as "pod/kubia created", or by the
// object itself where -o asks for it.
type Reporter struct {
	out     io.Writer
	suffix  string
	printer printers.ResourcePrinter
}

// NewReporter makes a reporter. suffix follows what was done, as " (dry run)".
func NewReporter(out io.Writer, o Options, suffix string) (*Reporter, error) {
	r := &Reporter{out: out, suffix: suffix}
	if o.Format == "" {
		return r, nil
	}
	var err error
	r.printer, err = New(o)
	return r, err
}

// Report prints obj, to which operation ("created", "labeled") was done.
func (r *Reporter) Report(obj runtime.Object, operation string) error {
	p := r.printer
	if p == nil {
		p = &printers.NamePrinter{Operation: operation + r.suffix}
	}
	return p.PrintObj(obj, r.out)
}

// Prints reports whether objects themselves are printed, rather than a line about each.
func (r *Reporter) Prints() bool { return r.printer != nil }
