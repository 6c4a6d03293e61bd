package up

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/cli/diagnosis"
	"skiff/cli/logs"
	"skiff/manifests/podfacts"
)

// A container without a readiness probe is ready as soon as it runs, which it may do only for the
// moment it takes to fail. So it must run for a while before it counts, and its death in that time
// is a failure.

// precision is that of times in a pod's status.
const precision = time.Second

// steady calls fn with the containers of a pod that are to keep running and that no readiness probe
// vouches for.
func steady(p *corev1.Pod, fn func(*corev1.Container)) {
	for i := range p.Spec.InitContainers {
		if c := &p.Spec.InitContainers[i]; podfacts.IsSidecar(c) && c.ReadinessProbe == nil {
			fn(c)
		}
	}
	for i := range p.Spec.Containers {
		if c := &p.Spec.Containers[i]; c.ReadinessProbe == nil {
			fn(c)
		}
	}
}

// status is the state of the container of that name, nil before there is one.
func status(p *corev1.Pod, name string) *corev1.ContainerStatus {
	all := diagnosis.Statuses(p)
	for i := range all {
		if all[i].Name == name {
			return &all[i]
		}
	}
	return nil
}

func instanceOf(p *corev1.Pod, s *corev1.ContainerStatus) instance {
	return instance{source: logs.Source{Namespace: p.Namespace, Pod: p.Name, Container: s.Name}, id: s.ContainerID}
}

// settling returns how long it takes until the pods of a workload that says it is ready have all
// run long enough; 0 when they have. The pods may lag behind their controller: they come by a watch
// of their own.
func (s snapshot) settling(w workload, want int32, own []*corev1.Pod, now time.Time, c criteria) time.Duration {
	if c.settle <= 0 || w.blind {
		return 0
	}
	var longest time.Duration
	settled := int32(0)
	for _, p := range own {
		if p.DeletionTimestamp != nil || podfacts.Terminal(p) || w.kind() != "Pod" && s.outdated(w, p) {
			continue
		}
		switch wait := s.podSettling(p, now, c.settle); {
		case wait > 0:
			longest = max(longest, wait)
		case podfacts.Ready(p):
			settled++
		}
	}
	if longest == 0 && settled < want {
		return c.settle
	}
	return longest
}

func (s snapshot) podSettling(p *corev1.Pod, now time.Time, settle time.Duration) time.Duration {
	var longest time.Duration
	steady(p, func(c *corev1.Container) {
		st := status(p, c.Name)
		if st == nil || st.State.Running == nil {
			return // then the pod is not ready
		}
		seen, ok := s.running[instanceOf(p, st)]
		if began := st.State.Running.StartedAt; seen.first && !began.IsZero() && now.Sub(began.Time) >= settle+precision {
			return
		}
		wait := settle
		if ok {
			wait -= now.Sub(seen.at)
		}
		longest = max(longest, wait)
	})
	return longest
}

// died returns the failure of a container that ended before it had settled, since the run began.
func (c criteria) died(p *corev1.Pod) *diagnosis.Failure {
	if c.settle <= 0 {
		return nil
	}
	var f *diagnosis.Failure
	steady(p, func(spec *corev1.Container) {
		s := status(p, spec.Name)
		if s == nil || f != nil {
			return
		}
		t, _ := diagnosis.Termination(s)
		if t == nil || c.endedBefore(p, s, t) || !staysUp(p, spec, t.ExitCode) {
			return
		}
		if t.FinishedAt.Sub(t.StartedAt.Time) <= roundUp(c.settle) {
			f = diagnosis.Died(p, s)
		}
	})
	return f
}

// endedBefore reports whether a container had ended before the run began.
func (c criteria) endedBefore(p *corev1.Pod, s *corev1.ContainerStatus, t *corev1.ContainerStateTerminated) bool {
	return c.history.deaths[deathOf(p, s, t)] && t.FinishedAt.Time.Before(c.since.Truncate(precision))
}

// staysUp reports whether a container that has ended with this code is started again.
func staysUp(p *corev1.Pod, c *corev1.Container, code int32) bool {
	policy := p.Spec.RestartPolicy
	if c.RestartPolicy != nil {
		policy = corev1.RestartPolicy(*c.RestartPolicy)
	}
	return policy == corev1.RestartPolicyAlways || policy == corev1.RestartPolicyOnFailure && code != 0
}

// roundUp is d in the precision of a pod's status.
func roundUp(d time.Duration) time.Duration {
	return (d + precision - 1).Truncate(precision)
}
