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

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/gone"
	"skiff/cli/pods"
	"skiff/cli/resource"
)

// Down is skiff down.
func Down(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "down", Usage: "Take an application away: delete what its manifests name, and wait until it is gone", ArgsUsage: "[-f FILE…]",
		Description: "Without -f, skiff.yaml or the directory manifests/ is used, as by up.",
		Flags: command.Flags(command.FileFlags("delete"),
			&cli.DurationFlag{Name: "timeout", Usage: "give up waiting after this time; 0 for as long as it takes"},
			&cli.Int64Flag{Name: "grace-period", Value: -1, Usage: "`SECONDS` containers have to end; their own time when negative"},
			&cli.BoolFlag{Name: "stop-daemon", Usage: "stop skiff's daemon as well"}),
		Action: func(c *cli.Context) error { return runDown(c, env) },
	},
		"skiff down -f kubia.yaml",
		"skiff down --stop-daemon")
}

func runDown(c *cli.Context, env *command.Env) error {
	manifests, err := read(c.Context, c, env)
	if err != nil {
		return err
	}
	cl, err := env.Connect(c)
	if err != nil {
		return err
	}
	targets, err := place(resource.Finder{Client: cl, In: env.In}, manifests)
	if err != nil {
		return err
	}
	ctx := c.Context
	if t := c.Duration("timeout"); t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t)
		defer cancel()
	}
	d := &deleter{client: cl, env: env, grace: c.Int64("grace-period")}
	if err := d.delete(ctx, targets); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("timed out after %s: not everything is gone yet", c.Duration("timeout"))
		}
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

// deleter deletes objects in the reverse of the order they were applied in, with what they own, and waits for each stage.
type deleter struct {
	client *client.Client
	env    *command.Env
	// grace is how many seconds containers have to end; negative for their own time.
	grace int64
}

// stages are what is deleted together: first what runs, then what it needs, namespaces last.
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

func (d *deleter) delete(ctx context.Context, targets []resource.Target) error {
	for _, stage := range stages(targets) {
		var waiting []gone.Object
		for _, t := range stage {
			o, there, err := d.ask(ctx, t.Ref, d.grace)
			if err != nil {
				return err
			}
			if there {
				waiting = append(waiting, o)
			}
		}
		if err := d.await(ctx, waiting); err != nil {
			return err
		}
	}
	return nil
}

// await waits until all objects are gone, and shows what is left of them meanwhile.
func (d *deleter) await(ctx context.Context, objects []gone.Object) error {
	var workloads []client.Ref
	for _, o := range objects {
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
		waiting.Go(func() error { return gone.Wait(ctx, d.client, o) })
	}
	err := waiting.Wait()
	stop()
	if serr := shown.Wait(); err == nil {
		err = serr
	}
	if err == nil {
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

// left is what there still is of workloads that are being deleted.
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
				p.lines = append(p.lines, line{name: "pod/" + pod.Name, text: pods.Status(pod), depth: 1})
			}
		}
	}
	return p
}

// ask asks for an object and what it owns to be deleted.
func (d *deleter) ask(ctx context.Context, r client.Ref, grace int64) (gone.Object, bool, error) {
	policy := metav1.DeletePropagationForeground
	o := &metav1.DeleteOptions{PropagationPolicy: &policy}
	if grace >= 0 {
		o.GracePeriodSeconds = &grace
	}
	before, err := d.client.Get(ctx, r)
	if apierrors.IsNotFound(err) {
		return gone.Object{}, false, nil
	}
	if err != nil {
		return gone.Object{}, false, err
	}
	if _, err := d.client.Delete(ctx, r, o); err != nil {
		if apierrors.IsNotFound(err) {
			return gone.Object{}, false, nil
		}
		return gone.Object{}, false, err
	}
	return gone.Object{Ref: r, UID: before.GetUID()}, true, nil
}

// forceTime is how long a forced deletion may take to be asked for.
const forceTime = 10 * time.Second

// force has the objects, and the pods they own, removed at once; it does not wait for it.
func (d *deleter) force(ctx context.Context, targets []resource.Target) error {
	ctx, cancel := context.WithTimeout(ctx, forceTime)
	defer cancel()
	var errs []error
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

// forcePods removes a workload's pods at once: their own deletion, with grace, may be under way.
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
	now := int64(0)
	for _, w := range s.workloads {
		for _, p := range s.podsOf(w) {
			ref, err := pods.Ref(d.client, p.Namespace, p.Name)
			if err != nil {
				return err
			}
			if _, err := d.client.Delete(ctx, ref, &metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil && !apierrors.IsNotFound(err) {
				return err
			}
		}
	}
	return nil
}
