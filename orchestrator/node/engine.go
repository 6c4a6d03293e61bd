package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"skiff/docker"
)

// notListedYet is why nothing may be planned before the engine's containers are known: each would be made anew.
const notListedYet = "its containers have not been listed yet"

// engineState says whether the engine can be used.
type engineState struct {
	mu sync.Mutex
	// gone is why not, empty if it can; outages is how often that has begun.
	gone    string
	outages int
	// listing is held while the engine's containers are taken in; adopted says that what an earlier daemon has left has
	// been taken over.
	listing sync.Mutex
	adopted bool
}

func (s *engineState) get() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone
}

// outage is why the engine can't be used, and which of its outages this is; 0 is the time before it was first asked.
func (s *engineState) outage() (why string, number int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone, s.outages
}

// fail notes why the engine can't be used, and returns whether that is news.
func (s *engineState) fail(why string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone != "" && s.gone != notListedYet {
		return false
	}
	s.gone = why
	s.outages++
	return true
}

// recover notes that it can be used, and returns whether that is news.
func (s *engineState) recover() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.gone
	s.gone = ""
	return was != ""
}

// followEngine takes in what the engine tells.
func (a *Agent) followEngine(ctx context.Context) error {
	for e := range a.Runtime.Events(ctx) {
		if e.Action == docker.ActionResync {
			a.resync(ctx)
		} else {
			a.engineEvent(e)
		}
	}
	return nil
}

// watchEngine notices when the engine falls silent, and when it is back, and now and then looks for events that were
// lost. It is not followEngine's business, which must not wait.
func (a *Agent) watchEngine(ctx context.Context) error {
	ask := a.Clock.NewTicker(a.EngineInterval)
	defer ask.Stop()
	relist := a.Clock.NewTicker(relistInterval)
	defer relist.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ask.C():
			a.askEngine(ctx)
		case <-relist.C():
			a.resync(ctx)
		}
	}
}

// relistInterval is how long an event that was lost can go unnoticed.
const relistInterval = 5 * time.Minute

// askEngine finds out whether the engine is there, and takes its containers in when it is back.
func (a *Agent) askEngine(ctx context.Context) {
	patient, cancel := context.WithTimeout(ctx, pingPatience)
	defer cancel()
	err := a.Runtime.Ping(patient)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		a.engineFailed(err)
	case a.engine.get() != "":
		a.resync(ctx)
	}
}

// pingPatience is how long the engine may take to say that it is there.
const pingPatience = 30 * time.Second

// isOutage tells whether an error means that the engine can't be used at all, rather than for what was asked of it.
func isOutage(err error) bool {
	return errors.Is(err, docker.ErrUnavailable) || errors.Is(err, docker.ErrPermission) || errors.Is(err, docker.ErrUnsupported)
}

// engineFailed notes that the engine is gone. Pods keep the state they were last seen in.
func (a *Agent) engineFailed(err error) {
	if a.engine.fail(err.Error()) {
		a.log.Error("engine is gone, pods are left as they are", "error", err)
		a.machine.changed()
		for _, r := range a.allRecords() {
			a.toPlan.add(r.uid) // those that wait for the engine are told
		}
	}
}

// tellOutage tells, once an outage, that a pod can't be begun with because the engine is gone. Pods that have been keep
// running, and the node says what is wrong.
func (a *Agent) tellOutage(r *record, v *view) {
	if v.pod == nil || v.engineGone == "" || v.outage == 0 || v.pod.DeletionTimestamp != nil {
		return
	}
	// What an earlier daemon has made for a pod is not known before the engine is back, but its phase is.
	if len(v.attempts) > 0 || v.pod.Status.Phase != corev1.PodPending {
		return
	}
	r.mu.Lock()
	told := r.outage
	r.outage = v.outage
	r.mu.Unlock()
	if told != v.outage {
		a.tell(v.pod, "", corev1.EventTypeWarning, "FailedCreatePodSandBox", "Failed to create pod sandbox: the engine is gone: %s", v.engineGone)
	}
}

// resync lists the engine's containers and puts right what is known about them.
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
			a.engineFailed(fmt.Errorf("listing containers: %w", err))
		}
		return
	}
	a.dropMissing(before, list)
	if !a.engine.adopted {
		a.adopt()
		a.engine.adopted = true
	}
	if a.engine.recover() {
		a.log.Info("engine is there", "containers", len(list))
		a.machine.changed()
	}
	for _, r := range a.allRecords() {
		a.toPlan.add(r.uid)
	}
}

// knownContainers are the containers that the engine had when it was last asked, by ID.
func (a *Agent) knownContainers() map[string]*record {
	known := map[string]*record{}
	for _, r := range a.allRecords() {
		r.mu.Lock()
		for _, runs := range r.attempts {
			for _, run := range runs {
				if !run.removed {
					known[run.ID] = r
				}
			}
		}
		r.mu.Unlock()
	}
	return known
}

// inspections is how many containers are asked about at a time.
const inspections = 8

// takeIn looks at each listed container about which there is something new.
func (a *Agent) takeIn(ctx context.Context, list []docker.Container) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(inspections)
	for _, c := range list {
		id, ok := identify(c.Labels, a.Name)
		if !ok {
			continue
		}
		r := a.record(id.uid, id.namespace, id.name)
		if r.upToDate(c) {
			continue
		}
		group.Go(func() error {
			err := a.look(ctx, r, c.ID)
			if err == nil || isOutage(err) || ctx.Err() != nil {
				return err
			}
			a.log.Error("container not inspected, what the list says must do", "pod", r.name, "namespace", r.namespace, "container", c.Name, "error", err)
			a.takeAsListed(r, c, id)
			return nil
		})
	}
	return group.Wait()
}

// upToDate tells whether a container is known to be in the listed state.
func (r *record) upToDate(c docker.Container) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.find(c.ID)
	return a != nil && a.State == c.State && a.settled && !a.removed
}

// dropMissing notes which containers are gone: those that were known before the list was made and are not in it.
func (a *Agent) dropMissing(before map[string]*record, list []docker.Container) {
	for _, c := range list {
		delete(before, c.ID)
	}
	for id, r := range before {
		r.mu.Lock()
		if run := r.find(id); run != nil {
			r.gone(run, a.Clock.Now())
		}
		r.mu.Unlock()
	}
}

// engineEvent takes in one event. Nothing here waits for the engine.
func (a *Agent) engineEvent(e docker.Event) {
	id, ok := identify(e.Labels, a.Name)
	if !ok {
		return
	}
	if e.Action == docker.ActionDestroy && a.known(id.uid) == nil {
		return // a late word about what has been forgotten
	}
	r := a.record(id.uid, id.namespace, id.name)
	r.mu.Lock()
	run := r.find(e.ID)
	more := r.apply(run, e)
	r.mu.Unlock()
	if more {
		a.lookLater(r, e.ID)
	}
	if run != nil {
		a.toPlan.add(id.uid)
	}
}

// apply notes what an event tells of a run, and returns whether the engine must be asked for more. Events about a run
// that is being started by the agent itself are no news, but for its end.
func (r *record) apply(run *attempt, e docker.Event) (more bool) {
	if run == nil {
		// Not yet known: a start of our own is about to make it so, or somebody has made it by hand.
		return e.Action != docker.ActionDestroy && !r.anyStart(identityName(e))
	}
	switch e.Action {
	case docker.ActionStart:
		return !run.running() && !r.anyStart(run.nameOf())
	case docker.ActionOOM:
		run.OOMKilled = true
		return false
	case docker.ActionDie:
		r.died(run, e.ExitCode, e.At)
		r.endStop(run)
		return true
	case docker.ActionDestroy:
		r.gone(run, e.At)
	}
	return false
}

func identityName(e docker.Event) string { return e.Labels[labelContainer] }

// anyStart tells whether the agent is starting the container.
func (r *record) anyStart(name string) bool {
	w, ok := r.works[name]
	return ok && w.task == taskStart
}

// endStop gives up a stop that has reached its end: the engine's answer to it may be long in coming.
func (r *record) endStop(run *attempt) {
	if w, ok := r.works[run.nameOf()]; ok && w.task == taskStop && w.attempt == run.number {
		w.cancel()
		drop(&r.works, run.nameOf())
	}
}

// lookLater asks the engine about a container, beside everything else.
func (a *Agent) lookLater(r *record, id string) {
	a.works.start(func(ctx context.Context) {
		if err := a.look(ctx, r, id); err != nil {
			if ctx.Err() == nil {
				a.log.Error("container not inspected", "pod", r.name, "namespace", r.namespace, "container", id, "error", err)
			}
		}
		a.toPlan.add(r.uid)
	})
}

// look asks the engine about a container and takes in the answer.
func (a *Agent) look(ctx context.Context, r *record, id string) error {
	c, err := a.Runtime.Inspect(ctx, id)
	switch {
	case errors.Is(err, docker.ErrNotFound):
		r.mu.Lock()
		defer r.mu.Unlock()
		if run := r.find(id); run != nil {
			r.gone(run, a.Clock.Now())
		}
		return nil
	case isOutage(err):
		a.engineFailed(err)
		return err
	case err != nil:
		r.settle(id)
		return fmt.Errorf("looking at a container of pod %s/%s: %w", r.namespace, r.name, err)
	}
	who, ok := identify(c.Labels, a.Name)
	if !ok {
		return nil
	}
	message := a.terminationMessage(ctx, r, c, who)
	r.mu.Lock()
	defer r.mu.Unlock()
	adopted := r.find(id) == nil && !r.anyStart(who.container)
	run := r.saw(c, who)
	run.adopted = run.adopted || adopted
	if message != "" {
		run.message = message
	}
	return nil
}

// takeAsListed makes do with what the list says of a container that can't be inspected: one that is broken must not keep the
// others from being run.
func (a *Agent) takeAsListed(r *record, c docker.Container, who identity) {
	r.mu.Lock()
	defer r.mu.Unlock()
	adopted := r.find(c.ID) == nil && !r.anyStart(who.container)
	run := r.saw(c, who)
	run.adopted, run.settled = run.adopted || adopted, true
}

// settle makes do with what is known about a run.
func (r *record) settle(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if run := r.find(id); run != nil {
		run.settled = true
	}
}
