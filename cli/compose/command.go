package compose

import (
	"context"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"skiff/cli/command"
	"skiff/cli/resource"
)

// Flags are those of commands that read compose files, beside -f and -p.
func Flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "profile", Usage: "enable the services of a `PROFILE` of the compose file; may be repeated"},
		&cli.StringSliceFlag{Name: "env-file", Usage: "`FILE` with variables for the compose file, in place of .env; may be repeated"},
	}
}

// Read reads compose files as a command's flags say, and converts them. files are those named by the
// user; without any the folder's are found. Remarks go to standard error, with those about other clusters if
// the objects may go to one.
func Read(ctx context.Context, c *cli.Context, env *command.Env, files []string) (*Application, error) {
	return read(ctx, c, env, files, !env.OwnCluster(c))
}

func read(ctx context.Context, c *cli.Context, env *command.Env, files []string, anywhere bool) (*Application, error) {
	s := Source{Files: files, Name: c.String("project"), Profiles: c.StringSlice("profile"), EnvFiles: c.StringSlice("env-file"), Environ: env.Variables()}
	p, remarks, err := s.Load(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range remarks {
		fmt.Fprintln(env.Err, "Warning:", r)
	}
	app, err := Convert(p, command.GivenNamespace(c))
	if anywhere {
		app.Remarks = append(app.Remarks, app.Elsewhere...)
	}
	for _, r := range app.Remarks {
		fmt.Fprintln(env.Err, "Warning:", r)
	}
	return app, err
}

// Command is skiff convert.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "convert", Usage: "Print a compose file, a Helm chart or a kustomization as Kubernetes manifests", ArgsUsage: "[-f FILE…]",
		Description: "Without -f the compose file of this folder is read, with its override file, as docker compose finds them. skiff up takes compose files as\n" +
			"they are: convert is for those who want to go on with manifests. What has no counterpart is named on standard error, and refused where the\n" +
			"application would be another one without it. Charts and kustomizations are printed as skiff up applies them, hooks in their order.",
		Flags: command.Flags(
			&cli.StringSliceFlag{Name: "filename", Aliases: []string{"f"}, Usage: "compose `FILE`, or Helm chart; several compose files are merged in their order"},
			&cli.StringFlag{Name: "kustomize", Aliases: []string{"k"}, Usage: "`DIRECTORY` of a kustomization; instead of -f"},
			command.ChartFlags(),
			&cli.StringFlag{Name: "project", Aliases: []string{"p"}, Usage: "`NAME` of the project, and of the namespace (default: that in the file, or the folder's)"},
			Flags()),
		Action: func(c *cli.Context) error { return convert(c, env) },
	},
		"skiff convert > app.yaml",
		"skiff convert -f compose.yaml -f compose.prod.yaml --profile debug",
		"skiff convert -f ./chart --values staging.yaml > staging.yaml")
}

func convert(c *cli.Context, env *command.Env) error {
	if c.Args().Present() {
		return fmt.Errorf("unexpected argument %q: compose files are named with -f", c.Args().First())
	}
	f := command.Files(c)
	if f.Build = true; f.Rendered() {
		return convertOthers(c, env, f)
	}
	app, err := read(c.Context, c, env, f.Names, true)
	if err != nil {
		return err
	}
	var objects []*unstructured.Unstructured
	for _, o := range app.Objects {
		objects = append(objects, o.Unstructured)
	}
	if err := printAll(env.Out, objects); err != nil {
		return err
	}
	for _, b := range app.Builds {
		fmt.Fprintf(env.Err, "Warning: %s: the image %s of %s must be built: skiff up does it, or docker build -t %s %s\n", b.Where, b.Image, b.Service, b.Image, short(b.Context))
	}
	return nil
}

// convertOthers prints what charts and kustomizations make.
func convertOthers(c *cli.Context, env *command.Env, f resource.Files) error {
	all, err := resource.Reader{In: env.In, Namespace: c.String("namespace")}.Read(c.Context, f)
	if err != nil {
		return err
	}
	var objects []*unstructured.Unstructured
	for _, m := range all {
		objects = append(objects, m.Object)
	}
	return printAll(env.Out, objects)
}

// printAll prints objects as a YAML stream.
func printAll(out io.Writer, objects []*unstructured.Unstructured) error {
	for i, o := range objects {
		text, err := yaml.Marshal(o.Object)
		if err != nil {
			return fmt.Errorf("printing %s %s: %w", o.GetKind(), o.GetName(), err)
		}
		if i > 0 {
			fmt.Fprintln(out, "---")
		}
		fmt.Fprintf(out, "%s", text)
	}
	return nil
}
