package workload

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/manifests/podfacts"
)

// Victim is a pod that is to go, and why it and not another.
type Victim struct {
	Pod   *corev1.Pod
	Cause string
}

// Victims chooses n of a controller's active pods to be deleted, those that
// will be missed least first. related are pods of the same application, the
// controller's own among them: with several on one node, one there goes first.
//
// The order is upstream's ActivePodsWithRanks (k8s.io/kubernetes
// pkg/controller/controller_utils.go).
func Victims(pods, related []*corev1.Pod, n int, now time.Time) []Victim {
	n = min(n, len(pods))
	if n <= 0 {
		return nil
	}
	ranked := rank(pods, related)
	slices.SortFunc(ranked, func(a, b *ranking) int { order, _ := compare(a, b, now); return order })
	victims := make([]Victim, n)
	for i, r := range ranked[:n] {
		victims[i] = Victim{Pod: r.pod, Cause: "none is wanted"}
		if n < len(ranked) {
			_, victims[i].Cause = compare(r, ranked[n], now)
		}
	}
	return victims
}

// ranking is what the order of pods depends on.
type ranking struct {
	pod       *corev1.Pod
	phase     int
	ready     bool
	since     time.Time // of its being ready
	cost      int32
	neighbors int // active related pods on the same node
	restarts  int
	sidecars  int // restarts of sidecar containers
}

func rank(pods, related []*corev1.Pod) []*ranking {
	onNode := map[string]int{}
	for _, p := range related {
		if podfacts.Active(p) {
			onNode[p.Spec.NodeName]++
		}
	}
	ranked := make([]*ranking, len(pods))
	for i, p := range pods {
		restarts, sidecars := restartCounts(p)
		since, ready := podfacts.ReadySince(p)
		ranked[i] = &ranking{
			pod: p, phase: phaseOrder(p.Status.Phase), ready: ready, since: since, cost: deletionCost(p),
			neighbors: onNode[p.Spec.NodeName], restarts: restarts, sidecars: sidecars,
		}
	}
	return ranked
}

// compare is negative when a goes before b. The cause says what about a decided
// it.
func compare(a, b *ranking, now time.Time) (order int, cause string) {
	if order = falseFirst(a.pod.Spec.NodeName != "", b.pod.Spec.NodeName != ""); order != 0 {
		return order, "on no node yet"
	}
	if order = cmp.Compare(a.phase, b.phase); order != 0 {
		return order, "phase " + string(a.pod.Status.Phase)
	}
	if order = falseFirst(a.ready, b.ready); order != 0 {
		return order, "not ready"
	}
	if order = cmp.Compare(a.cost, b.cost); order != 0 {
		return order, fmt.Sprintf("deletion cost %d", a.cost)
	}
	if order = cmp.Compare(b.neighbors, a.neighbors); order != 0 {
		return order, fmt.Sprintf("one of %d on node %s", a.neighbors, a.pod.Spec.NodeName)
	}
	if a.ready && b.ready && !a.since.Equal(b.since) {
		return youngerFirst(a, b, a.since, b.since, now), "ready for less long"
	}
	if order = cmp.Compare(b.restarts, a.restarts); order != 0 {
		return order, fmt.Sprintf("%d restarts", a.restarts)
	}
	if order = cmp.Compare(b.sidecars, a.sidecars); order != 0 {
		return order, fmt.Sprintf("%d sidecar restarts", a.sidecars)
	}
	bornA, bornB := a.pod.CreationTimestamp, b.pod.CreationTimestamp
	if !bornA.Equal(&bornB) {
		return youngerFirst(a, b, bornA.Time, bornB.Time, now), "younger"
	}
	// Upstream leaves the order of equals to chance.
	return cmp.Compare(a.pod.UID, b.pod.UID), "no different from the others"
}

func falseFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case !a:
		return -1
	}
	return 1
}

// youngerFirst compares the pods' ages by order of magnitude in base 2. Within one, their UIDs
// decide, which is as good as chance: always to take the newest would in time leave all pods in the
// zone that was filled first.
// https://github.com/kubernetes/enhancements/tree/master/keps/sig-apps/2185-random-pod-select-on-replicaset-downscale
func youngerFirst(a, b *ranking, sinceA, sinceB, now time.Time) int {
	if sinceA.IsZero() || sinceB.IsZero() {
		return falseFirst(!sinceA.IsZero(), !sinceB.IsZero())
	}
	if order := cmp.Compare(magnitude(now.Sub(sinceA)), magnitude(now.Sub(sinceB))); order != 0 {
		return order
	}
	return cmp.Compare(a.pod.UID, b.pod.UID)
}

func magnitude(age time.Duration) int {
	if age <= 0 {
		return -1
	}
	return int(math.Log2(float64(age)))
}

// phaseOrder counts a phase that is not known as upstream's map of phases does:
// like Pending.
func phaseOrder(p corev1.PodPhase) int {
	switch p {
	case corev1.PodUnknown:
		return 1
	case corev1.PodRunning:
		return 2
	}
	return 0
}

// deletionCost is the annotation that lets a pod say how much it would be
// missed, 0 when it is not there or is not a number in canonical form.
func deletionCost(p *corev1.Pod) int32 {
	value := p.Annotations[corev1.PodDeletionCost]
	cost, err := strconv.ParseInt(value, 10, 32)
	if err != nil || value[0] == '+' || value[0] == '0' && value != "0" {
		return 0
	}
	return int32(cost)
}

func restartCounts(p *corev1.Pod) (containers, sidecars int) {
	for i := range p.Status.ContainerStatuses {
		containers = max(containers, int(p.Status.ContainerStatuses[i].RestartCount))
	}
	for i := range p.Status.InitContainerStatuses {
		s := &p.Status.InitContainerStatuses[i]
		if podfacts.HasSidecar(p, s.Name) {
			sidecars = max(sidecars, int(s.RestartCount))
		}
	}
	return containers, sidecars
}
