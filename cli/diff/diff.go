// Package diff shows what applying files would change: skiff diff.
package diff

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"skiff/cli/applied"
	"skiff/cli/apply"
	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/resource"
)

// Command is skiff diff.
func Command(env *command.Env) *cli.Command {
	c := command.New(cli.Command{
		Name: "diff", Usage: "Show how the live objects differ from what applying the files would make of them", ArgsUsage: "-f FILE",
		Description: "The server is asked, and changes nothing. The exit code is 1 if there are differences, and more if something failed.\n" +
			"$KUBECTL_EXTERNAL_DIFF, if set, is the program that compares, with its arguments; it gets two directories.",
		Flags: command.Flags(command.FileFlags("compare"), command.ChartFlags(), command.SelectorFlag(),
			&cli.BoolFlag{Name: "server-side", Usage: "compare with what server-side apply would make"},
			&cli.BoolFlag{Name: "force-conflicts", Usage: "with --server-side, take over fields that others own"},
			&cli.StringFlag{Name: "field-manager", Usage: "`NAME` of the field manager"},
			&cli.BoolFlag{Name: "show-managed-fields", Usage: "compare managedFields too"},
			&cli.IntFlag{Name: "concurrency", Value: 1, Hidden: true, Usage: "kubectl's; objects are asked for one after another"},
			command.UnsupportedSwitch("prune", "skiff down -f FILE says what it deletes"),
			command.UnsupportedValue("prune-allowlist", "it goes with --prune")),
		Action: func(c *cli.Context) error { return trouble(run(c, env)) },
	},
		"skiff diff -f kubia.yaml",
		"skiff diff -f manifests/ -R",
		"KUBECTL_EXTERNAL_DIFF='diff -y' skiff diff -f kubia.yaml")
	refuse := c.Before
	c.Before = func(c *cli.Context) error { return trouble(refuse(c)) }
	return c
}

// trouble makes errors end with more than 1, which stands for differences.
func trouble(err error) error {
	var exit command.Exit
	if err == nil || errors.As(err, &exit) {
		return err
	}
	message, code := command.Explain(err)
	if code == 130 {
		return err
	}
	return command.Verbatim{Message: message, Code: max(code, 2)}
}

func run(c *cli.Context, env *command.Env) error {
	switch {
	case c.Args().Present():
		return command.UsageErrorf("diff", "Unexpected args: %v", c.Args().Slice())
	case len(command.Files(c).Names) == 0:
		return errors.New("must specify one of -f and -k")
	case c.Bool("force-conflicts") && !c.Bool("server-side"):
		return errors.New("--force-conflicts only works with --server-side")
	}
	cl, err := env.Connect(c)
	if err != nil {
		return err
	}
	a := apply.NewApplier(cl, func(string, ...any) {})
	a.ServerSide = c.Bool("server-side")
	a.Write = client.WriteOptions{DryRun: true, Force: c.Bool("force-conflicts"), Manager: apply.Manager(c.String("field-manager"), a.ServerSide)}
	targets, err := resource.Finder{Client: cl, In: env.In}.Targets(c.Context, resource.Query{Files: command.Files(c), Labels: c.String("selector")})
	if err != nil {
		return err
	}
	var all []pair
	for _, t := range targets {
		p, err := compare(c.Context, a, t, c.Bool("show-managed-fields"))
		if err != nil {
			return err
		}
		all = append(all, p)
	}
	return show(c.Context, env, all)
}

// pair is an object before and after, as text; "" where there is none.
type pair struct{ name, live, merged string }

// compare asks what applying would make of an object.
func compare(ctx context.Context, a *apply.Applier, t resource.Target, managed bool) (pair, error) {
	live, err := a.Client.Get(ctx, t.Ref)
	if apierrors.IsNotFound(err) {
		live, err = nil, nil
	}
	if err != nil {
		return pair{}, command.SourceError("retrieving", t.Source, err)
	}
	merged, err := a.Result(ctx, t, live)
	if err != nil {
		return pair{}, err
	}
	for _, u := range []*unstructured.Unstructured{live, merged} {
		if u != nil && !managed {
			u.SetManagedFields(nil)
		}
	}
	if gvk := t.Mapping.GroupVersionKind; gvk.Group == "" && gvk.Kind == "Secret" {
		mask(live, merged)
	}
	p := pair{name: fileName(t)}
	if live != nil {
		if p.live, err = text(live); err != nil {
			return p, err
		}
	}
	p.merged, err = text(merged)
	return p, err
}

func text(u *unstructured.Unstructured) (string, error) {
	data, err := yaml.Marshal(u.Object)
	return string(data), err
}

// fileName is kubectl's name for an object's file.
func fileName(t resource.Target) string {
	gvk := t.Mapping.GroupVersionKind
	group := ""
	if gvk.Group != "" {
		group = gvk.Group + "."
	}
	return fmt.Sprintf("%s%s.%s.%s.%s", group, gvk.Version, gvk.Kind, t.Namespace, t.Name)
}

// mask hides what a secret holds, and leaves to be seen what changes.
func mask(live, merged *unstructured.Unstructured) {
	for _, u := range []*unstructured.Unstructured{live, merged} {
		if u != nil { // what was applied holds the same once more
			unstructured.RemoveNestedField(u.Object, "metadata", "annotations", applied.Annotation)
		}
	}
	before, after := data(live), data(merged)
	for key := range before {
		switch value, both := after[key]; {
		case !both:
			before[key] = "***"
		case value == before[key]:
			before[key], after[key] = "***", "***"
		default:
			before[key], after[key] = "*** (before)", "*** (after)"
		}
	}
	for key := range after {
		if _, both := before[key]; !both {
			after[key] = "***"
		}
	}
}

// data is what a secret holds, to be changed in place.
func data(u *unstructured.Unstructured) map[string]any {
	if u == nil {
		return nil
	}
	held, _ := u.Object["data"].(map[string]any)
	return held
}
