// Package why says what is wrong with an object, or with all of an application, and what to do about it:
// skiff why.
package why

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/yaml"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/compose"
	"skiff/cli/diagnosis"
	"skiff/cli/pods"
	"skiff/cli/resource"
)

// Command is skiff why.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "why", Usage: "Say what is wrong, why, what happens next and what to do", ArgsUsage: "[NAME | TYPE/NAME | TYPE [NAME]…]",
		Description: "Without arguments it looks at everything in the namespace and at the nodes, and says \"nothing is wrong\" if so. The exit code is 0\n" +
			"whenever the question could be answered. It asks any cluster, and changes nothing.",
		Flags: command.Flags(command.AllNamespacesFlag(),
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`FORMAT` of the output: json or yaml"},
			&cli.IntFlag{Name: "tail", Value: 5, Usage: "how many `LINES` of the log of a container that failed are shown"}),
		Action: func(c *cli.Context) error { return run(c, env) },
	},
		"skiff why                       # everything that is wrong here",
		"skiff why pod/web-6d5f8-x2x4f",
		"skiff why deployment/web service/web",
		"skiff why -A -o json")
}

// asker makes reports, of scenes that it asks for once a namespace.
type asker struct {
	client *client.Client
	env    *command.Env
	tail   int
	scenes map[string]*diagnosis.Scene
}

func run(c *cli.Context, env *command.Env) error {
	format := c.String("output")
	if format != "" && format != "json" && format != "yaml" {
		return command.UsageErrorf("why", "--output must be json or yaml, not %q", format)
	}
	cl, err := compose.Connect(c, env)
	if err != nil {
		return err
	}
	a := &asker{client: cl, env: env, tail: c.Int("tail"), scenes: map[string]*diagnosis.Scene{}}
	var reports []diagnosis.Report
	if c.Args().Present() {
		reports, err = a.about(c.Context, c.Args().Slice(), c.Bool("all-namespaces"))
	} else {
		reports, err = a.everything(c.Context, c.Bool("all-namespaces"))
	}
	for i := range reports {
		a.readLogs(c.Context, &reports[i])
	}
	if err != nil && len(reports) == 0 {
		return err
	}
	return command.Join(a.print(format, reports, c), err)
}

// scene is what is known of a namespace.
func (a *asker) scene(ctx context.Context, namespace string) (*diagnosis.Scene, error) {
	if s, ok := a.scenes[namespace]; ok {
		return s, nil
	}
	s, err := diagnosis.Load(ctx, a.client, namespace, a.env.Now())
	if err == nil {
		a.scenes[namespace] = s
	}
	return s, err
}

// about reports on the objects that a person named. Those that are found are reported on beside an error
// about the others.
func (a *asker) about(ctx context.Context, args []string, everywhere bool) ([]diagnosis.Report, error) {
	var out []diagnosis.Report
	add := func(o resource.Object) error {
		namespace := o.Namespace
		if !o.Namespaced() {
			namespace = a.client.Namespace
		}
		s, err := a.scene(ctx, namespace)
		if err != nil {
			return err
		}
		r, err := s.Of(o.Value, o.Mapping.Resource.Resource)
		out = append(out, r)
		return err
	}
	if a.types(args[0]) {
		err := resource.Finder{Client: a.client}.Find(ctx, resource.Query{Args: args, Lists: true, AllNamespaces: everywhere}, add)
		return out, err
	}
	var errs []error
	for _, arg := range args {
		o, err := a.named(ctx, arg)
		if err == nil {
			err = add(o)
		}
		errs = append(errs, err)
	}
	return out, command.Join(errs...)
}

// types reports whether an argument is TYPE/NAME or a type, rather than a name alone.
func (a *asker) types(arg string) bool {
	if strings.Contains(arg, "/") {
		return true
	}
	catalog, err := a.client.Catalog()
	if err != nil {
		return false
	}
	_, err = catalog.Resource(strings.Split(arg, ",")[0])
	return err == nil || len(catalog.Category(arg)) > 0
}

// beside are the kinds among which a bare name is looked for when no pod and no workload has it.
var beside = []string{"services", "persistentvolumeclaims", "cronjobs", "ingresses", "nodes"}

// named finds what a name alone stands for.
func (a *asker) named(ctx context.Context, name string) (resource.Object, error) {
	o, err := pods.Named(ctx, a.client, name)
	for _, kind := range beside {
		if !apierrors.IsNotFound(err) {
			break
		}
		var found []resource.Object
		_ = resource.Finder{Client: a.client}.Find(ctx, resource.Query{Args: []string{kind + "/" + name}}, func(o resource.Object) error {
			found = append(found, o)
			return nil
		}) // that there is none of this kind is what the next one is for
		if len(found) == 1 {
			return found[0], nil
		}
	}
	if apierrors.IsNotFound(err) {
		return o, fmt.Errorf("there is no pod, workload, service, claim, cron job, ingress or node named %s in namespace %s; name another kind as TYPE/NAME", name, a.client.Namespace)
	}
	return o, err
}

// everything reports on all that is wrong.
func (a *asker) everything(ctx context.Context, everywhere bool) ([]diagnosis.Report, error) {
	namespaces := []string{a.client.Namespace}
	if everywhere {
		var err error
		if namespaces, err = a.namespaces(ctx); err != nil {
			return nil, err
		}
	}
	var out []diagnosis.Report
	for _, namespace := range namespaces {
		s, err := a.scene(ctx, namespace)
		if err != nil {
			return out, err
		}
		for _, r := range s.Wrong() {
			if !slices.ContainsFunc(out, func(had diagnosis.Report) bool { return had.Object == r.Object && had.Namespace == r.Namespace }) {
				out = append(out, r)
			}
		}
	}
	return out, nil
}

func (a *asker) namespaces(ctx context.Context) ([]string, error) {
	var names []string
	err := resource.Finder{Client: a.client}.Find(ctx, resource.Query{Args: []string{"namespaces"}, Lists: true}, func(o resource.Object) error {
		names = append(names, o.Name)
		return nil
	})
	return names, err
}

// readLogs reads the ends of the logs that reports name.
func (a *asker) readLogs(ctx context.Context, r *diagnosis.Report) {
	if r.Log != nil && a.tail > 0 {
		r.Log.Read(ctx, a.client, r.Namespace, a.tail)
	}
	for i := range r.Below {
		a.readLogs(ctx, &r.Below[i])
	}
}

func (a *asker) print(format string, reports []diagnosis.Report, c *cli.Context) error {
	switch format {
	case "json", "yaml":
		data, err := json.MarshalIndent(map[string]any{"reports": slices.Concat([]diagnosis.Report{}, reports)}, "", "    ")
		if err == nil && format == "yaml" {
			data, err = yaml.JSONToYAML(data)
		}
		if err == nil {
			_, err = fmt.Fprintln(a.env.Out, strings.TrimSuffix(string(data), "\n"))
		}
		return err
	}
	if len(reports) == 0 && !c.Args().Present() {
		where := "in namespace " + a.client.Namespace
		if c.Bool("all-namespaces") {
			where = "in any namespace"
		}
		_, err := fmt.Fprintf(a.env.Out, "nothing is wrong %s\n", where)
		return err
	}
	if len(reports) == 0 {
		fmt.Fprintln(a.env.Err, "No resources found")
		return nil
	}
	p := diagnosis.Printer{Out: a.env.Out, Style: a.env.Terminal.Style(a.env.Out)}
	if a.env.Terminal.Out {
		p.Width = a.env.Terminal.Width(0)
	}
	for i := range reports {
		if i > 0 {
			fmt.Fprintln(a.env.Out)
		}
		if c.Bool("all-namespaces") && reports[i].Namespace != "" {
			fmt.Fprintf(a.env.Out, "namespace %s: ", reports[i].Namespace)
		}
		p.Print(&reports[i])
	}
	return nil
}
