package apply

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"skiff/cli/applied"
	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/output"
	"skiff/cli/resource"
)

func lastApplied(env *command.Env) []*cli.Command {
	return []*cli.Command{
		command.New(cli.Command{
			Name: "view-last-applied", Usage: "Show the configuration that was applied last", ArgsUsage: "(TYPE [NAME | -l LABELS] | TYPE/NAME | -f FILE)",
			Flags: command.Flags(command.FileFlags("show"), command.SelectorFlag(),
				&cli.BoolFlag{Name: "all", Usage: "select all objects of the types in the namespace"},
				&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "yaml", Usage: "`FORMAT`: yaml or json"}),
			Action: func(c *cli.Context) error { return viewLast(c, env) },
		}, "skiff apply view-last-applied deployment/kubia", "skiff apply view-last-applied -f kubia.yaml -o json"),
		command.New(cli.Command{
			Name: "set-last-applied", Usage: "Record a file as the configuration that was applied last, and change nothing else", ArgsUsage: "-f FILE",
			Flags: command.Flags(command.FileFlags("record"), command.OutputFlags(command.ObjectFormats), command.DryRunFlag(),
				&cli.BoolFlag{Name: "create-annotation", Usage: "record it also where nothing is recorded yet"}),
			Action: func(c *cli.Context) error { return setLast(c, env) },
		}, "skiff apply set-last-applied -f kubia.yaml", "skiff apply set-last-applied -f kubia.yaml --create-annotation"),
	}
}

// viewLast prints what was applied last to each object. One to which nothing was is an error, and then
// nothing is printed.
func viewLast(c *cli.Context, env *command.Env) error {
	cl, err := env.Connect(c)
	if err != nil {
		return err
	}
	var texts [][]byte
	q := resource.Query{Args: c.Args().Slice(), Files: command.Files(c), Labels: c.String("selector"), All: c.Bool("all"), Lists: true}
	err = resource.Finder{Client: cl, In: env.In}.Find(c.Context, q, func(o resource.Object) error {
		text := applied.Original(o.Value)
		if text == nil {
			return fmt.Errorf("no last-applied-configuration annotation found on resource: %s", o.Name)
		}
		texts = append(texts, text)
		return nil
	})
	if err != nil {
		return err
	}
	for _, text := range texts {
		if err := printLast(env, c.String("output"), text); err != nil {
			return err
		}
	}
	return nil
}

func printLast(env *command.Env, format string, text []byte) error {
	var out []byte
	var err error
	switch format {
	case "json":
		var buf bytes.Buffer
		err = json.Indent(&buf, text, "", "  ")
		out = buf.Bytes()
	case "yaml":
		out, err = yaml.JSONToYAML(text)
	default:
		return command.UsageErrorf("apply view-last-applied", "Unexpected -o output mode: %s, the flag 'output' must be one of yaml|json", format)
	}
	if err != nil {
		return fmt.Errorf("reading the last applied configuration: %w", err)
	}
	_, err = env.Out.Write(out)
	return err
}

// setLast records what the files hold. All objects are looked at before the first is changed.
func setLast(c *cli.Context, env *command.Env) error {
	if len(command.Files(c).Names) == 0 {
		return errors.New("must specify -f")
	}
	dryRun, err := env.ReadDryRun(c)
	if err != nil {
		return err
	}
	report, err := output.NewReporter(env.Out, output.Read(c), dryRun.Suffix())
	if err != nil {
		return err
	}
	cl, err := env.Connect(c)
	if err != nil {
		return err
	}
	targets, err := resource.Finder{Client: cl, In: env.In}.Targets(c.Context, resource.Query{Files: command.Files(c)})
	if err != nil {
		return err
	}
	var changes []recorded
	for _, t := range targets {
		r, err := record(c.Context, cl, t, c.Bool("create-annotation"))
		switch {
		case err != nil:
			return err
		case r.patch == nil:
			fmt.Fprintf(env.Out, "set-last-applied %s: no changes required.\n", t.Name)
		default:
			changes = append(changes, r)
		}
	}
	for _, r := range changes {
		if dryRun != command.DryRunClient {
			if r.object, err = cl.Patch(c.Context, r.Ref, types.MergePatchType, r.patch, client.WriteOptions{DryRun: dryRun == command.DryRunServer}); err != nil {
				return err
			}
		}
		if err := report.Report(r.object, "configured"); err != nil {
			return err
		}
	}
	return nil
}

// recorded is an object, and the patch that records a configuration; nil if it is there already.
type recorded struct {
	client.Ref
	object *unstructured.Unstructured
	patch  []byte
}

func record(ctx context.Context, cl *client.Client, t resource.Target, create bool) (recorded, error) {
	r := recorded{Ref: t.Ref}
	var err error
	r.object, err = cl.Get(ctx, t.Ref)
	if apierrors.IsNotFound(err) {
		return r, err
	}
	if err != nil {
		return r, command.SourceError(retrieving(t), t.Source, err)
	}
	if !applied.Has(r.object) && !create {
		return r, fmt.Errorf("no last-applied-configuration annotation found on resource: %s, to create the annotation, run the command with --create-annotation", t.Name)
	}
	if err := applied.Set(t.Value); err != nil {
		return r, err
	}
	text := applied.Original(t.Value)
	if bytes.Equal(bytes.TrimSpace(text), bytes.TrimSpace(applied.Original(r.object))) {
		return r, nil
	}
	r.patch, err = json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{applied.Annotation: string(text)}}})
	return r, err
}
