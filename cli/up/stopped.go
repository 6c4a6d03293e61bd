package up

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/halt"
	"skiff/cli/resource"
	"skiff/manifests/podfacts"
)

// stop brings the application to a standstill, as skiff stop does, and waits until its pods are gone.
// Nothing is deleted but pods on their own that this run has created, which up creates again: there is no
// other way to stop one. When ctx ends before, what still runs is ended at once.
func (r *runner) stop(ctx context.Context) error {
	err := r.stopGently(ctx)
	if ctx.Err() != nil {
		err = r.stopAtOnce(context.WithoutCancel(ctx))
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	fmt.Fprint(r.env.Err, r.hints.afterStop())
	return nil
}

func (r *runner) stopGently(ctx context.Context) error {
	left, err := newRemains(ctx, r.client, r.targets)
	if err != nil {
		return client.OrDone(ctx, err)
	}
	d := &deleter{client: r.client, env: r.env, grace: -1, decided: map[client.Ref]types.UID{}}
	stopped, pods, err := r.stopEach(ctx, d)
	if err != nil {
		return err
	}
	err = r.awaitStandstill(ctx, stopped)
	if err == nil {
		err = d.await(ctx, pods)
	}
	if err == nil {
		err = d.awaitRemains(ctx, left)
	}
	if err == nil && len(pods) > 0 {
		err = r.set.recordRest(ctx)
	}
	return err
}

// stopEach asks for everything to be stopped. It returns the workloads that are, and the pods that are
// deleted for it.
func (r *runner) stopEach(ctx context.Context, d *deleter) (stopped []client.Ref, pods []client.Instance, err error) {
	var refused []error
	for _, t := range slices.Backward(r.targets) {
		if !isWorkload(t.Ref) && t.Mapping.GroupVersionKind.Kind != "CronJob" {
			continue
		}
		o, err := r.client.Get(ctx, t.Ref)
		switch {
		case apierrors.IsNotFound(err), err == nil && !r.appliedUIDs[o.GetUID()]:
			continue // what has taken its name is another's
		case err == nil && o.GetKind() == "Pod":
			var i client.Instance
			var there bool
			if i, there, err = r.stopPod(ctx, d, t, o); there {
				pods = append(pods, i)
			}
		case err == nil:
			var did bool
			if did, err = r.stopOne(ctx, t, o); did {
				stopped = append(stopped, t.Ref)
			}
		}
		var answer apierrors.APIStatus
		switch {
		case errors.As(err, &answer):
			refused = append(refused, command.SourceError("stopping", t.Source, err))
		case err != nil:
			return nil, nil, client.OrDone(ctx, err)
		}
	}
	return stopped, pods, command.Join(refused...)
}

// stopOne stops a workload. It reports false for one that is stopped already, or over.
func (r *runner) stopOne(ctx context.Context, t resource.Target, o *unstructured.Unstructured) (bool, error) {
	patch, err := halt.Stop(o)
	if err != nil || patch == nil {
		return false, err
	}
	_, err = r.client.Patch(ctx, t.Ref, types.MergePatchType, patch, client.WriteOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // another object has its name by now
		return false, nil
	}
	return err == nil, err
}

// stopPod deletes a pod on its own, unless it is over, or was there before this run.
func (r *runner) stopPod(ctx context.Context, d *deleter, t resource.Target, o *unstructured.Unstructured) (client.Instance, bool, error) {
	phase, _, _ := unstructured.NestedString(o.Object, "status", "phase")
	switch {
	case phase == string(corev1.PodSucceeded), phase == string(corev1.PodFailed):
		return client.Instance{}, false, nil
	case r.createdUIDs[t.Ref] != o.GetUID() && !r.replaced[t.Ref]:
		if d.grace == 0 { // it has been said
			return client.Instance{}, false, nil
		}
		fmt.Fprintf(r.env.Err, "%s was there before, and goes on: a pod on its own can only be deleted\n", t.Ref)
		return client.Instance{}, false, nil
	}
	d.decided[t.Ref] = o.GetUID()
	return d.ask(ctx, t.Ref, d.grace)
}

// stopAtOnce ends what still runs without waiting for it.
func (r *runner) stopAtOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, forceTime)
	defer cancel()
	d := &deleter{client: r.client, env: r.env, decided: map[client.Ref]types.UID{}}
	_, _, err := r.stopEach(ctx, d)
	errs := []error{err}
	for _, t := range r.targets {
		if isWorkload(t.Ref) && t.Mapping.GroupVersionKind.Kind != "Pod" {
			errs = append(errs, d.forcePods(ctx, t.Ref))
		}
	}
	return command.Join(errs...)
}

// awaitStandstill waits until nothing of the workloads runs any more, and shows what still does.
func (r *runner) awaitStandstill(ctx context.Context, refs []client.Ref) error {
	m := newMirror(r.client, r.env.Clock, slices.DeleteFunc(slices.Clone(refs), func(ref client.Ref) bool { return !isWorkload(ref) }))
	following, stop := context.WithCancel(ctx)
	group, following := errgroup.WithContext(following)
	group.Go(func() error { return m.Run(following) })
	err := r.showStandstill(ctx, m)
	stop()
	if err = command.Join(err, group.Wait()); err != nil {
		return err
	}
	for _, ref := range refs {
		fmt.Fprintf(r.env.Err, "%s stopped\n", ref)
	}
	return nil
}

func (r *runner) showStandstill(ctx context.Context, m *mirror) error {
	v := newView(r.env.Streams, r.env.Now())
	defer v.clear()
	ticker := r.env.Clock.NewTicker(r.interval())
	defer ticker.Stop()
	var away absence
	for {
		s, broken := m.snapshot()
		p := standstill(s, m.listed)
		v.show(p, r.env.Now())
		switch {
		case p.done:
			return nil
		case away.tooLong(broken, r.env.Now()):
			return broken
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-m.changed:
		case <-ticker.C():
		}
	}
}

// standstill shows what has not stopped yet; it is done when everything has.
func standstill(s snapshot, listed func(client.Ref) bool) picture {
	p := picture{done: true}
	for _, w := range s.workloads {
		own := slices.DeleteFunc(s.podsOf(w), podfacts.Terminal)
		if listed(w.Ref) && (w.value == nil || len(own) == 0 && standsStill(w.value)) {
			continue
		}
		p.done = false
		p.lines = append(p.lines, line{name: w.name(), text: "stopping"})
		for _, pod := range own {
			p.lines = append(p.lines, line{name: "pod/" + pod.Name, text: podfacts.Summarize(pod).Status, depth: 1})
		}
	}
	return p
}

// standsStill reports whether the controller of a workload that was stopped has come to know it, so that
// it makes no more pods.
func standsStill(o *unstructured.Unstructured) bool {
	counts := []string{"replicas", "currentNumberScheduled"}
	if o.GetKind() == "Job" {
		counts = []string{"active"}
	} else if seen, _, _ := unstructured.NestedInt64(o.Object, "status", "observedGeneration"); seen < o.GetGeneration() {
		return false
	}
	return !slices.ContainsFunc(counts, func(field string) bool {
		n, _, _ := unstructured.NestedInt64(o.Object, "status", field)
		return n > 0
	})
}
