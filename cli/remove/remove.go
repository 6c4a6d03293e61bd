// Package remove deletes objects and waits until they are gone.
package remove

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/gone"
	"skiff/cli/resource"
)

// Flags are those of delete that replace has too.
func Flags() []cli.Flag {
	return []cli.Flag{
		command.OptionalFlag{StringFlag: &cli.StringFlag{Name: "cascade", Value: "background", Usage: "`WHAT` to do with what the object owns: background (delete it after), foreground (delete it before), orphan (leave it)"}, Alone: "background"},
		&cli.BoolFlag{Name: "force", Usage: "remove the object at once, without waiting for its containers to end"},
		&cli.IntFlag{Name: "grace-period", Value: -1, Usage: "`SECONDS` to end in; the object's own when negative; 0 only with --force"},
		&cli.DurationFlag{Name: "timeout", Usage: "how long to wait until it is gone; 0 for as long as it takes"},
		&cli.BoolFlag{Name: "wait", Value: true, Usage: "wait until the object is gone, finalizers included"},
	}
}

// Command is skiff delete.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "delete", Usage: "Delete resources by file names, stdin, resources and names, or by label selector", ArgsUsage: "([-f FILE] | TYPE [(NAME | -l LABELS | --all)])",
		Flags: command.Flags(command.FileFlags("delete"), command.SelectorFlag(), command.FieldSelectorFlag(), command.AllNamespacesFlag(), Flags(), command.DryRunFlag(),
			&cli.BoolFlag{Name: "all", Usage: "delete all objects of the types in the namespace"},
			&cli.StringFlag{Name: "raw", Usage: "delete this `PATH` on the server and print the answer as it is"},
			command.UnsupportedSwitch("interactive", "see with skiff get, or --dry-run=client, what would be deleted", "i"),
			&cli.BoolFlag{Name: "now", Usage: "end at once: the same as --grace-period=1"},
			&cli.BoolFlag{Name: "ignore-not-found", Usage: "succeed although an object does not exist; implied by --all and selectors"},
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

// Remover deletes objects as the flags say.
type Remover struct {
	Client *client.Client
	Out    io.Writer
	Err    io.Writer
	// Policy says what becomes of what an object owns.
	Policy metav1.DeletionPropagation
	// Grace is how many seconds objects have to end; negative for their own time.
	Grace int64
	// Timeout bounds waiting; 0 for as long as it takes.
	Timeout        time.Duration
	Wait           bool
	IgnoreNotFound bool
	DryRun         command.DryRun
	force          bool
	names          bool
	clusterScope   bool
}

// Read reads the flags of Flags and, for delete, the others.
func Read(c *cli.Context, env *command.Env) (*Remover, error) {
	r := &Remover{Out: env.Out, Err: env.Err, Grace: int64(c.Int("grace-period")), Timeout: c.Duration("timeout"), Wait: c.Bool("wait"),
		force: c.Bool("force"), names: c.String("output") == "name"}
	var err error
	if r.Policy, err = cascade(c.String("cascade"), env.Err); err != nil {
		return nil, err
	}
	if c.Bool("now") {
		if r.Grace != -1 {
			return nil, errors.New("--now and --grace-period cannot be specified together")
		}
		r.Grace = 1
	}
	if r.Grace == 0 && !r.force {
		r.Grace = 1 // nobody loses data by a 0 alone
	}
	return r, nil
}

// forced makes --force mean at once.
func (r *Remover) forced() error {
	if r.force && r.Grace > 0 {
		return errors.New("--force and --grace-period greater than 0 cannot be specified together")
	}
	if r.force {
		r.Grace = 0
		fmt.Fprintln(r.Err, "Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource may continue to run on the cluster indefinitely.")
	}
	return nil
}

// cascade reads --cascade. true and false are its values of old.
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
	return command.Join(err, r.Delete(c.Context, targets, err == nil))
}

// raw deletes a path as the server has it.
func raw(c *cli.Context, env *command.Env) error {
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
	case q.All && q.Labels != "":
		return errors.New("cannot set --all and --selector at the same time")
	case q.All && q.Fields != "":
		return errors.New("cannot set --all and --field-selector at the same time")
	}
	return nil
}

// Delete deletes the targets and waits until they are gone. sayNothing is whether to say that there was nothing to delete.
func (r *Remover) Delete(ctx context.Context, targets []resource.Target, sayNothing bool) error {
	var waiting []gone.Object
	var errs []error
	found := 0
	for _, t := range targets {
		refs, err := r.members(ctx, t)
		errs = append(errs, err)
		for _, ref := range refs {
			found++
			uid, deleted, err := r.one(ctx, ref)
			errs = append(errs, command.SourceError("deleting", t.Source, err))
			if deleted {
				waiting = append(waiting, gone.Object{Ref: ref, UID: uid})
			}
		}
	}
	err := command.Join(errs...)
	if found == 0 && err == nil && sayNothing {
		fmt.Fprintln(r.Out, "No resources found")
	}
	if err != nil || !r.Wait || r.DryRun.Suffix() != "" {
		return err
	}
	return r.await(ctx, waiting)
}

// members are the objects a target stands for.
func (r *Remover) members(ctx context.Context, t resource.Target) ([]client.Ref, error) {
	if t.Name != "" {
		return []client.Ref{t.Ref}, nil
	}
	var out []client.Ref
	err := resource.Finder{Client: r.Client}.Each(ctx, []resource.Target{t}, 0, func(o resource.Object) error {
		out = append(out, o.Ref)
		return nil
	})
	return out, err
}

// one asks for an object to be deleted and says so. Its UID tells it from one made later under the same name.
func (r *Remover) one(ctx context.Context, ref client.Ref) (uid types.UID, deleted bool, err error) {
	if r.clusterScope && !ref.Namespaced() {
		fmt.Fprintln(r.Err, "Warning: deleting cluster-scoped resources, not scoped to the provided namespace")
		r.clusterScope = false
	}
	o := &metav1.DeleteOptions{PropagationPolicy: &r.Policy}
	if r.Grace >= 0 {
		o.GracePeriodSeconds = &r.Grace
	}
	switch r.DryRun {
	case command.DryRunClient:
		r.say(ref)
		return "", true, nil
	case command.DryRunServer:
		o.DryRun = []string{metav1.DryRunAll}
	}
	answer, err := r.Client.Delete(ctx, ref, o)
	switch {
	case apierrors.IsNotFound(err) && r.IgnoreNotFound:
		return "", false, nil
	case err != nil:
		return "", false, err
	}
	r.say(ref)
	if answer.GetKind() == "Status" {
		details := &metav1.Status{}
		if err := client.Into(answer, details); err == nil && details.Details != nil {
			return details.Details.UID, true, nil
		}
		return "", true, nil
	}
	return answer.GetUID(), true, nil
}

func (r *Remover) say(ref client.Ref) {
	if r.names {
		fmt.Fprintln(r.Out, ref)
		return
	}
	what := "deleted"
	if r.Grace == 0 {
		what = "force deleted"
	}
	fmt.Fprintf(r.Out, "%s %q %s%s\n", ref.Kind(), ref.Name, what, r.DryRun.Suffix())
}

// await waits until all objects are gone. Not being allowed to look is no failure of the deletion.
func (r *Remover) await(ctx context.Context, objects []gone.Object) error {
	if r.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.Timeout)
		defer cancel()
	}
	for _, o := range objects {
		err := gone.Wait(ctx, r.Client, o)
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
