// Package delete deletes objects and waits until they are gone.
package delete

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/urfave/cli/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/resource"
)

// Flags are those of delete that replace has too.
func Flags() []cli.Flag {
	return []cli.Flag{
		command.OptionalFlag{StringFlag: &cli.StringFlag{Name: "cascade", Value: "background", Usage: "`WHAT` to do with what the object owns: background (delete it after), foreground (delete it before), orphan (leave it)"}, Alone: "background"},
		&cli.BoolFlag{Name: "force", Usage: "remove the object at once, without waiting for its containers to stop"},
		&cli.IntFlag{Name: "grace-period", Value: -1, Usage: "`SECONDS` to terminate in; negative for the object's own; 0 only with --force"},
		&cli.DurationFlag{Name: "timeout", Usage: "how long to wait until it is gone; 0 for no limit"},
		&cli.BoolFlag{Name: "wait", Value: true, Usage: "wait until the object is gone, finalizers included"},
	}
}

// Command is skiff delete.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "delete", Usage: "Delete resources by file names, stdin, resources and names, or by label selector", ArgsUsage: "([-f FILE] | TYPE [(NAME | -l LABELS | --all)])",
		Flags: command.Flags(command.FileFlags("delete"), command.ChartFlags(), command.SelectorFlag(), command.FieldSelectorFlag(), command.AllNamespacesFlag(), Flags(), command.DryRunFlag(),
			&cli.BoolFlag{Name: "all", Usage: "delete all objects of the types in the namespace"},
			&cli.StringFlag{Name: "raw", Usage: "delete this `PATH` on the server and print its answer unchanged"},
			&cli.BoolFlag{Name: "interactive", Aliases: []string{"i"}, Usage: "show what would be deleted, and ask first"},
			&cli.BoolFlag{Name: "now", Usage: "stop at once: the same as --grace-period=1"},
			&cli.BoolFlag{Name: "ignore-not-found", Usage: "succeed even if an object does not exist; implied by --all and selectors"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`FORMAT` of the output: name"},
		),
		Action: func(c *cli.Context) error { return run(c, env) },
	},
		"skiff delete pod kubia-dssvz",
		"skiff delete rc kubia --cascade=orphan   # leave its pods running",
		"skiff delete -f kubia.yaml",
		"skiff delete pods,services -l app=kubia",
		"skiff delete pod kubia-dssvz --now")
}

// Deleter deletes objects as the flags say.
type Deleter struct {
	Client *client.Client
	Out    io.Writer
	Err    io.Writer
	// Policy decides what happens to the objects it owns.
	Policy metav1.DeletionPropagation
	// Grace is how many seconds objects have to terminate; negative for their own grace period.
	Grace int64
	// Timeout bounds the wait; 0 for no limit.
	Timeout        time.Duration
	Wait           bool
	IgnoreNotFound bool
	DryRun         command.DryRun
	// Quiet leaves out the line about each object.
	Quiet        bool
	force        bool
	names        bool
	clusterScope bool
}

// Read reads the flags of Flags and, for delete, the others.
func Read(c *cli.Context, env *command.Env) (*Deleter, error) {
	d := &Deleter{Out: env.Out, Err: env.Err, Grace: int64(c.Int("grace-period")), Timeout: c.Duration("timeout"), Wait: c.Bool("wait"),
		force: c.Bool("force"), names: c.String("output") == "name"}
	var err error
	if d.Policy, err = cascade(c.String("cascade"), env.Err); err != nil {
		return nil, err
	}
	if c.Bool("now") {
		if d.Grace != -1 {
			return nil, errors.New("--now and --grace-period cannot be specified together")
		}
		d.Grace = 1
	}
	if d.Grace == 0 && !d.force {
		d.Grace = 1 // nobody loses data by a 0 alone
	}
	return d, nil
}

// forced makes --force an immediate deletion.
func (d *Deleter) forced() error {
	if d.force && d.Grace > 0 {
		return errors.New("--force and --grace-period greater than 0 cannot be specified together")
	}
	if d.force {
		d.Grace = 0
		fmt.Fprintln(d.Err, "Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource may continue to run on the cluster indefinitely.")
	}
	return nil
}

// cascade reads --cascade. true and false are deprecated values.
func cascade(v string, errOut io.Writer) (metav1.DeletionPropagation, error) {
	switch v {
	case "background":
		return metav1.DeletePropagationBackground, nil
	case "foreground":
		return metav1.DeletePropagationForeground, nil
	case "orphan":
		return metav1.DeletePropagationOrphan, nil
	case "true":
		fmt.Fprintf(errOut, "warning: --cascade=%v is deprecated (boolean value) and can be replaced with --cascade=background.\n", v)
		return metav1.DeletePropagationBackground, nil
	case "false":
		fmt.Fprintf(errOut, "warning: --cascade=%v is deprecated (boolean value) and can be replaced with --cascade=orphan.\n", v)
		return metav1.DeletePropagationOrphan, nil
	}
	return "", fmt.Errorf("invalid cascade value (%v). Must be \"background\", \"foreground\", or \"orphan\"", v)
}

func run(c *cli.Context, env *command.Env) error {
	if c.IsSet("raw") {
		return raw(c, env)
	}
	r, err := Read(c, env)
	if err != nil {
		return err
	}
	if r.DryRun, err = env.ReadDryRun(c); err != nil {
		return err
	}
	q := resource.Query{Args: c.Args().Slice(), Files: command.Files(c), Labels: c.String("selector"), Fields: c.String("field-selector"), All: c.Bool("all"), AllNamespaces: c.Bool("all-namespaces")}
	if err := check(c, q); err != nil {
		return err
	}
	r.IgnoreNotFound = c.Bool("ignore-not-found")
	if !c.IsSet("ignore-not-found") {
		r.IgnoreNotFound = q.All || q.Labels != "" || q.Fields != ""
	}
	if r.Client, err = env.Connect(c); err != nil {
		return err
	}
	r.clusterScope = r.Client.NamespaceGiven && !q.AllNamespaces
	if err := r.forced(); err != nil {
		return err
	}
	targets, err := resource.Finder{Client: r.Client, In: env.In}.Targets(c.Context, q)
	if c.Bool("interactive") {
		if err != nil {
			return err
		}
		if targets, err = r.confirmed(c.Context, targets, env.In); err != nil || len(targets) == 0 {
			return err
		}
	}
	return command.Join(err, r.Delete(c.Context, targets, err == nil))
}

// raw deletes a path and prints the server's answer.
func raw(c *cli.Context, env *command.Env) error {
	if c.Bool("interactive") {
		return errors.New("--interactive can not be used with --raw")
	}
	if c.Args().Present() || len(command.Files(c).Names) > 0 {
		return errors.New("--raw can not be combined with objects or files: the path says what is deleted")
	}
	cl, err := env.Connect(c)
	if err != nil {
		return err
	}
	answer, err := cl.SendRaw(c.Context, "DELETE", c.String("raw"), nil)
	if err == nil {
		_, err = env.Out.Write(answer)
	}
	return err
}

func check(c *cli.Context, q resource.Query) error {
	switch o := c.String("output"); {
	case o != "" && o != "name":
		return fmt.Errorf("unexpected -o output mode: %v. We only support '-o name'", o)
	case c.Bool("interactive") && slices.Contains(q.Names, "-"):
		return errors.New("--interactive asks on standard input, from which -f - reads the objects")
	case q.All && q.Labels != "":
		return errors.New("cannot set --all and --selector at the same time")
	case q.All && q.Fields != "":
		return errors.New("cannot set --all and --field-selector at the same time")
	}
	return nil
}

// Delete deletes the targets and waits until they are gone. sayNothing makes it say so when there
// was nothing to delete.
func (d *Deleter) Delete(ctx context.Context, targets []resource.Target, sayNothing bool) error {
	var waiting []client.Instance
	var errs []error
	found := 0
	for _, t := range targets {
		refs, err := d.members(ctx, t)
		errs = append(errs, err)
		for _, ref := range refs {
			found++
			uid, deleted, err := d.one(ctx, ref)
			errs = append(errs, command.SourceError("deleting", t.Source, err))
			if deleted {
				waiting = append(waiting, client.Instance{Ref: ref, UID: uid})
			}
		}
	}
	err := command.Join(errs...)
	if found == 0 && err == nil && sayNothing {
		fmt.Fprintln(d.Out, "No resources found")
	}
	if err != nil || !d.Wait || d.DryRun.Suffix() != "" {
		return err
	}
	return d.await(ctx, waiting)
}

// members are the objects a target stands for.
func (d *Deleter) members(ctx context.Context, t resource.Target) ([]client.Ref, error) {
	if t.Name != "" {
		return []client.Ref{t.Ref}, nil
	}
	var out []client.Ref
	err := resource.Finder{Client: d.Client}.Each(ctx, []resource.Target{t}, 0, func(o resource.Object) error {
		out = append(out, o.Ref)
		return nil
	})
	return out, err
}

// one deletes an object and reports it. The UID tells it from a later object of the same name.
func (d *Deleter) one(ctx context.Context, ref client.Ref) (uid types.UID, deleted bool, err error) {
	if d.clusterScope && !ref.Namespaced() {
		fmt.Fprintln(d.Err, "Warning: deleting cluster-scoped resources, not scoped to the provided namespace")
		d.clusterScope = false
	}
	o := &metav1.DeleteOptions{PropagationPolicy: &d.Policy}
	if d.Grace >= 0 {
		o.GracePeriodSeconds = &d.Grace
	}
	switch d.DryRun {
	case command.DryRunClient:
		d.say(ref)
		return "", true, nil
	case command.DryRunServer:
		o.DryRun = []string{metav1.DryRunAll}
	}
	answer, err := d.Client.Delete(ctx, ref, o)
	switch {
	case apierrors.IsNotFound(err) && d.IgnoreNotFound:
		return "", false, nil
	case err != nil:
		return "", false, err
	}
	d.say(ref)
	if answer.GetKind() == "Status" {
		details := &metav1.Status{}
		if err := client.Into(answer, details); err == nil && details.Details != nil {
			return details.Details.UID, true, nil
		}
		return "", true, nil
	}
	return answer.GetUID(), true, nil
}

func (d *Deleter) say(ref client.Ref) {
	if d.Quiet {
		return
	}
	if d.names {
		fmt.Fprintln(d.Out, ref)
		return
	}
	what := "deleted"
	if d.Grace == 0 {
		what = "force deleted"
	}
	fmt.Fprintf(d.Out, "%s %q %s%s\n", ref.Kind(), ref.Name, what, d.DryRun.Suffix())
}

// await waits until all objects are gone. Not being allowed to watch them is no failure.
func (d *Deleter) await(ctx context.Context, objects []client.Instance) error {
	if d.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.Timeout)
		defer cancel()
	}
	for _, o := range objects {
		err := d.Client.Gone(ctx, o)
		if apierrors.IsForbidden(err) || apierrors.IsMethodNotSupported(err) {
			return nil
		}
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("timed out waiting for the condition on %s", o.String())
		}
		if err != nil {
			return err
		}
	}
	return nil
}
