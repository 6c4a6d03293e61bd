package up

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// ending is one end of a container.
type ending struct {
	corev1.ContainerStateTerminated
	// pod is the container's as it was when that was first seen; another time it may be gone.
	pod       *corev1.Pod
	container string
	// first reports whether the first listing told of it.
	first bool
	// seen is when it was first seen, by this machine's clock.
	seen time.Time
}

// noteEndings takes down how a container has ended, now and before its last restart.
func (h *history) noteEndings(p *corev1.Pod, s *corev1.ContainerStatus, now time.Time, first bool) {
	for _, t := range []*corev1.ContainerStateTerminated{s.LastTerminationState.Terminated, s.State.Terminated} {
		if t == nil {
			continue
		}
		e := ending{ContainerStateTerminated: *t, pod: p, container: s.Name, first: first, seen: now}
		if key := e.key(); !h.known[key] {
			h.known[key] = true
			h.endings = append(h.endings, e)
		}
	}
}

// spec is the container's, nil for an ephemeral one; init reports whether others wait for its end.
func (e *ending) spec() (c *corev1.Container, init bool) {
	for i := range e.pod.Spec.InitContainers {
		if c := &e.pod.Spec.InitContainers[i]; c.Name == e.container {
			return c, c.RestartPolicy == nil
		}
	}
	for i := range e.pod.Spec.Containers {
		if c := &e.pod.Spec.Containers[i]; c.Name == e.container {
			return c, false
		}
	}
	return nil, false
}

// isDeath reports whether a container should not have ended like this: it failed, or was to keep running.
// One whose pod is being deleted was told to end.
func (e *ending) isDeath() bool {
	if e.pod.DeletionTimestamp != nil {
		return false
	}
	c, init := e.spec()
	return e.ExitCode != 0 || c != nil && !init && staysUp(e.pod, c, e.ExitCode)
}

// text is how the container ended, with the cause where one is known.
func (e *ending) text(cause string) string { return "ended with exit code " + e.codeAndCause(cause) }

// brief is the same for where there is little room.
func (e *ending) brief(cause string) string { return "exit " + e.codeAndCause(cause) }

func (e *ending) codeAndCause(cause string) string {
	return fmt.Sprintf("%d (%s)", e.ExitCode, cmp.Or(cause, e.Reason, "Error"))
}

// since are the endings since a run of up began.
func (h *history) since(began time.Time) []ending {
	return slices.DeleteFunc(slices.Clone(h.endings), func(e ending) bool {
		return e.first && e.FinishedAt.Time.Before(began.Truncate(precision))
	})
}

// endingsOf are those of the pods of a workload, also of pods that are gone.
func (s *snapshot) endingsOf(w workload, began time.Time) []ending {
	owners := s.ownersOf(w)
	return slices.DeleteFunc(s.since(began), func(e ending) bool {
		ref := metav1.GetControllerOf(e.pod)
		return !slices.Contains(owners, e.pod.UID) && (ref == nil || !slices.Contains(owners, ref.UID))
	})
}

// ownersOf are the UIDs that the controllers of a workload's pods have, and its own.
func (s *snapshot) ownersOf(w workload) []types.UID {
	if w.value == nil {
		return nil
	}
	owners := []types.UID{w.value.GetUID()}
	for _, rs := range s.sets {
		if ref := metav1.GetControllerOf(rs); ref != nil && ref.UID == owners[0] {
			owners = append(owners, rs.UID)
		}
	}
	return owners
}

// deathLine is one line about a death.
func (s *snapshot) deathLine(e *ending) string {
	return fmt.Sprintf("pod/%s: container %s %s", e.pod.Name, e.container, e.text(s.causeOf(e)))
}

// causeOf is why a container ended, "" where nothing but its exit code tells.
func (s *snapshot) causeOf(e *ending) string {
	return s.incidents.causeOf(container{e.pod.UID, e.container}, e.StartedAt.Time, e.FinishedAt.Time)
}

// causePatience is how long the line about a container that was killed waits for the event that says why:
// events come on a way of their own.
const causePatience = 500 * time.Millisecond

// tell prints a line for each death that has not been told yet. With quiet they only count as told. It
// reports whether one waits for its cause.
func (r *runner) tell(s snapshot, quiet bool) (waits bool) {
	for _, w := range s.workloads {
		for _, e := range s.endingsOf(w, r.start) {
			key := e.key()
			if !e.isDeath() || r.told[key] {
				continue
			}
			if !quiet && e.wasKilled() && s.causeOf(&e) == "" && r.env.Now().Sub(e.seen) < causePatience {
				waits = true
				continue
			}
			r.told[key] = true
			if !quiet {
				fmt.Fprintln(r.env.Err, r.deathStyle(s.deathLine(&e)))
			}
		}
	}
	return waits
}

// key tells endings apart.
func (e *ending) key() string {
	return string(e.pod.UID) + "/" + e.container + "/" + cmp.Or(e.ContainerID, e.FinishedAt.String())
}

// wasKilled reports whether a signal ended the container, for a reason that is not known.
func (e *ending) wasKilled() bool { return e.ExitCode > 128 && (e.Reason == "Error" || e.Reason == "") }

// deathStyle makes a line stand out at a terminal.
func (r *runner) deathStyle(text string) string {
	if !r.env.Terminal.Err {
		return text
	}
	return r.env.Terminal.Style(r.env.Err).NewStyle().Foreground(failedColour).Render(signs[failed] + " " + text)
}

// lowered is a sentence as part of another one.
func lowered(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToLower(s[:1]) + s[1:]
}
