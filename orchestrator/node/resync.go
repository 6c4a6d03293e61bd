package node

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"skiff/docker"
	"skiff/orchestrator/node/pod"
)

// resync lists the engine's containers and corrects what is known about them.
func (a *Agent) resync(ctx context.Context) {
	a.engine.listing.Lock()
	defer a.engine.listing.Unlock()
	before := a.knownContainers()
	list, err := a.Runtime.List(ctx)
	if err == nil {
		err = a.takeIn(ctx, list)
	}
	if err != nil {
		if ctx.Err() == nil {
			a.engineDown(fmt.Errorf("listing containers: %w", err))
		}
		return
	}
	a.dropMissing(before, list)
	if !a.engine.adopted {
		a.adopt()
		a.engine.adopted = true
	}
	if a.engine.markUp() {
		a.log.Info("engine is available", "containers", len(list))
		a.machine.changed()
	}
	for _, r := range a.records.all() {
		a.toPlan.add(r.uid)
	}
}

// knownContainers are the containers that the engine had when it was last asked, by ID.
func (a *Agent) knownContainers() map[string]*record {
	known := map[string]*record{}
	for _, r := range a.records.all() {
		for _, id := range r.onEngine() {
			known[id] = r
		}
	}
	return known
}

// inspections is how many containers are inspected at a time.
const inspections = 8

// takeIn inspects each listed container whose state is not known.
func (a *Agent) takeIn(ctx context.Context, list []docker.Container) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(inspections)
	for _, c := range list {
		id, ok := pod.Identify(c.Labels, a.Name)
		if !ok {
			continue
		}
		r := a.records.ensure(id.UID, id.Namespace, id.Name)
		if r.upToDate(c) {
			continue
		}
		group.Go(func() error {
			err := a.inspect(ctx, r, c.ID)
			if err == nil || isOutage(err) || ctx.Err() != nil {
				return err
			}
			a.log.Error("container not inspected, using what the list says", "pod", r.name, "namespace", r.namespace, "container", c.Name, "error", err)
			r.listed(c, id)
			return nil
		})
	}
	return group.Wait()
}

// dropMissing records which containers are gone: those that were known before the list was made and
// are not in it.
func (a *Agent) dropMissing(before map[string]*record, list []docker.Container) {
	for _, c := range list {
		delete(before, c.ID)
	}
	for id, r := range before {
		r.removed(id, a.Clock.Now())
	}
}

// engineEvent handles one event. It does not wait for the engine.
func (a *Agent) engineEvent(e docker.Event) {
	id, ok := pod.Identify(e.Labels, a.Name)
	if !ok {
		return
	}
	if e.Action == docker.ActionDestroy && a.records.get(id.UID) == nil {
		return // a late event of a pod that has been forgotten
	}
	if e.Action == docker.ActionKill {
		if r := a.records.get(id.UID); r != nil {
			a.killedElsewhere(r, e)
		}
		return
	}
	r := a.records.ensure(id.UID, id.Namespace, id.Name)
	known, ask := r.event(e)
	if ask {
		a.inspectLater(r, e.ID)
	}
	if known {
		a.toPlan.add(id.UID)
	}
}

// killedElsewhere tells of a signal that somebody else sent to a container: a person with docker kill or
// docker stop, or another program. Without it an exit code of 137 is a riddle.
func (a *Agent) killedElsewhere(r *record, e docker.Event) {
	container, ok := r.signalledElsewhere(e.ID)
	p := a.podOf(r)
	if !ok || p == nil {
		return
	}
	a.emit(p, container, corev1.EventTypeWarning, "KilledElsewhere",
		"Container %s was sent signal %d by another client of the engine than skiff, as docker kill and docker stop do", container, e.Signal)
}

// inspectLater inspects a container in the background and requeues its pod.
func (a *Agent) inspectLater(r *record, id string) {
	a.background.start(func(ctx context.Context) {
		if err := a.inspect(ctx, r, id); err != nil && ctx.Err() == nil {
			a.log.Error("container not inspected", "pod", r.name, "namespace", r.namespace, "container", id, "error", err)
		}
		a.toPlan.add(r.uid)
	})
}

// inspect asks the engine about a container and records the answer.
func (a *Agent) inspect(ctx context.Context, r *record, id string) error {
	c, err := a.Runtime.Inspect(ctx, id)
	switch {
	case errors.Is(err, docker.ErrNotFound):
		r.removed(id, a.Clock.Now())
		return nil
	case isOutage(err):
		a.engineDown(err)
		return err
	case err != nil:
		r.settle(id)
		return fmt.Errorf("inspecting a container of pod %s/%s: %w", r.namespace, r.name, err)
	}
	who, ok := pod.Identify(c.Labels, a.Name)
	if !ok {
		return nil
	}
	r.observed(c, who, a.terminationMessage(ctx, r, c, who))
	return nil
}
