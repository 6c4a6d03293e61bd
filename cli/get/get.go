// Package get lists objects: as the table the server makes, or in one of -o's forms, once or as
// they change.
package get

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/output"
	"skiff/cli/resource"
)

// options are the flags of get.
type options struct {
	query       resource.Query
	output      output.Options
	sortBy      string
	noHeaders   bool
	showKind    bool
	showLabels  bool
	labels      []string
	ignore      bool
	watch       bool
	watchOnly   bool
	watchEvents bool
	subresource string
}

// getter is one run of get.
type getter struct {
	options
	env    *command.Env
	client *client.Client
	finder resource.Finder
}

// Command is skiff get.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "get", Usage: "Display one or many resources", ArgsUsage: "(TYPE[,TYPE…] [NAME…] | TYPE/NAME… | -f FILE)",
		Flags: command.Flags(
			command.FileFlags("get"), command.SelectorFlag(), command.FieldSelectorFlag(), command.AllNamespacesFlag(), command.ChunkFlag(),
			command.OutputFlags("wide, "+command.ObjectFormats+", custom-columns=…, custom-columns-file=…"),
			&cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, Usage: "after listing, watch for changes"},
			&cli.BoolFlag{Name: "watch-only", Usage: "watch for changes only, without listing first"},
			&cli.BoolFlag{Name: "output-watch-events", Usage: "with --watch, say what each change was: ADDED, MODIFIED, DELETED"},
			&cli.BoolFlag{Name: "show-labels", Usage: "show all labels in the last column"},
			&cli.StringSliceFlag{Name: "label-columns", Aliases: []string{"L"}, Usage: "show these `LABELS` as columns, joined by commas"},
			&cli.StringFlag{Name: "sort-by", Usage: "sort by the field at this JSON`PATH`, as .metadata.creationTimestamp"},
			&cli.BoolFlag{Name: "no-headers", Usage: "do not print headers"},
			&cli.BoolFlag{Name: "show-kind", Usage: "prefix each name with its kind"},
			&cli.BoolFlag{Name: "ignore-not-found", Usage: "succeed even if an object does not exist"},
			&cli.StringFlag{Name: "subresource", Usage: "get this `SUBRESOURCE`: status, scale or resize"},
			&cli.BoolFlag{Name: "server-print", Value: true, Usage: "let the server make the table; =false is not supported"},
			&cli.StringFlag{Name: "raw", Usage: "request this `PATH` from the server and print its answer unchanged"},
		),
		Action: func(c *cli.Context) error { return run(c, env) },
	},
		"skiff get pods                                   # pods of the namespace",
		"skiff get pods -o wide --show-labels -l app=kubia",
		"skiff get rc,rs,po -A                            # several types, in all namespaces",
		"skiff get pod kubia-dssvz -o yaml",
		"skiff get pods -o jsonpath='{.items[*].status.podIP}'",
		"skiff get pods -w                                # and go on as they change")
}

func readOptions(c *cli.Context) options {
	return options{
		query: resource.Query{Args: c.Args().Slice(), Files: command.Files(c), Labels: c.String("selector"), Fields: c.String("field-selector"),
			AllNamespaces: c.Bool("all-namespaces"), Lists: true, Chunk: c.Int64("chunk-size")},
		output: output.Read(c), sortBy: c.String("sort-by"), noHeaders: c.Bool("no-headers"), showKind: c.Bool("show-kind"),
		showLabels: c.Bool("show-labels"), labels: command.List(c, "label-columns"), ignore: c.Bool("ignore-not-found"),
		watch: c.Bool("watch") || c.Bool("watch-only"), watchOnly: c.Bool("watch-only"), watchEvents: c.Bool("output-watch-events"),
		subresource: c.String("subresource"),
	}
}

func run(c *cli.Context, env *command.Env) error {
	o := readOptions(c)
	if err := o.check(); err != nil && !c.IsSet("raw") {
		return err
	}
	if !c.Bool("server-print") {
		return errors.New("--server-print=false is not supported: choose columns of your own with -o custom-columns=…")
	}
	cl, err := env.Connect(c)
	if err != nil {
		return err
	}
	g := &getter{options: o, env: env, client: cl, finder: resource.Finder{Client: cl, In: env.In}}
	switch {
	case c.IsSet("raw"):
		return g.raw(c.Context, c.String("raw"))
	case o.watch:
		return g.follow(c.Context)
	case o.human():
		return g.table(c.Context)
	}
	return g.objects(c.Context)
}

// human reports whether a table is to be printed rather than objects.
func (o options) human() bool { return o.output.Format == "" || o.output.Format == "wide" }

func (o options) check() error {
	if len(o.query.Args) == 0 && len(o.query.Names) == 0 {
		return command.Verbatim{Message: "You must specify the type of resource to get. Use \"skiff api-resources\" for a complete list of supported resources.\n\n" +
			command.UsageErrorf("get", "error: Required resource not specified.\nUse \"skiff explain <resource>\" for a detailed description of that resource (e.g. skiff explain pods).").Error()}
	}
	if o.showLabels && !o.human() {
		return fmt.Errorf("--show-labels option cannot be used with %s printer", o.output.Format)
	}
	if o.watchEvents && !o.watch {
		return errors.New("--output-watch-events option can only be used with --watch or --watch-only")
	}
	return nil
}

func (g *getter) raw(ctx context.Context, path string) error {
	data, err := g.client.Raw(ctx, path)
	if err != nil {
		return err
	}
	_, err = g.env.Out.Write(data)
	return err
}

// table prints the server's tables, one for each type.
func (g *getter) table(ctx context.Context) error {
	targets, err := g.targets(ctx)
	errs := []error{err}
	tables := newTables(g.env.Out, g.options, severalTypes(targets))
	for _, t := range targets {
		err := g.fetch(ctx, t, tables)
		if g.ignore && apierrors.IsNotFound(err) {
			err = nil
		}
		errs = append(errs, err)
	}
	if err := tables.flush(); err != nil {
		return err
	}
	err = command.Join(errs...)
	if tables.rows == 0 && !g.ignore && err == nil {
		fmt.Fprintln(g.env.Err, nothing(targets, g.query.AllNamespaces, g.client.Namespace))
	}
	return err
}

// nothing says that nothing was found, and where.
func nothing(targets []resource.Target, all bool, namespace string) string {
	namespaced := !all
	for _, t := range targets {
		namespaced = namespaced && t.Namespaced()
	}
	if namespaced {
		return fmt.Sprintf("No resources found in %s namespace.", namespace)
	}
	return "No resources found"
}

func (g *getter) targets(ctx context.Context) ([]resource.Target, error) {
	targets, err := g.finder.Targets(ctx, g.query)
	for i := range targets {
		if g.subresource == "" {
			continue
		}
		if targets[i].Name == "" {
			return nil, errors.New("subresource cannot be used when bulk resources are specified")
		}
		targets[i].Subresource = g.subresource
	}
	return targets, err
}

// severalTypes reports whether names need their kind in front to be told apart.
func severalTypes(targets []resource.Target) bool {
	for _, t := range targets {
		if t.Mapping.GroupVersionKind != targets[0].Mapping.GroupVersionKind {
			return true
		}
	}
	return false
}

// sameTable is whether two targets share a table.
func sameTable(a, b *meta.RESTMapping) bool { return a != nil && a.Resource == b.Resource }

// pathOf checks --sort-by before anything is fetched.
func (o options) sortPath() (string, error) {
	if o.sortBy == "" {
		return "", nil
	}
	return output.RelaxPath(strings.TrimSpace(o.sortBy))
}
