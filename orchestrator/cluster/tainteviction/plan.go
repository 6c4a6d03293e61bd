package tainteviction

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
)

// snapshot is what one look at a pod saw.
type snapshot struct {
	pod *corev1.Pod
	// taints are those of its node that evict.
	taints []corev1.Taint
	// since is when its present stay was first seen to be limited, zero if it was
	// not.
	since time.Time
	now   time.Time
}

// plan is what becomes of a pod.
type plan struct {
	// evict says that it goes now, and wait, unless it is 0, in how long it will.
	// If neither is set it stays.
	evict bool
	wait  time.Duration
	// since is when its stay began to be limited, to be kept for the next look.
	since time.Time
	cause string
}

// String is the plan with its cause.
func (p plan) String() string {
	switch {
	case p.evict:
		return "evict: " + p.cause
	case p.wait > 0:
		return fmt.Sprintf("evict in %s: %s", p.wait, p.cause)
	}
	return "keep: " + p.cause
}

// makePlan decides whether a pod may stay on its node. A taint that it does not
// tolerate evicts at once; of those that it tolerates for a time, the shortest
// counts (k8s.io/kubernetes pkg/controller/tainteviction).
func makePlan(s snapshot) plan {
	if len(s.taints) == 0 {
		return plan{cause: "its node has no taint that evicts"}
	}
	limit, limited, why := time.Duration(0), false, ""
	for i := range s.taints {
		stay, forever, ok := tolerated(s.pod.Spec.Tolerations, &s.taints[i])
		if !ok {
			return plan{evict: true, cause: "taint " + s.taints[i].ToString() + " is not tolerated"}
		}
		if !forever && (!limited || stay < limit) {
			limit, limited = stay, true
			why = fmt.Sprintf("taint %s is tolerated for %s", s.taints[i].ToString(), stay)
		}
	}
	if !limited {
		return plan{cause: "all taints are tolerated"}
	}
	since := s.since
	if since.IsZero() {
		since = s.now
	}
	if end := since.Add(limit); s.now.Before(end) {
		return plan{wait: end.Sub(s.now), since: since, cause: why}
	}
	return plan{evict: true, since: since, cause: why}
}

// tolerated reports whether a taint is tolerated, and for how long. The first
// toleration that matches counts, as upstream's GetMatchingTolerations has it.
func tolerated(tolerations []corev1.Toleration, taint *corev1.Taint) (stay time.Duration, forever, ok bool) {
	for i := range tolerations {
		t := &tolerations[i]
		if !t.ToleratesTaint(klog.Logger{}, taint, false) {
			continue
		}
		if t.TolerationSeconds == nil {
			return 0, true, true
		}
		return time.Duration(max(*t.TolerationSeconds, 0)) * time.Second, false, true
	}
	return 0, false, false
}
