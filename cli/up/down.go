package up

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/pods"
	"skiff/cli/resource"
	"skiff/manifests/podfacts"
)

// Down is skiff down.
func Down(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "down", Usage: "Remove an application: delete what its manifests name, and wait until it is gone", ArgsUsage: "[-f FILE…]",
		Description: "Without -f, skiff.yaml, the directory manifests/ or the folder's compose.yaml, kustomization.yaml or Chart.yaml is used, as by up. Objects\n" +
			"that up has recorded for the project and that are no longer in the manifests are deleted too; with --project alone, without -f, all that is recorded. Volume claims are kept with their data, and custom\n" +
			"resource definitions with their objects, unless --volumes is given.",
		Flags: command.Flags(SourceFlags("delete"),
			&cli.DurationFlag{Name: "timeout", Usage: "give up waiting after this time; 0 for no limit"},
			&cli.Int64Flag{Name: "grace-period", Value: -1, Usage: "`SECONDS` containers have to stop; negative for their own"},
			&cli.BoolFlag{Name: "volumes", Aliases: []string{"v"}, Usage: "also delete volume claims and custom resource definitions, and with them their data"},
			&cli.BoolFlag{Name: "stop-daemon", Usage: "also stop skiff's daemon"}),
		Action: func(c *cli.Context) error { return runDown(c, env) },
	},
		"skiff down -f kubia.yaml",
		"skiff down --stop-daemon")
}

func runDown(c *cli.Context, env *command.Env) error {
	a, err := gather(c, env)
	if err != nil {
		return err
	}
	ctx := c.Context
	if t := c.Duration("timeout"); t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t)
		defer cancel()
	}
	d := &deleter{client: a.client, env: env, grace: c.Int64("grace-period"), volumes: c.Bool("volumes"), decided: a.decided}
	err = d.delete(ctx, a.targets)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("timed out after %s: not everything is gone yet", c.Duration("timeout"))
	}
	if ctx.Err() == nil {
		err = command.Join(err, a.set.recordRest(ctx))
	}
	if err := command.Join(a.faults, err); err != nil {
		return err
	}
	if c.Bool("stop-daemon") {
		return stopDaemon(c, env)
	}
	return nil
}

func stopDaemon(c *cli.Context, env *command.Env) error {
	if !env.OwnCluster(c) || env.StopDaemon == nil {
		return errors.New("--stop-daemon is for skiff's own daemon, not for another cluster")
	}
	dir, err := env.DataDir(c)
	if err != nil {
		return err
	}
	stopped, err := env.StopDaemon(c.Context, dir)
	if err == nil && stopped {
		fmt.Fprintln(env.Err, "skiff daemon stopped")
	}
	return err
}

// deleter deletes objects in the reverse order of their creation, with what they own, and waits for
// each stage.
type deleter struct {
	client *client.Client
	env    *command.Env
	// grace is how many seconds containers have to end; negative for their own time.
	grace int64
	// volumes means that claims are deleted too, with their data.
	volumes bool
	// decided are the objects that it was decided to delete. Of a name that is not in it, whatever
	// object has it is deleted.
	decided map[client.Ref]types.UID
	// asked are the objects that are deleted, as far as is known.
	asked map[client.Ref]bool
	// waiting are the objects that it waits for at present, or has waited for in vain.
	waiting []string
	// kept are the objects that have been reported as kept.
	kept map[client.Ref]bool
}

// stages are the groups that are deleted together: first what runs, then what it needs, namespaces
// last.
func stages(targets []resource.Target) [][]resource.Target {
	var running, config, namespaces []resource.Target
	for _, t := range slices.Backward(targets) {
		switch kind := t.Mapping.GroupVersionKind.Kind; {
		case kind == "Namespace":
			namespaces = append(namespaces, t)
		case isWorkload(t.Ref), kind == "CronJob":
			running = append(running, t)
		default:
			config = append(config, t)
		}
	}
	return [][]resource.Target{running, config, namespaces}
}

// delete deletes the targets. What cannot be deleted holds up no other: all that went wrong is
// returned. It ends early when the server cannot be reached or ctx ends.
func (d *deleter) delete(ctx context.Context, targets []resource.Target) error {
	targets, err := d.chosen(ctx, targets)
	if err != nil {
		return client.OrDone(ctx, err)
	}
	left, err := newRemains(ctx, d.client, targets)
	if err != nil {
		return client.OrDone(ctx, err)
	}
	var refused []error
	for _, stage := range stages(targets) {
		var waiting []client.Instance
		for _, t := range stage {
			o, there, err := d.ask(ctx, t.Ref, d.grace)
			var answer apierrors.APIStatus
			switch {
			case errors.As(err, &answer):
				refused = append(refused, command.SourceError("deleting", t.Source, err))
			case err != nil:
				return command.Join(append(refused, err)...)
			case there:
				waiting = append(waiting, o)
			}
		}
		if err := d.await(ctx, waiting); err != nil {
			return command.Join(append(refused, err)...)
		}
	}
	return command.Join(append(refused, d.awaitRemains(ctx, left))...)
}

// await waits until all objects are gone, and shows what is left of them meanwhile.
func (d *deleter) await(ctx context.Context, objects []client.Instance) error {
	var workloads []client.Ref
	d.waiting = nil
	for _, o := range objects {
		d.waiting = append(d.waiting, o.String())
		if isWorkload(o.Ref) {
			workloads = append(workloads, o.Ref)
		}
	}
	m := newMirror(d.client, d.env.Clock, workloads)
	showing, stop := context.WithCancel(ctx)
	defer stop()
	shown, _ := errgroup.WithContext(showing)
	if len(workloads) > 0 {
		shown.Go(func() error { return m.Run(showing) })
		shown.Go(func() error { return d.show(showing, m) })
	}
	waiting, ctx := errgroup.WithContext(ctx)
	for _, o := range objects {
		waiting.Go(func() error { return d.client.Gone(ctx, o) })
	}
	err := waiting.Wait()
	stop()
	if serr := shown.Wait(); err == nil {
		err = serr
	}
	if err == nil {
		d.waiting = nil
		for _, o := range objects {
			fmt.Fprintf(d.env.Err, "%s deleted\n", o.Ref)
		}
	}
	return err
}

// show draws what is left of the workloads until ctx ends.
func (d *deleter) show(ctx context.Context, m *mirror) error {
	v := newView(d.env.Streams, d.env.Now())
	defer v.clear()
	ticker := d.env.Clock.NewTicker(liveInterval)
	defer ticker.Stop()
	for {
		s, _ := m.snapshot()
		v.show(left(s), d.env.Now())
		select {
		case <-ctx.Done():
			return nil
		case <-m.changed:
		case <-ticker.C():
		}
	}
}

// left shows what remains of workloads that are being deleted.
func left(s snapshot) picture {
	var p picture
	for _, w := range s.workloads {
		own := s.podsOf(w)
		if w.value == nil || w.Mapping.GroupVersionKind.Kind == "Pod" && len(own) == 0 {
			continue
		}
		p.lines = append(p.lines, line{name: w.name(), text: "stopping"})
		for _, pod := range own {
			if w.Mapping.GroupVersionKind.Kind != "Pod" {
				p.lines = append(p.lines, line{name: "pod/" + pod.Name, text: podfacts.Summarize(pod).Status, depth: 1})
			}
		}
	}
	return p
}

// uidsOf are the UIDs of targets whose values are those on the server.
func uidsOf(live []resource.Target) map[client.Ref]types.UID {
	out := make(map[client.Ref]types.UID, len(live))
	for _, t := range live {
		out[t.Ref] = t.Value.GetUID()
	}
	return out
}

// ask asks for an object and what it owns to be deleted. It reports whether the object is there,
// and not another one that has taken its name since the decision.
func (d *deleter) ask(ctx context.Context, r client.Ref, grace int64) (client.Instance, bool, error) {
	before, there, err := d.present(ctx, r)
	if err != nil || !there {
		return client.Instance{}, false, err
	}
	i := client.Instance{Ref: r, UID: before.GetUID()}
	if uid, ok := d.decided[r]; ok && uid != i.UID {
		return client.Instance{}, false, nil
	}
	policy := metav1.DeletePropagationForeground
	o := metav1.NewPreconditionDeleteOptions(string(i.UID))
	o.PropagationPolicy = &policy
	if grace >= 0 {
		o.GracePeriodSeconds = &grace
	}
	_, err = d.client.Delete(ctx, r, o)
	var answer apierrors.APIStatus
	if !errors.As(err, &answer) { // a request that was broken off may have been heard
		d.noteAsked(r)
	}
	switch {
	case apierrors.IsNotFound(err):
		return client.Instance{}, false, nil
	case apierrors.IsConflict(err):
		return client.Instance{}, false, d.conflict(ctx, i, err)
	case err != nil:
		return client.Instance{}, false, err
	}
	return i, true, nil
}

func (d *deleter) noteAsked(r client.Ref) {
	if d.asked == nil {
		d.asked = map[client.Ref]bool{}
	}
	d.asked[r] = true
}

// conflict is the error of a deletion that met a conflict: none where the object is gone, err where
// it is still there and the server has another reason, as older ones have for namespaces that end.
func (d *deleter) conflict(ctx context.Context, i client.Instance, err error) error {
	now, there, gerr := d.present(ctx, i.Ref)
	switch {
	case gerr != nil:
		return gerr
	case there && now.GetUID() == i.UID:
		return err
	}
	return nil
}

// present fetches an object, if there is one.
func (d *deleter) present(ctx context.Context, r client.Ref) (*unstructured.Unstructured, bool, error) {
	u, err := d.client.Get(ctx, r)
	if apierrors.IsNotFound(err) {
		return nil, false, nil
	}
	return u, err == nil, err
}

// forceTime bounds the requests of a forced deletion.
const forceTime = 10 * time.Second

// force deletes the objects and the pods they own at once, without waiting for the end.
func (d *deleter) force(ctx context.Context, targets []resource.Target) error {
	ctx, cancel := context.WithTimeout(ctx, forceTime)
	defer cancel()
	targets, err := d.chosen(ctx, targets)
	errs := []error{err}
	for _, stage := range stages(targets) {
		for _, t := range stage {
			errs = append(errs, d.forceOne(ctx, t.Ref))
		}
	}
	return command.Join(errs...)
}

func (d *deleter) forceOne(ctx context.Context, r client.Ref) error {
	if isWorkload(r) && r.Mapping.GroupVersionKind.Kind != "Pod" {
		if err := d.forcePods(ctx, r); err != nil {
			return err
		}
	}
	_, _, err := d.ask(ctx, r, 0)
	return err
}

// forcePods deletes a workload's pods at once: a deletion with a grace period may already be under
// way.
func (d *deleter) forcePods(ctx context.Context, r client.Ref) error {
	m := newMirror(d.client, d.env.Clock, []client.Ref{r})
	collections, err := m.collections()
	if err != nil {
		return err
	}
	for _, c := range collections {
		items, _, err := d.client.List(ctx, c, client.ListOptions{})
		if err != nil {
			return err
		}
		m.reset(c, items)
	}
	s, _ := m.snapshot()
	for _, w := range s.workloads {
		for _, p := range s.podsOf(w) {
			ref, err := pods.Ref(d.client, p.Namespace, p.Name)
			if err != nil {
				return err
			}
			o := metav1.NewPreconditionDeleteOptions(string(p.UID))
			o.GracePeriodSeconds = new(int64)
			if _, err := d.client.Delete(ctx, ref, o); err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
				return err
			}
		}
	}
	return nil
}
