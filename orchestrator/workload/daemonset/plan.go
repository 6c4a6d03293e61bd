package daemonset

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"skiff/manifests/podfacts"
	"skiff/orchestrator/workload"
)

// burst is the most pods one look creates, and the most it deletes; the next look
// does the rest, if it is still wanted.
const burst = 250

// snapshot is what one look at a set saw.
type snapshot struct {
	set      *appsv1.DaemonSet
	selector labels.Selector
	// pods are those the set controls, and those of its namespace that nothing
	// controls.
	pods []*corev1.Pod
	// nodes are all there are, by name.
	nodes []*corev1.Node
	// hash is that of the set's present template.
	hash string
	// retry is when a failed pod on a node may be replaced.
	retry map[string]time.Time
	now   time.Time
}

// creation is a pod to be created, and deletion one to be deleted.
type creation struct{ node, cause string }

type deletion struct {
	pod   *corev1.Pod
	cause string
	// ended is the phase of a pod that has ended by itself, which is an event.
	ended corev1.PodPhase
	node  string
}

// plan is what is to be done about a set.
type plan struct {
	adopt, release []*corev1.Pod
	create         []creation
	delete         []deletion
	// after is the time until a failed pod may be replaced, 0 if none has to wait.
	after time.Duration
}

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
	for _, d := range p.delete {
		lines = append(lines, fmt.Sprintf("delete pod %s on node %s: %s", d.pod.Name, d.node, d.cause))
	}
	for _, c := range p.create {
		lines = append(lines, fmt.Sprintf("create pod on node %s: %s", c.node, c.cause))
	}
	return strings.Join(lines, "\n")
}

// planner collects the steps of a plan.
type planner struct {
	*snapshot
	target target
	// onNode are the set's pods by the node they are on or pinned to. Those that
	// have ended and been told to go are somebody else's business.
	onNode map[string][]*corev1.Pod
	plan   plan
}

// makePlan compares what a set wants with what there is. Only when every node has
// its pod, an update goes on.
func makePlan(s *snapshot) (plan, error) {
	claims := workload.Claim(metav1.Object(s.set), s.selector, s.pods)
	p := &planner{
		snapshot: s, target: targetOf(s.set), onNode: onNodes(claims.Owned),
		plan: plan{adopt: claims.Adopt, release: claims.Release},
	}
	if p.plan.claims() || s.set.DeletionTimestamp != nil {
		return p.plan, nil // what is to be done is seen once it is known whose the pods are
	}
	for _, n := range s.nodes {
		p.manage(n)
	}
	p.sweep()
	var err error
	if len(p.plan.create)+len(p.plan.delete) == 0 && s.set.Spec.UpdateStrategy.Type == appsv1.RollingUpdateDaemonSetStrategyType {
		err = p.roll()
	}
	p.plan.create = p.plan.create[:min(len(p.plan.create), burst)]
	p.plan.delete = p.plan.delete[:min(len(p.plan.delete), burst)]
	return p.plan, err
}

func onNodes(pods []*corev1.Pod) map[string][]*corev1.Pod {
	out := map[string][]*corev1.Pod{}
	for _, pod := range pods {
		if podfacts.Terminal(pod) && pod.DeletionTimestamp != nil {
			continue
		}
		if node := nodeOf(pod); node != "" {
			out[node] = append(out[node], pod)
		}
	}
	for _, on := range out {
		slices.SortFunc(on, eldestFirst)
	}
	return out
}

// eldestFirst puts pods that are on their node before those that have yet to get
// there.
func eldestFirst(a, b *corev1.Pod) int {
	if scheduled := a.Spec.NodeName != ""; scheduled != (b.Spec.NodeName != "") {
		if scheduled {
			return -1
		}
		return 1
	}
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
}

func (p *planner) create(node, cause string) {
	p.plan.create = append(p.plan.create, creation{node, cause})
}

func (p *planner) delete(node, cause string, pods ...*corev1.Pod) {
	for _, pod := range pods {
		if pod.DeletionTimestamp == nil {
			p.plan.delete = append(p.plan.delete, deletion{pod: pod, cause: cause, node: node})
		}
	}
}

// manage sees to it that a node has the pod it should have, and no more.
func (p *planner) manage(n *corev1.Node) {
	wish, pods := p.target.of(n), p.onNode[n.Name]
	switch {
	case !wish.stay:
		p.delete(n.Name, "none is wanted here", pods...)
		return
	case len(pods) == 0:
		if wish.run {
			p.create(n.Name, "it has none")
		}
		return
	}
	alive := p.replaceEnded(n.Name, pods)
	switch {
	case p.surges() && len(alive) == 0 && wish.run:
		p.create(n.Name, "none of those it has lives on")
	case len(alive) > 1 && p.surges():
		p.pruneSurge(n.Name, alive)
	case len(alive) > 1:
		p.delete(n.Name, "one is enough", p.bestFirst(alive)[1:]...)
	}
}

// bestFirst puts pods that are ready before those that are not, and those of the present template before
// others; the eldest come first among equals. (Upstream's keeps the eldest of several pods, also when
// that is the one that does not serve: a set that stops to surge loses its ready pods.)
func (p *planner) bestFirst(pods []*corev1.Pod) []*corev1.Pod {
	rank := func(pod *corev1.Pod) int {
		switch ready, present := podfacts.Ready(pod), p.updated(pod); {
		case ready && present:
			return 0
		case ready:
			return 1
		case present:
			return 2
		}
		return 3
	}
	sorted := slices.Clone(pods)
	slices.SortStableFunc(sorted, func(a, b *corev1.Pod) int { return cmp.Compare(rank(a), rank(b)) })
	return sorted
}

// replaceEnded deletes the pods that have ended, so that others take their place,
// and returns those that live. One that failed waits for its backoff.
func (p *planner) replaceEnded(node string, pods []*corev1.Pod) (alive []*corev1.Pod) {
	for _, pod := range pods {
		switch {
		case pod.DeletionTimestamp != nil:
		case !podfacts.Terminal(pod):
			alive = append(alive, pod)
		case pod.Status.Phase == corev1.PodFailed && p.retry[node].After(p.now):
			if left := p.retry[node].Sub(p.now); p.plan.after == 0 || left < p.plan.after {
				p.plan.after = left
			}
		default:
			p.plan.delete = append(p.plan.delete, deletion{
				pod: pod, cause: "it has ended in phase " + string(pod.Status.Phase), ended: pod.Status.Phase, node: node,
			})
		}
	}
	return alive
}

// pruneSurge leaves at most one pod of the present template and one of another on
// a node: the latter until it is not ready, or the new one is available.
func (p *planner) pruneSurge(node string, pods []*corev1.Pod) {
	var fresh, old *corev1.Pod
	for _, pod := range p.bestFirst(pods) {
		slot := &old
		if p.updated(pod) {
			slot = &fresh
		}
		if *slot != nil {
			p.delete(node, "one of a template is enough", pod)
			continue
		}
		*slot = pod
	}
	if fresh == nil || old == nil {
		return
	}
	switch {
	case !podfacts.Ready(old):
		p.delete(node, "it is not ready and a newer one is there", old)
	case p.available(fresh):
		p.delete(node, "a newer one is available", old)
	}
}

// sweep deletes pods that wait for a node that is gone: nobody else would.
func (p *planner) sweep() {
	there := map[string]bool{}
	for _, n := range p.nodes {
		there[n.Name] = true
	}
	for _, node := range slices.Sorted(maps.Keys(p.onNode)) {
		for _, pod := range p.onNode[node] {
			if !there[node] && pod.Spec.NodeName == "" {
				p.delete(node, "there is no such node", pod)
			}
		}
	}
}

func (s *snapshot) available(pod *corev1.Pod) bool {
	return podfacts.Available(pod, time.Duration(s.set.Spec.MinReadySeconds)*time.Second, s.now)
}
