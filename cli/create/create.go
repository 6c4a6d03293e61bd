// Package create creates objects from files, or from a few arguments: skiff create.
package create

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"skiff/cli/applied"
	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/output"
	"skiff/cli/resource"
)

// manager is the field manager of created objects. It is kubectl's name, so that the server takes
// the two programs for one.
const manager = "kubectl-create"

// Command is skiff create.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "create", Usage: "Create a resource from a file or from stdin", ArgsUsage: "-f FILE",
		Flags: command.Flags(command.FileFlags("create"), command.ChartFlags(), command.SelectorFlag(), writeFlags(),
			&cli.StringFlag{Name: "raw", Usage: "send the file unchanged to this `PATH` on the server, and print its answer"},
			command.UnsupportedSwitch("edit", "edit the file, or create and then skiff edit"),
			command.UnsupportedSwitch("windows-line-endings", "files are read with either, and none is written")),
		Action: func(c *cli.Context) error {
			if len(command.Files(c).Names) == 0 {
				return withoutFile(c)
			}
			if c.IsSet("raw") {
				return raw(c, env)
			}
			m, err := newMaker(c, env)
			if err != nil {
				return err
			}
			return m.files(c.Context, resource.Query{Files: command.Files(c), Labels: c.String("selector")})
		},
		Subcommands: generators(env),
	},
		"skiff create -f kubia-rc.yaml",
		"cat pod.json | skiff create -f -",
		"skiff create namespace staging",
		"skiff create configmap app --from-literal=level=debug --from-file=settings.ini",
		"skiff create -f kubia-rc.yaml --dry-run=client -o yaml")
}

// raw sends one file unchanged.
func raw(c *cli.Context, env *command.Env) error {
	names := command.Files(c).Names
	if len(names) != 1 || c.Bool("recursive") || c.String("selector") != "" || c.String("output") != "" || c.IsSet("dry-run") {
		return errors.New("--raw goes with one file or - for standard input, and without -R, -l, -o and --dry-run")
	}
	in := env.In
	if names[0] != "-" {
		f, err := os.Open(names[0])
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	body, err := io.ReadAll(in)
	if err != nil {
		return fmt.Errorf("reading %s: %w", names[0], err)
	}
	cl, err := env.Connect(c)
	if err != nil {
		return err
	}
	answer, err := cl.SendRaw(c.Context, "POST", c.String("raw"), body)
	if err == nil {
		_, err = env.Out.Write(answer)
	}
	return err
}

func withoutFile(c *cli.Context) error {
	if c.Args().Present() {
		return fmt.Errorf("unknown command %q for \"skiff create\"\nSee 'skiff create --help' for usage.", c.Args().First())
	}
	return errors.New("must specify -f")
}

// writeFlags are the flags of all subcommands of create.
func writeFlags() []cli.Flag {
	return command.Flags(command.OutputFlags(command.ObjectFormats), command.DryRunFlag(), command.ValidateFlag(), command.ManagerFlag(manager),
		&cli.BoolFlag{Name: "save-config", Usage: "save the configuration in an annotation, for a later apply"})
}

// maker creates objects as the flags say.
type maker struct {
	env        *command.Env
	client     *client.Client
	finder     resource.Finder
	report     *output.Reporter
	dryRun     command.DryRun
	write      client.WriteOptions
	saveConfig bool
}

func newMaker(c *cli.Context, env *command.Env) (*maker, error) {
	m := &maker{env: env, saveConfig: c.Bool("save-config")}
	var err error
	if m.dryRun, err = env.ReadDryRun(c); err != nil {
		return nil, err
	}
	validation, err := command.Validation(c)
	if err != nil {
		return nil, err
	}
	if m.report, err = output.NewReporter(env.Out, output.Read(c), m.dryRun.Suffix()); err != nil {
		return nil, err
	}
	// Some kinds have a flag --user of their own.
	if m.client, err = env.Connect(command.Global(c)); err != nil {
		return nil, err
	}
	m.finder = resource.Finder{Client: m.client, In: env.In}
	m.write = client.WriteOptions{DryRun: m.dryRun == command.DryRunServer, Manager: c.String("field-manager"), Validation: validation}
	return m, nil
}

// files creates every object of the files, going on after one that fails.
func (m *maker) files(ctx context.Context, q resource.Query) error {
	targets, err := m.finder.Targets(ctx, q)
	errs := []error{err}
	for _, t := range targets {
		errs = append(errs, m.create(ctx, t))
	}
	if len(targets) == 0 && err == nil {
		return errors.New("no objects passed to create")
	}
	return command.Join(errs...)
}

func (m *maker) create(ctx context.Context, t resource.Target) error {
	if err := applied.Update(t.Value, m.saveConfig); err != nil {
		return command.SourceError("creating", t.Source, err)
	}
	made := t.Value
	if m.dryRun != command.DryRunClient {
		var err error
		if made, err = m.client.Create(ctx, t.Ref, t.Value, m.write); err != nil {
			return command.SourceError("creating", t.Source, err)
		}
	}
	return m.report.Report(made, "created")
}
