package output

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/client-go/util/jsonpath"
)

// Columns prints objects as a table whose columns are JSONPath expressions (-o custom-columns).
type Columns struct {
	headers   []string
	paths     []*jsonpath.JSONPath
	noHeaders bool
	printed   bool
}

// ColumnsFromSpec reads NAME:.metadata.name,IMAGE:.spec.containers[0].image.
func ColumnsFromSpec(spec string, noHeaders bool) (*Columns, error) {
	if spec == "" {
		return nil, errors.New("custom-columns format specified but no custom columns given")
	}
	var headers, paths []string
	for _, part := range strings.Split(spec, ",") {
		header, path, ok := strings.Cut(part, ":")
		if !ok {
			return nil, fmt.Errorf("unexpected custom-columns spec: %s, expected <header>:<json-path-expr>", part)
		}
		headers, paths = append(headers, header), append(paths, path)
	}
	return newColumns(headers, paths, noHeaders)
}

// columnsFromFile reads two lines: headers, and below them the paths.
func columnsFromFile(name string, noHeaders bool) (*Columns, error) {
	if name == "" {
		return nil, errors.New("custom-columns-file format specified but no file given")
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("error reading template %s, %w", name, err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	var rows [][]string
	for len(rows) < 2 && lines.Scan() {
		rows = append(rows, strings.Fields(lines.Text()))
	}
	if len(rows) < 2 {
		return nil, errors.New("invalid template: expected one line of space separated headers and one line of space separated column specs")
	}
	if len(rows[0]) != len(rows[1]) {
		return nil, fmt.Errorf("number of headers (%d) and field specifications (%d) don't match", len(rows[0]), len(rows[1]))
	}
	return newColumns(rows[0], rows[1], noHeaders)
}

func newColumns(headers, paths []string, noHeaders bool) (*Columns, error) {
	c := &Columns{headers: headers, noHeaders: noHeaders}
	for i, p := range paths {
		parsed, err := ParsePath(fmt.Sprintf("column%d", i), p)
		if err != nil {
			return nil, err
		}
		c.paths = append(c.paths, parsed)
	}
	return c, nil
}

var relaxed = regexp.MustCompile(`^\{\.?([^{}]+)\}$|^\.?([^{}]+)$`)

// RelaxPath turns metadata.name, .metadata.name and {metadata.name} into {.metadata.name}.
func RelaxPath(path string) (string, error) {
	m := relaxed.FindStringSubmatch(path)
	if m == nil {
		return "", errors.New("unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{name1.name2}' or '{.name1.name2}'")
	}
	return "{." + m[1] + m[2] + "}", nil
}

// ParsePath parses a relaxed JSONPath; fields that are missing are no error.
func ParsePath(name, path string) (*jsonpath.JSONPath, error) {
	full := path
	if path != "" {
		var err error
		if full, err = RelaxPath(path); err != nil {
			return nil, err
		}
	}
	p := jsonpath.New(name).AllowMissingKeys(true)
	return p, p.Parse(full)
}

// PrintObj prints one object, or those of a list, as rows; the headers once.
func (c *Columns) PrintObj(obj runtime.Object, out io.Writer) error {
	w := printers.GetNewTabWriter(out)
	if !c.noHeaders && !c.printed {
		fmt.Fprintln(w, strings.Join(c.headers, "\t"))
		c.printed = true
	}
	objects := []runtime.Object{obj}
	if meta.IsListType(obj) {
		var err error
		if objects, err = meta.ExtractList(obj); err != nil {
			return err
		}
	}
	for _, o := range objects {
		if err := c.row(o, w); err != nil {
			return err
		}
	}
	return w.Flush()
}

func (c *Columns) row(obj runtime.Object, w io.Writer) error {
	content, err := contentOf(obj)
	if err != nil {
		return err
	}
	cells := make([]string, len(c.paths))
	for i, p := range c.paths {
		results, err := p.FindResults(content)
		if err != nil {
			return err
		}
		cells[i] = cell(results)
	}
	_, err = fmt.Fprintln(w, strings.Join(cells, "\t"))
	return err
}

func cell(results [][]reflect.Value) string {
	var values []string
	for _, r := range results {
		for _, v := range r {
			values = append(values, printers.EscapeTerminal(fmt.Sprint(v.Interface())))
		}
	}
	if len(results) == 0 || len(results[0]) == 0 {
		return "<none>"
	}
	return strings.Join(values, ",")
}

// contentOf is what paths are looked up in; for a watch event its type and its object.
func contentOf(obj runtime.Object) (map[string]any, error) {
	if e, ok := obj.(*metav1.WatchEvent); ok {
		inner, err := contentOf(e.Object.Object)
		return map[string]any{"type": e.Type, "object": inner}, err
	}
	if u, ok := obj.(runtime.Unstructured); ok {
		return u.UnstructuredContent(), nil
	}
	return runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
}
