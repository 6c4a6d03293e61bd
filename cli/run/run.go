// Package run runs an image in a pod of its own: skiff run.
package run

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/distribution/reference"
	"github.com/urfave/cli/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"skiff/cli/applied"
	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/delete"
	"skiff/cli/output"
	"skiff/cli/override"
	"skiff/cli/resource"
)

// manager is the field manager of the pods. It is kubectl's name, so that the server takes the two
// programs for one.
const manager = "kubectl-run"

// Command is skiff run.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "run", Usage: "Run an image in a pod", ArgsUsage: "NAME --image=IMAGE [-- ARGUMENTS…]",
		Flags: command.Flags(command.OutputFlags(command.ObjectFormats), command.DryRunFlag(), command.ManagerFlag(manager), podFlags(), deletes(), override.Flags("pod"),
			&cli.BoolFlag{Name: "expose", Usage: "make a service for the pod too; requires --port"},
			&cli.BoolFlag{Name: "attach", Usage: "wait until the pod runs, and attach to it (default: with -i)"},
			&cli.BoolFlag{Name: "rm", Usage: "delete the pod once the terminal is detached; only with --attach or -i"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print only what the container prints"},
			&cli.BoolFlag{Name: "save-config", Usage: "save the configuration in an annotation, for a later apply"},
			&cli.DurationFlag{Name: "pod-running-timeout", Value: time.Minute, Usage: "how long to wait until the pod runs, when attaching"}),
		Action: func(c *cli.Context) error { return run(c, env) },
	},
		"skiff run kubia --image=kubia --port=8080",
		"skiff run -it --rm shell --image=busybox --restart=Never -- sh",
		"skiff run db --image=postgres --env=POSTGRES_PASSWORD=hunter2 --port=5432 --expose",
		"skiff run kubia --image=kubia --dry-run=client -o yaml")
}

// podFlags say what the pod is.
func podFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "image", Usage: "`IMAGE` to run"},
		&cli.StringFlag{Name: "image-pull-policy", Usage: "`WHEN` to pull the image: Always, IfNotPresent or Never (default: the server's)"},
		&cli.BoolFlag{Name: "command", Usage: "use the arguments as the container's command, not as the arguments of the image's own"},
		&cli.StringSliceFlag{Name: "env", Usage: "`NAME=VALUE` to set in the container; may be repeated"},
		&cli.StringFlag{Name: "port", Usage: "`PORT` that the container listens on"},
		&cli.StringFlag{Name: "labels", Aliases: []string{"l"}, Usage: "`LABELS` of the pod, joined by commas (default: run=NAME)"},
		&cli.StringSliceFlag{Name: "annotations", Usage: "`NAME=VALUE` to annotate the pod with; may be repeated"},
		&cli.BoolFlag{Name: "stdin", Aliases: []string{"i"}, Usage: "keep standard input of the container open, and attach to it"},
		&cli.BoolFlag{Name: "tty", Aliases: []string{"t"}, Usage: "give the container a terminal; requires -i"},
		&cli.BoolFlag{Name: "leave-stdin-open", Usage: "leave standard input open when the first to attach goes"},
		&cli.StringFlag{Name: "restart", Value: "Always", Usage: "`WHEN` to start the container again: Always, OnFailure or Never"},
		&cli.BoolFlag{Name: "privileged", Usage: "let the container do on its machine what root can do"},
	}
}

// deletes are kubectl's flags about deletion, which it has and does not use.
func deletes() []cli.Flag {
	const instead = "run deletes nothing but with --rm, and then with the pod's own grace period"
	return []cli.Flag{
		command.UnsupportedSwitch("force", instead), command.UnsupportedSwitch("wait", instead), command.UnsupportedValue("grace-period", instead),
		command.UnsupportedValue("timeout", instead), command.UnsupportedCascade(instead),
		command.UnsupportedValue("filename", "write the pod into it and use skiff create -f", "f"), command.UnsupportedValue("kustomize", "use skiff create -f", "k"),
		command.UnsupportedSwitch("recursive", "it goes with -f", "R"),
	}
}

// runner is one run.
type runner struct {
	env    *command.Env
	client *client.Client
	report *output.Reporter
	dryRun command.DryRun
	write  client.WriteOptions
	wishes
	saveConfig, attach, quiet bool
	patience                  time.Duration
}

func run(c *cli.Context, env *command.Env) error {
	r := &runner{env: env, saveConfig: c.Bool("save-config"), quiet: c.Bool("quiet"), attach: c.Bool("attach"), patience: c.Duration("pod-running-timeout")}
	var err error
	if r.dryRun, err = env.ReadDryRun(c); err != nil {
		return err
	}
	if c.NArg() == 0 || env.Dash == 0 {
		return command.UsageErrorf("run", "NAME is required for run")
	}
	if r.wishes, err = readWishes(c); err != nil {
		return err
	}
	if !c.IsSet("attach") && r.stdin {
		r.attach = true
	}
	if err := r.check(c); err != nil {
		return err
	}
	if r.report, err = output.NewReporter(env.Out, output.Read(c), r.dryRun.Suffix()); err != nil {
		return err
	}
	if r.client, err = env.Connect(c); err != nil {
		return err
	}
	r.write = client.WriteOptions{DryRun: r.dryRun == command.DryRunServer, Manager: c.String("field-manager")}
	return r.run(c.Context, c)
}

func (r *runner) check(c *cli.Context) error {
	switch {
	case r.patience <= 0:
		return command.UsageErrorf("run", "--pod-running-timeout must be higher than zero")
	case r.image == "":
		return errors.New("required flag(s) \"image\" not set")
	case !reference.ReferenceRegexp.MatchString(r.image):
		return fmt.Errorf("Invalid image name %q: %w", r.image, reference.ErrReferenceInvalidFormat)
	case r.tty && !r.stdin:
		return command.UsageErrorf("run", "-i/--stdin is required for containers with -t/--tty=true")
	case c.Bool("expose") && r.port == "":
		return command.UsageErrorf("run", "--port must be set when exposing a service")
	case c.Bool("rm") && !r.attach:
		return command.UsageErrorf("run", "--rm should only be used for attached containers")
	case r.attach && r.dryRun != command.DryRunNone && r.dryRun != "":
		return command.UsageErrorf("run", "--dry-run=[server|client] can't be used with attached containers options (--attach, --stdin, or --tty)")
	}
	return nil
}

func (r *runner) run(ctx context.Context, c *cli.Context) (err error) {
	pod, err := r.pod()
	if err != nil {
		return err
	}
	wanted, err := client.From(pod)
	if err != nil {
		return err
	}
	if wanted, err = override.Apply(c, wanted, corev1.Pod{}); err != nil {
		return err
	}
	var made []resource.Target
	if c.Bool("rm") {
		// What was made goes, also after an interrupt.
		defer func() { err = errors.Join(err, r.remove(context.WithoutCancel(ctx), made)) }()
	}
	created, err := r.create(ctx, wanted)
	if err != nil {
		return err
	}
	made = append(made, created)
	if c.Bool("expose") {
		s, err := r.expose(ctx, pod)
		if err != nil {
			return err
		}
		made = append(made, s)
		if c.String("output") == "yaml" {
			fmt.Fprintln(r.env.Out, "---")
		}
	}
	if r.attach {
		return r.follow(ctx, created.Ref)
	}
	return r.report.Report(created.Value, "created")
}

// expose makes the service of the pod, and reports it.
func (r *runner) expose(ctx context.Context, pod *corev1.Pod) (resource.Target, error) {
	wanted, err := client.From(r.service(pod))
	if err != nil {
		return resource.Target{}, err
	}
	t, err := r.create(ctx, wanted)
	if err != nil {
		return t, err
	}
	return t, r.report.Report(t.Value, "created")
}

// create makes an object in the namespace of the request.
func (r *runner) create(ctx context.Context, obj *unstructured.Unstructured) (resource.Target, error) {
	if r.client.NamespaceGiven {
		obj.SetNamespace(r.client.Namespace)
	}
	if r.dryRun == command.DryRunClient {
		return resource.Target{Value: obj}, nil
	}
	if err := applied.Update(obj, r.saveConfig); err != nil {
		return resource.Target{}, err
	}
	catalog, err := r.client.Catalog()
	if err != nil {
		return resource.Target{}, err
	}
	mapping, err := catalog.Kind(obj.GroupVersionKind())
	if err != nil {
		return resource.Target{}, err
	}
	t := resource.Target{Ref: client.Ref{Mapping: mapping, Namespace: r.client.Namespace, Name: obj.GetName()}}
	t.Value, err = r.client.Create(ctx, t.Ref, obj, r.write)
	if err == nil {
		t.Name = t.Value.GetName()
	}
	return t, err
}

// remove deletes what was made, without waiting until it is gone.
func (r *runner) remove(ctx context.Context, made []resource.Target) error {
	d := delete.Deleter{Client: r.client, Out: r.env.Out, Err: r.env.Err, Grace: -1, Policy: metav1.DeletePropagationBackground, IgnoreNotFound: true, Quiet: r.quiet}
	return d.Delete(ctx, made, false)
}
