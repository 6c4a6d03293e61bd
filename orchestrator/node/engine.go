package node

import (
	"context"
	"errors"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/docker"
	"skiff/orchestrator/node/pod"
)

// notListedYet is why nothing may be planned before the engine's containers are known: every one of
// them would be created again.
const notListedYet = "its containers have not been listed yet"

// engineState says whether the engine can be used.
type engineState struct {
	mu sync.Mutex
	// down is why it can't, empty if it can. outages counts how often it went down.
	down    string
	outages int
	// listing is held while the engine's containers are taken in. adopted says that what an earlier
	// daemon left has been taken over; listing guards it.
	listing sync.Mutex
	adopted bool
}

func (s *engineState) why() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.down
}

// outage returns why the engine can't be used and the number of this outage; 0 is the time before
// the engine was first asked.
func (s *engineState) outage() (why string, number int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.down, s.outages
}

// markDown records why the engine can't be used, and reports whether it could before.
func (s *engineState) markDown(why string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != "" && s.down != notListedYet {
		return false
	}
	s.down = why
	s.outages++
	return true
}

// markUp records that the engine can be used, and reports whether it could not before.
func (s *engineState) markUp() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.down
	s.down = ""
	return was != ""
}

// followEngine handles the engine's events until ctx ends.
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

// watchEngine notices when the engine stops answering and when it is back, and lists its containers
// from time to time in case events were lost. followEngine can't do that: it must not wait.
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
			a.pingEngine(ctx)
		case <-relist.C():
			a.resync(ctx)
		}
	}
}

// relistInterval is how long a lost event can go unnoticed.
const relistInterval = 5 * time.Minute

// pingTimeout is how long the engine may take to answer a ping.
const pingTimeout = 30 * time.Second

// pingEngine finds out whether the engine is available, and lists its containers when it is back.
func (a *Agent) pingEngine(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	err := a.Runtime.Ping(limited)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		a.engineDown(err)
	case a.engine.why() != "":
		a.resync(ctx)
	}
}

// isOutage reports whether an error means that the engine can't be used at all. Any other error
// concerns only what was asked of it.
func isOutage(err error) bool {
	return errors.Is(err, docker.ErrUnavailable) || errors.Is(err, docker.ErrPermission) || errors.Is(err, docker.ErrUnsupported)
}

// engineDown records that the engine can't be used. Pods keep the state in which they were last
// seen.
func (a *Agent) engineDown(err error) {
	if !a.engine.markDown(err.Error()) {
		return
	}
	a.log.Error("engine is not available, pods are left as they are", "error", err)
	a.machine.changed()
	for _, r := range a.records.all() {
		a.toPlan.add(r.uid) // pods that wait for the engine get an event
	}
}

// emitOutage records, once for each outage, that a new pod can't start without the engine. Pods
// that have started run on, and the node's condition says what is wrong.
func (a *Agent) emitOutage(r *record, v *pod.View) {
	if v.Pod == nil || v.EngineDown == "" || v.Outage == 0 || v.Pod.DeletionTimestamp != nil {
		return
	}
	// What an earlier daemon did for a pod is not known before the engine is back, but the pod's
	// phase is.
	if len(v.Attempts) > 0 || v.Pod.Status.Phase != corev1.PodPending {
		return
	}
	if r.firstOutageEvent(v.Outage) {
		a.emit(v.Pod, "", corev1.EventTypeWarning, "FailedCreatePodSandBox", "Failed to create pod sandbox: the engine is gone: %s", v.EngineDown)
	}
}
