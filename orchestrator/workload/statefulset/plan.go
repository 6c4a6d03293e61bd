package statefulset

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
	"skiff/orchestrator/workload/revision"
)

// snapshot is what one look at a set saw.
type snapshot struct {
	set      *appsv1.StatefulSet
	selector labels.Selector
	// pods are those the set controls, and those of its namespace that nothing
	// controls.
	pods []*corev1.Pod
	// claims are those of the set's namespace, by name.
	claims map[string]*corev1.PersistentVolumeClaim
	// current is the revision that the set was last at with all its pods, update
	// the one it is to get to; often they are the same.
	current, update *appsv1.ControllerRevision
	now             time.Time
}

// verb is what a step does.
type verb string

const (
	createClaim verb = "create claim"
	ownClaim    verb = "change owners of claim"
	createPod   verb = "create pod"
	refusePod   verb = "refuse pod"
	updatePod   verb = "update pod"
	deletePod   verb = "delete pod"
	wait        verb = "wait for pod"
)

// step is one thing to do, or to wait for.
type step struct {
	do      verb
	ordinal int
	pod     *corev1.Pod                   // nil for one that is to be created
	claim   *corev1.PersistentVolumeClaim // as it is, or as it is to be created
	from    *appsv1.ControllerRevision    // what a pod is created from
	cause   string
	name    string // of what the step is about
}

func (s step) String() string {
	text := fmt.Sprintf("%s %s", s.do, s.name)
	if s.from != nil {
		text += " of revision " + s.from.Name
	}
	return text + ": " + s.cause
}

// turn is what is to be done about one pod, in order; when a step fails, the rest
// of the turn has to wait.
type turn []step

// plan is what is to be done about a set. Its phases come one after another, and
// a phase only if nothing has failed in the one before. Within a phase the turns
// are taken one by one, or together if the set does not keep an order.
type plan struct {
	adopt, release []*corev1.Pod
	phases         [3][]turn // replicas, those scaled away, updates
	together       bool
}

func (p plan) claims() bool { return len(p.adopt)+len(p.release) > 0 }

// String is the plan's steps, one a line, each with its cause.
func (p plan) String() string {
	var lines []string
	for _, pod := range p.release {
		lines = append(lines, fmt.Sprintf("release pod %s: no longer a member", pod.Name))
	}
	for _, pod := range p.adopt {
		lines = append(lines, fmt.Sprintf("adopt pod %s: a member without controller", pod.Name))
	}
	for _, phase := range p.phases {
		for _, t := range phase {
			for _, s := range t {
				lines = append(lines, s.String())
			}
		}
	}
	return strings.Join(lines, "\n")
}

// members sorts the pods by whether they are the set's. One whose name is not
// that of a member is none, whatever its labels.
func (s *snapshot) members() workload.Claims[*corev1.Pod] {
	c := workload.Claim(metav1.Object(s.set), s.selector, s.pods)
	isMember := func(p *corev1.Pod) bool { _, ok := ordinalOf(s.set, p.Name); return ok }
	out := workload.Claims[*corev1.Pod]{Release: c.Release}
	for _, p := range c.Owned {
		switch {
		case isMember(p):
			out.Owned = append(out.Owned, p)
		case s.set.DeletionTimestamp == nil:
			out.Release = append(out.Release, p)
		}
	}
	for _, p := range c.Adopt {
		if isMember(p) {
			out.Adopt = append(out.Adopt, p)
		}
	}
	return out
}

// planner collects the steps of a plan.
type planner struct {
	*snapshot
	// replicas are the pods there are of the set's ordinals, counted from 0;
	// condemned those of other ordinals, the highest first. The set may want many
	// more than there will ever be.
	replicas  map[int]*corev1.Pod
	condemned []*corev1.Pod
	plan      plan
	turn      turn
}

// makePlan compares what a set wants with what there is.
func makePlan(s *snapshot) (plan, error) {
	mine := s.members()
	p := &planner{snapshot: s, plan: plan{adopt: mine.Adopt, release: mine.Release, together: !ordered(s.set)}}
	if p.plan.claims() || s.set.DeletionTimestamp != nil {
		return p.plan, nil // what is to be done is seen once it is known whose the pods are
	}
	p.sort(mine.Owned)
	if p.keep() && p.retain() && p.scaleDown() && rolls(s.set) {
		if err := p.roll(); err != nil {
			return p.plan, err
		}
	}
	return p.plan, nil
}

func (p *planner) sort(pods []*corev1.Pod) {
	start := first(p.set)
	p.replicas = map[int]*corev1.Pod{}
	for _, pod := range pods {
		n, _ := ordinalOf(p.set, pod.Name)
		if n >= start && n < end(p.set) {
			p.replicas[n-start] = pod
		} else {
			p.condemned = append(p.condemned, pod)
		}
	}
	slices.SortFunc(p.condemned, func(a, b *corev1.Pod) int {
		m, _ := ordinalOf(p.set, a.Name)
		n, _ := ordinalOf(p.set, b.Name)
		return cmp.Compare(n, m)
	})
}

// add adds a step to the present turn.
func (p *planner) add(s step) {
	switch {
	case s.claim != nil:
		s.name = s.claim.Name
	case s.pod != nil:
		s.name = s.pod.Name
	default:
		s.name = podName(p.set, s.ordinal)
	}
	p.turn = append(p.turn, s)
}

// next ends the present turn.
func (p *planner) next(phase int) {
	if p.turn != nil {
		p.plan.phases[phase] = append(p.plan.phases[phase], p.turn)
	}
	p.turn = nil
}

// keep sees to it that each ordinal has its pod, and reports whether the plan may go
// on: a set that keeps an order waits for each pod to be available before it looks
// at the next.
func (p *planner) keep() bool {
	for _, i := range p.due() {
		blocked := p.keepOne(first(p.set)+i, p.replicas[i])
		p.next(0)
		if blocked && ordered(p.set) {
			return false
		}
	}
	return true
}

// due are the ordinals to look at, counted from 0: those that have a pod, and the
// lowest that have none, as many as may be given one.
func (p *planner) due() []int {
	due := p.existing()
	room := 1 // where an order is kept, the next has to wait for it
	if !ordered(p.set) {
		room = workload.Room(activeOf(p.replicas))
	}
	for i := 0; i < replicas(p.set) && room > 0; i++ {
		if p.replicas[i] == nil {
			due = append(due, i)
			room--
		}
	}
	slices.Sort(due)
	return due
}

// existing are the ordinals that have a pod, counted from 0, the lowest first.
func (p *planner) existing() []int { return slices.Sorted(maps.Keys(p.replicas)) }

func activeOf(pods map[int]*corev1.Pod) []*corev1.Pod {
	return slices.DeleteFunc(slices.Collect(maps.Values(pods)), func(p *corev1.Pod) bool { return !podfacts.Active(p) })
}

func (p *planner) keepOne(ordinal int, pod *corev1.Pod) (blocked bool) {
	if pod == nil {
		p.create(ordinal)
		return true
	}
	going := pod.DeletionTimestamp != nil
	switch {
	case podfacts.Terminal(pod):
		if !going {
			p.add(step{do: deletePod, ordinal: ordinal, pod: pod, cause: "it has ended in phase " + string(pod.Status.Phase)})
		}
		return true
	case pod.Status.Phase == corev1.PodPending && !going && !p.makeClaims(ordinal, pod):
		return true
	}
	if ordered(p.set) {
		if why := p.unavailable(pod); why != "" {
			p.add(step{do: wait, ordinal: ordinal, pod: pod, cause: why})
			return true
		}
	}
	if !going {
		p.restore(ordinal, pod)
	}
	return false
}

// unavailable is why a pod is not available, empty if it is.
func (p *planner) unavailable(pod *corev1.Pod) string {
	switch {
	case pod.DeletionTimestamp != nil:
		return "it is terminating"
	case !runningAndReady(pod):
		return "it is not running and ready"
	case !p.available(pod):
		return "it is not available yet"
	}
	return ""
}

// create plans a missing pod, once its claims are there.
func (p *planner) create(ordinal int) {
	r := p.retention(ordinal, nil)
	if r.deletesWithScale() {
		for _, c := range p.claimsOf(ordinal) {
			if r.pod.stale(c) {
				p.add(step{do: wait, ordinal: ordinal, cause: "its claim " + c.Name + " is still that of the pod before it"})
				return
			}
		}
	}
	if p.makeClaims(ordinal, nil) {
		p.add(step{do: createPod, ordinal: ordinal, from: p.revisionFor(ordinal), cause: fmt.Sprintf("ordinal %d of %d has none", ordinal, replicas(p.set))})
	}
}

// restore plans to give a pod back what makes it a member.
func (p *planner) restore(ordinal int, pod *corev1.Pod) {
	p.fixOwners(ordinal, pod)
	switch {
	case pod.Labels[appsv1.StatefulSetPodNameLabel] != pod.Name:
		p.add(step{do: updatePod, ordinal: ordinal, pod: pod, cause: "it has lost its identity"})
	case !mountsClaims(p.set, pod, ordinal):
		p.add(step{do: updatePod, ordinal: ordinal, pod: pod, cause: "it does not mount its claims"})
	}
}

// retain sees to the owners of the claims of pods that are scaled away.
func (p *planner) retain() bool {
	for _, pod := range p.condemned {
		n, _ := ordinalOf(p.set, pod.Name)
		p.fixOwners(n, pod)
		p.next(1)
	}
	return true
}

// scaleDown takes away the pods of ordinals that are not wanted any more: one
// after another, from the highest on, if the set keeps an order.
func (p *planner) scaleDown() bool {
	unhealthy := p.firstUnhealthy()
	for _, pod := range p.condemned {
		n, _ := ordinalOf(p.set, pod.Name)
		why := p.unavailable(pod)
		switch {
		case pod.DeletionTimestamp != nil && !ordered(p.set):
			continue
		case ordered(p.set) && (pod.DeletionTimestamp != nil || why != "" && pod != unhealthy):
			p.add(step{do: wait, ordinal: n, pod: pod, cause: why})
		default:
			p.add(step{do: deletePod, ordinal: n, pod: pod, cause: fmt.Sprintf("%d replicas are wanted", replicas(p.set))})
		}
		p.next(1)
		if ordered(p.set) {
			return false
		}
	}
	return true
}

// firstUnhealthy is the pod of the lowest ordinal that is not available, those
// within the range first. Only that one is scaled away without being available:
// else two would be missing at a time.
func (p *planner) firstUnhealthy() *corev1.Pod {
	for i := range replicas(p.set) {
		if pod := p.replicas[i]; !p.available(pod) {
			return pod
		}
	}
	for _, pod := range slices.Backward(p.condemned) {
		if !p.available(pod) {
			return pod
		}
	}
	return nil
}

// outdated reports whether an update has to replace a pod.
func (p *planner) outdated(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && revision.PodLabel(pod) != p.update.Name
}

// roll replaces pods of another revision, from the highest ordinal down to the
// partition, as many at a time as may be unavailable. Parallel sets replace all
// those at once that are unavailable anyway.
func (p *planner) roll() error {
	limit, err := maxUnavailable(p.set)
	if err != nil {
		return err
	}
	budget := limit - replicas(p.set)
	for _, pod := range p.replicas {
		if p.available(pod) {
			budget++
		}
	}
	replace := func(i int, cause string) {
		p.add(step{do: deletePod, ordinal: first(p.set) + i, pod: p.replicas[i], cause: cause})
		p.next(2)
	}
	reached := slices.DeleteFunc(p.existing(), func(i int) bool { return i < partition(p.set) || !p.outdated(p.replicas[i]) })
	slices.Reverse(reached)
	for _, i := range reached {
		if !ordered(p.set) && !p.available(p.replicas[i]) {
			replace(i, fmt.Sprintf("update to %s, it is unavailable", p.update.Name))
		}
	}
	for _, i := range reached {
		if budget > 0 && (ordered(p.set) || p.available(p.replicas[i])) {
			replace(i, "update to "+p.update.Name)
			budget--
		}
	}
	return nil
}
