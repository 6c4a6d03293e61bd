package up

import (
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/cli/diagnosis"
	"skiff/cli/logs"
)

// history is what was seen of containers, at times of this machine's clock. The server's, in a
// pod's status, may be wrong by any time: it counts only for what had happened when pods were first
// listed.
type history struct {
	running map[instance]sighting
	// deaths are those that the first listing told of.
	deaths map[death]bool
	// blocked is since when containers have been seen waiting for a port of the machine.
	blocked map[container]time.Time
	// endings are those of all containers in the order in which they were seen, and known which they are.
	endings []ending
	known   map[string]bool
}

// container is a container of a pod, in whatever run.
type container struct {
	pod  types.UID
	name string
}

// sighting is when a container was first seen running, and whether that was in the first listing.
type sighting struct {
	at    time.Time
	first bool
}

// death is one end of a container, at a second of the server's clock.
type death struct {
	source logs.Source
	at     int64
}

func newHistory() history {
	return history{running: map[instance]sighting{}, deaths: map[death]bool{}, blocked: map[container]time.Time{}, known: map[string]bool{}}
}

func (h history) clone() history {
	return history{running: maps.Clone(h.running), deaths: maps.Clone(h.deaths), blocked: maps.Clone(h.blocked), endings: h.endings[:len(h.endings):len(h.endings)]}
}

// note takes down what is new about a pod's containers.
func (h *history) note(p *corev1.Pod, now time.Time, first bool) {
	for _, s := range diagnosis.Statuses(p) {
		i := instanceOf(p, &s)
		if _, known := h.running[i]; s.State.Running != nil && !known {
			h.running[i] = sighting{at: now, first: first}
		}
		if t, _ := diagnosis.Termination(&s); t != nil && first {
			h.deaths[deathOf(p, &s, t)] = true
		}
		h.noteEndings(p, &s, now, first)
		h.noteBlocked(container{pod: p.UID, name: s.Name}, s.State.Waiting, now)
	}
}

// noteBlocked takes down since when a container has waited for a port. It is created anew for each
// try, and may then wait for other things for a moment.
func (h history) noteBlocked(c container, w *corev1.ContainerStateWaiting, now time.Time) {
	_, known := h.blocked[c]
	switch {
	case w == nil:
		delete(h.blocked, c)
	case w.Reason == diagnosis.HostPortInUse && !known:
		h.blocked[c] = now
	}
}

// stuck is the failure of a pod one of whose containers has waited for a port for too long.
func (h history) stuck(p *corev1.Pod, now time.Time) *diagnosis.Failure {
	for _, s := range diagnosis.Statuses(p) {
		since, ok := h.blocked[container{pod: p.UID, name: s.Name}]
		w := s.State.Waiting
		if ok && w != nil && w.Reason == diagnosis.HostPortInUse && now.Sub(since) >= diagnosis.PortPatience {
			return diagnosis.Waits(p, w)
		}
	}
	return nil
}

func deathOf(p *corev1.Pod, s *corev1.ContainerStatus, t *corev1.ContainerStateTerminated) death {
	return death{source: instanceOf(p, s).source, at: t.FinishedAt.Unix()}
}
