// Package replace replaces whole objects with those in files: skiff replace.
package replace

import (
	"context"
	"errors"

	"github.com/urfave/cli/v2"

	"skiff/cli/applied"
	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/delete"
	"skiff/cli/output"
	"skiff/cli/resource"
)

const manager = "kubectl-replace"

// Command is skiff replace.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "replace", Usage: "Replace a resource by file name or stdin", ArgsUsage: "-f FILE",
		Flags: command.Flags(command.FileFlags("replace"), command.ChartFlags(), delete.Flags(), command.OutputFlags(command.ObjectFormats), command.DryRunFlag(), command.ValidateFlag(), command.ManagerFlag(manager),
			&cli.BoolFlag{Name: "save-config", Usage: "save the configuration in an annotation, for a later apply"},
			&cli.StringFlag{Name: "subresource", Usage: "replace this `SUBRESOURCE`: status, scale or resize"}),
		Action: func(c *cli.Context) error { return run(c, env) },
	},
		"skiff replace -f pod.yaml",
		"skiff get pod kubia -o yaml | sed 's/:v1/:v2/' | skiff replace -f -",
		"skiff replace --force -f pod.yaml   # delete it and make it anew")
}

type replacer struct {
	client      *client.Client
	report      *output.Reporter
	deleter     *delete.Deleter
	dryRun      command.DryRun
	write       client.WriteOptions
	saveConfig  bool
	force       bool
	subresource string
}

func run(c *cli.Context, env *command.Env) error {
	r, err := newReplacer(c, env)
	if err != nil {
		return err
	}
	f := resource.Finder{Client: r.client, In: env.In}
	targets, err := f.Targets(c.Context, resource.Query{Files: command.Files(c)})
	if err == nil && len(targets) == 0 {
		return errors.New("no objects passed to replace")
	}
	if r.force {
		if err != nil {
			return err
		}
		return r.anew(c.Context, targets)
	}
	errs := []error{err}
	for _, t := range targets {
		errs = append(errs, r.overwrite(c.Context, t))
	}
	return command.Join(errs...)
}

func newReplacer(c *cli.Context, env *command.Env) (*replacer, error) {
	r := &replacer{saveConfig: c.Bool("save-config"), force: c.Bool("force"), subresource: c.String("subresource")}
	var err error
	if r.dryRun, err = env.ReadDryRun(c); err != nil {
		return nil, err
	}
	if err := check(c, r); err != nil {
		return nil, err
	}
	validation, err := command.Validation(c)
	if err != nil {
		return nil, err
	}
	r.write = client.WriteOptions{DryRun: r.dryRun == command.DryRunServer, Manager: c.String("field-manager"), Validation: validation}
	if r.report, err = output.NewReporter(env.Out, output.Read(c), r.dryRun.Suffix()); err != nil {
		return nil, err
	}
	if r.client, err = env.Connect(c); err != nil {
		return nil, err
	}
	if r.force {
		if r.deleter, err = delete.Read(c, env); err != nil {
			return nil, err
		}
		r.deleter.Client, r.deleter.IgnoreNotFound, r.deleter.Wait = r.client, true, true
	}
	return r, nil
}

func check(c *cli.Context, r *replacer) error {
	switch {
	case len(command.Files(c).Names) == 0:
		return errors.New("must specify -f")
	case c.Int("grace-period") >= 0 && !r.force:
		return errors.New("--grace-period must have --force specified")
	case c.Duration("timeout") != 0 && !r.force:
		return errors.New("--timeout must have --force specified")
	case r.force && r.dryRun != command.DryRunNone:
		return errors.New("--dry-run can not be used when --force is set")
	}
	return nil
}

func (r *replacer) overwrite(ctx context.Context, t resource.Target) error {
	if err := applied.Update(t.Value, r.saveConfig); err != nil {
		return command.SourceError("replacing", t.Source, err)
	}
	made := t.Value
	if r.dryRun != command.DryRunClient {
		ref := t.WithSubresource(r.subresource)
		if err := r.takeVersion(ctx, t); err != nil {
			return command.SourceError("replacing", t.Source, err)
		}
		var err error
		if made, err = r.client.Replace(ctx, ref, t.Value, r.write); err != nil {
			return command.SourceError("replacing", t.Source, err)
		}
	}
	return r.report.Report(made, "replaced")
}

// takeVersion gives an object without a version the current one, so that it overwrites whatever is
// there: some kinds require a version in every update.
func (r *replacer) takeVersion(ctx context.Context, t resource.Target) error {
	if t.Value.GetResourceVersion() != "" {
		return nil
	}
	current, err := r.client.Get(ctx, t.Ref)
	if err != nil {
		return err
	}
	t.Value.SetResourceVersion(current.GetResourceVersion())
	return nil
}

// anew deletes the objects, waits until they are gone and creates them again.
func (r *replacer) anew(ctx context.Context, targets []resource.Target) error {
	if err := r.deleter.Delete(ctx, targets, false); err != nil {
		return err
	}
	var errs []error
	for _, t := range targets {
		if err := applied.Update(t.Value, r.saveConfig); err != nil {
			errs = append(errs, err)
			continue
		}
		t.Value.SetResourceVersion("")
		made, err := r.client.Create(ctx, t.Ref, t.Value, r.write)
		if err == nil {
			err = r.report.Report(made, "replaced")
		}
		errs = append(errs, err)
	}
	return command.Join(errs...)
}
