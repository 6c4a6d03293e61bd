package replicas

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/manifests/podfacts"
	"skiff/orchestrator/workload"
)

// burst is the most pods one look creates or deletes; the next look does the
// rest, if it is still wanted and, of what is missing, if there is room for it.
const burst = 500

// snapshot is what one look at a set saw.
type snapshot struct {
	set set
	// pods are those the set controls, and those of its namespace that nothing
	// controls.
	pods []*corev1.Pod
	// related are pods of the same application beside which a pod may be one too
	// many: those of all ReplicaSets of the set's own controller.
	related []*corev1.Pod
	now     time.Time
}

// plan is what is to be done about a set.
type plan struct {
	adopt, release []*corev1.Pod
	// create is how many pods are missing and delete which are too many: one of
	// the two is empty. current and desired are the cause.
	create           int
	delete           []workload.Victim
	current, desired int
}

// claims reports whether the plan changes which pods are the set's.
func (p plan) claims() bool { return len(p.adopt)+len(p.release) > 0 }

// String is the plan's steps, one a line, each with its cause.
func (p plan) String() string {
	var lines []string
	for _, pod := range p.release {
		lines = append(lines, fmt.Sprintf("release pod %s: labels no longer match", pod.Name))
	}
	for _, pod := range p.adopt {
		lines = append(lines, fmt.Sprintf("adopt pod %s: matches selector, no controller", pod.Name))
	}
	if p.create > 0 {
		noun := "pods"
		if p.create == 1 {
			noun = "pod"
		}
		lines = append(lines, fmt.Sprintf("create %d %s: %d current, %d desired", p.create, noun, p.current, p.desired))
	}
	for _, v := range p.delete {
		lines = append(lines, fmt.Sprintf("delete pod %s: surplus, %s", v.Pod.Name, v.Cause))
	}
	return strings.Join(lines, "\n")
}

// makePlan compares what a set wants with what there is. It needs no memory of
// what it ordered before (upstream's "expectations"): see the package comment.
func makePlan(s snapshot) plan {
	claims := workload.Claim(s.set.object, s.set.selector, activeOf(s.pods))
	p := plan{adopt: claims.Adopt, release: claims.Release}
	if s.set.object.GetDeletionTimestamp() != nil {
		return p
	}
	// A pod to be adopted counts at once. When it has been, or could not be, there
	// is another plan before any pod is created or deleted.
	mine := append(claims.Owned, claims.Adopt...)
	p.current, p.desired = len(mine), s.set.replicas
	switch missing := p.desired - p.current; {
	case missing > 0:
		p.create = min(missing, burst, workload.Room(mine))
	case missing < 0:
		p.delete = workload.Victims(mine, s.related, min(-missing, burst), s.now)
	}
	return p
}

func activeOf(pods []*corev1.Pod) []*corev1.Pod {
	var active []*corev1.Pod
	for _, p := range pods {
		if podfacts.Active(p) {
			active = append(active, p)
		}
	}
	return active
}
