// Package patch changes some fields of objects.
package patch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/output"
	"skiff/cli/resource"
)

// Command is skiff patch.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "patch", Usage: "Update fields of a resource", ArgsUsage: "(-f FILE | TYPE NAME) (-p PATCH | --patch-file FILE)",
		Flags: command.Flags(command.FileFlags("patch"), command.OutputFlags(command.ObjectFormats), command.DryRunFlag(), command.ManagerFlag("kubectl-patch"),
			&cli.StringFlag{Name: "patch", Aliases: []string{"p"}, Usage: "`PATCH` in JSON or YAML"},
			&cli.StringFlag{Name: "patch-file", Usage: "`FILE` with the patch"},
			&cli.StringFlag{Name: "type", Value: "strategic", Usage: "`TYPE` of the patch: json, merge, strategic"},
			&cli.StringFlag{Name: "subresource", Usage: "patch this `SUBRESOURCE`: status, scale or resize"}),
		Action: func(c *cli.Context) error { return run(c, env) },
	},
		`skiff patch rc kubia -p '{"spec":{"replicas":2}}'`,
		`skiff patch pod kubia --type=json -p '[{"op":"replace","path":"/spec/containers/0/image","value":"kubia:2"}]'`,
		`skiff patch pod kubia --subresource=resize -p '{"spec":{"containers":[{"name":"kubia","resources":{"limits":{"cpu":"500m"}}}]}}'`)
}

func run(c *cli.Context, env *command.Env) error {
	kind, data, err := read(c)
	if err != nil {
		return err
	}
	dryRun, err := env.ReadDryRun(c)
	if err != nil {
		return err
	}
	if dryRun == command.DryRunClient {
		return errors.New("--dry-run=client is not supported for patch (did you mean --dry-run=server?)")
	}
	report, err := output.NewReporter(env.Out, output.Read(c), dryRun.Suffix())
	if err != nil {
		return err
	}
	cl, err := env.Connect(c)
	if err != nil {
		return err
	}
	write := client.WriteOptions{DryRun: dryRun == command.DryRunServer, Manager: c.String("field-manager")}
	targets, err := resource.Finder{Client: cl, In: env.In}.Targets(c.Context, resource.Query{Args: c.Args().Slice(), Files: command.Files(c)})
	errs := []error{err}
	if err == nil && len(targets) == 0 {
		return errors.New("no objects passed to patch")
	}
	for _, t := range targets {
		t.Subresource = c.String("subresource")
		errs = append(errs, one(c.Context, cl, t, kind, data, write, report))
	}
	return command.Join(errs...)
}

func read(c *cli.Context) (types.PatchType, []byte, error) {
	text, file := c.String("patch"), c.String("patch-file")
	switch {
	case text != "" && file != "":
		return "", nil, errors.New("cannot specify --patch and --patch-file together")
	case text == "" && file == "":
		return "", nil, errors.New("must specify --patch or --patch-file containing the contents of the patch")
	}
	kinds := map[string]types.PatchType{"json": types.JSONPatchType, "merge": types.MergePatchType, "strategic": types.StrategicMergePatchType}
	kind, ok := kinds[strings.ToLower(c.String("type"))]
	if !ok {
		return "", nil, fmt.Errorf("--type must be one of [json merge strategic], not %q", c.String("type"))
	}
	data := []byte(text)
	if file != "" {
		var err error
		if data, err = os.ReadFile(file); err != nil {
			return "", nil, fmt.Errorf("unable to read patch file: %w", err)
		}
	}
	data, err := yaml.YAMLToJSON(data)
	if err != nil {
		return "", nil, fmt.Errorf("unable to parse %q: %w", text, err)
	}
	return kind, data, nil
}

// one patches an object, and sees from its version whether anything changed.
func one(ctx context.Context, cl *client.Client, t resource.Target, kind types.PatchType, data []byte, write client.WriteOptions, report *output.Reporter) error {
	before, err := cl.Get(ctx, t.Ref)
	if err != nil {
		return err
	}
	after, err := cl.Patch(ctx, t.Ref, kind, data, write)
	if err != nil {
		return err
	}
	what := "patched"
	if before.GetResourceVersion() == after.GetResourceVersion() && !write.DryRun {
		what = "patched (no change)"
	}
	return report.Report(after, what)
}
