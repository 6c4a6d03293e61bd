// Package export prints what runs as manifests that another cluster can apply: skiff export.
package export

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"skiff/cli/applyset"
	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/compose"
	"skiff/cli/output"
	"skiff/cli/resource"
)

// Command is skiff export.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "export", Usage: "Print what there is as manifests for kubectl apply, on this cluster or another", ArgsUsage: "[TYPE[,TYPE…] | TYPE/NAME…]",
		Description: "Everything of the namespace is printed, or of a project, or of all namespaces but the system's: what somebody has made, and not what\n" +
			"controllers make of it. What servers fill in is left out: status, addresses, versions, and defaults as far as the object's managed fields\n" +
			"tell who has set what.",
		Flags: command.Flags(command.SelectorFlag(), command.AllNamespacesFlag(),
			&cli.StringFlag{Name: "project", Aliases: []string{"p"}, Usage: "the objects that skiff up recorded under this `NAME`"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "yaml", Usage: "`FORMAT` of the output: yaml or json"},
			&cli.BoolFlag{Name: "no-secrets", Usage: "leave Secrets out"}),
		Action: func(c *cli.Context) error { return run(c, env) },
	},
		"skiff export > app.yaml                            # everything in the namespace",
		"skiff export -p shop | kubectl --context prod apply -f -",
		"skiff export deploy,svc -l app=kubia --no-secrets")
}

func run(c *cli.Context, env *command.Env) error {
	format, project := c.String("output"), c.String("project")
	switch {
	case format != "yaml" && format != "json":
		return fmt.Errorf("--output is yaml or json, not %q", format)
	case project != "" && c.Args().Present():
		return fmt.Errorf("--project names all objects to export: leave out %q", c.Args().First())
	case project != "" && c.String("selector") != "":
		return fmt.Errorf("--project names all objects to export: leave out --selector")
	case project != "" && c.Bool("all-namespaces"):
		return fmt.Errorf("--project and --all-namespaces exclude one another")
	}
	cl, err := compose.Connect(c, env)
	if err != nil {
		return err
	}
	e := &exporter{client: cl, labels: c.String("selector"), secrets: !c.Bool("no-secrets"), where: "the namespace " + cl.Namespace}
	if c.Bool("all-namespaces") {
		e.where = "any namespace"
	}
	switch {
	case project != "":
		err = e.project(c.Context, project)
	case c.Args().Present():
		err = e.named(c.Context, c.Args().Slice(), c.Bool("all-namespaces"))
	case c.Bool("all-namespaces"):
		err = e.everywhere(c.Context)
	default:
		err = e.namespace(c.Context)
	}
	if err != nil {
		return err
	}
	return e.print(env, format)
}

// exporter gathers objects, cleaned.
type exporter struct {
	client  *client.Client
	labels  string
	secrets bool
	// where is what is looked through, in words.
	where string

	objects []unstructured.Unstructured
	// shown counts the Secrets among the objects, hidden those that were left out.
	shown, hidden int
}

// project gathers the objects of a recorded set, which is in the namespace of its name, as that of a
// compose file is, or in the present one.
func (e *exporter) project(ctx context.Context, name string) error {
	present := e.client.Namespace
	composed := compose.ObjectName(name)
	for _, place := range []struct{ namespace, name string }{{composed, composed}, {present, name}} {
		if place.name == "" {
			continue
		}
		e.client.Namespace = place.namespace
		set, err := applyset.Open(ctx, e.client, "applyset-"+place.name)
		if err != nil {
			return err
		}
		if !set.Exists {
			continue
		}
		members, err := set.Members(ctx)
		if err != nil {
			return err
		}
		for _, m := range members {
			e.add(m.Value)
		}
		return e.withNamespaces(ctx)
	}
	return fmt.Errorf("no project %q is recorded in the namespace %s or in one of its own name: skiff up -p %s records one", name, present, name)
}

// named gathers what arguments name. What is named itself is printed whoever owns it.
func (e *exporter) named(ctx context.Context, args []string, all bool) error {
	finder := resource.Finder{Client: e.client}
	return finder.Find(ctx, resource.Query{Args: args, Labels: e.labels, AllNamespaces: all, Lists: true, Chunk: 500}, func(o resource.Object) error {
		if !o.Bulk || made(o.Value) {
			e.add(o.Value)
		}
		return nil
	})
}

// namespace gathers everything in a namespace.
func (e *exporter) namespace(ctx context.Context) error {
	if err := e.lists(ctx, e.client.Namespace, true); err != nil {
		return err
	}
	return e.withNamespaces(ctx)
}

// everywhere gathers everything in all namespaces, and what is in none.
func (e *exporter) everywhere(ctx context.Context) error {
	if err := e.lists(ctx, "", false); err != nil {
		return err
	}
	return e.lists(ctx, "", true)
}

// lists gathers the objects of all kinds that live in namespaces, or of all that do not.
func (e *exporter) lists(ctx context.Context, namespace string, namespaced bool) error {
	catalog, err := e.client.Catalog()
	if err != nil {
		return err
	}
	for _, r := range exportable(catalog) {
		if r.Namespaced != namespaced {
			continue
		}
		mapping, err := catalog.Kind(r.GroupVersionKind)
		if err != nil {
			return err
		}
		ref := client.Ref{Mapping: mapping, Namespace: namespace}
		items, _, err := e.client.List(ctx, ref, client.ListOptions{Labels: e.labels, Chunk: 500})
		if apierrors.IsMethodNotSupported(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("listing %s: %w", ref, err)
		}
		for i := range items {
			if made(&items[i]) {
				e.add(&items[i])
			}
		}
	}
	return nil
}

// withNamespaces adds the namespaces that the objects are in, so that they can be applied where there
// are none yet.
func (e *exporter) withNamespaces(ctx context.Context) error {
	catalog, err := e.client.Catalog()
	if err != nil {
		return err
	}
	mapping, err := catalog.Kind(schema.GroupVersionKind{Version: "v1", Kind: "Namespace"})
	if err != nil {
		return err
	}
	seen := map[string]bool{"": true, "default": true}
	for _, o := range slices.Clone(e.objects) {
		name := o.GetNamespace()
		if seen[name] {
			continue
		}
		seen[name] = true
		value, err := e.client.Get(ctx, client.Ref{Mapping: mapping, Name: name})
		switch {
		case apierrors.IsForbidden(err): // of those who may do what they like in it, and no more
			value = &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name}}}
		case err != nil:
			return fmt.Errorf("reading the namespace %s: %w", name, err)
		}
		if made(value) {
			e.add(value)
		}
	}
	return nil
}

// add takes an object up unless it is there already.
func (e *exporter) add(o *unstructured.Unstructured) {
	if o.GroupVersionKind().GroupKind() == (schema.GroupKind{Kind: "Secret"}) {
		if !e.secrets {
			e.hidden++
			return
		}
		e.shown++
	}
	e.objects = append(e.objects, *clean(o))
}

func (e *exporter) print(env *command.Env, format string) error {
	slices.SortStableFunc(e.objects, compare)
	e.objects = slices.CompactFunc(e.objects, func(a, b unstructured.Unstructured) bool { return compare(a, b) == 0 })
	if len(e.objects) == 0 {
		fmt.Fprintf(env.Err, "Nothing to export in %s.\n", e.where)
		return nil
	}
	switch {
	case e.shown > 0:
		fmt.Fprintf(env.Err, "Warning: %s in it, readable by all who have the output: --no-secrets leaves them out\n", secrets(e.shown))
	case e.hidden > 0:
		fmt.Fprintf(env.Err, "Warning: %s left out: make them on the other cluster before the rest is applied\n", secrets(e.hidden))
	}
	if format == "json" {
		p, err := output.New(output.Options{Format: "json"})
		if err != nil {
			return err
		}
		return p.PrintObj(&unstructured.UnstructuredList{Object: map[string]any{"kind": "List", "apiVersion": "v1"}, Items: e.objects}, env.Out)
	}
	var documents []string
	for _, o := range e.objects {
		text, err := yaml.Marshal(o.Object)
		if err != nil {
			return fmt.Errorf("printing %s %s: %w", o.GetKind(), o.GetName(), err)
		}
		documents = append(documents, string(text))
	}
	_, err := fmt.Fprint(env.Out, strings.Join(documents, "---\n"))
	return err
}

func secrets(n int) string {
	if n == 1 {
		return "1 Secret is"
	}
	return fmt.Sprintf("%d Secrets are", n)
}
