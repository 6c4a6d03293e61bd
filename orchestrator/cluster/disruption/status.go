package disruption

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"skiff/manifests/podfacts"
)

// deletionTimeout is for how long a pod whose eviction was granted counts as
// good as gone, when its deletion does not follow. It is upstream's.
const deletionTimeout = 2 * time.Minute

// snapshot is what one look at a budget saw.
type snapshot struct {
	budget *policyv1.PodDisruptionBudget
	// pods are those it selects.
	pods []*corev1.Pod
	// scales are how many pods each of their controllers shall have, by the
	// controller's UID; for a Deployment's pods it is the Deployment.
	scales map[types.UID]int32
	// unmanaged are pods without a controller, scaleError is why a controller's
	// scale is not known: both matter only where a scale is needed.
	unmanaged  []string
	scaleError error
	now        time.Time
}

// outcome is what a look came to.
type outcome struct {
	status policyv1.PodDisruptionBudgetStatus
	// overdue are pods whose eviction was granted and that are still there.
	overdue []*corev1.Pod
	// scaled: the budget's bound depends on the controllers' scales.
	scaled bool
	// after is when there will be something else to say, 0 for never.
	after time.Duration
}

// judge works out a budget's status, without its condition.
func judge(s snapshot) (outcome, error) {
	o := outcome{status: *s.budget.Status.DeepCopy()}
	expected, desired, err := s.bounds(&o)
	if err != nil {
		return o, err
	}
	disrupted := s.disrupted(&o)
	healthy := s.healthy(disrupted)
	o.status.ExpectedPods, o.status.DesiredHealthy, o.status.CurrentHealthy = expected, desired, healthy
	o.status.DisruptedPods, o.status.ObservedGeneration = disrupted, s.budget.Generation
	// A budget of no pods allows nothing: when the first appear it is in force
	// already.
	o.status.DisruptionsAllowed = 0
	if expected > 0 {
		o.status.DisruptionsAllowed = max(0, healthy-desired)
	}
	return o, nil
}

// bounds are how many pods there should be, and how many of them healthy. A
// share is one of the pods that the controllers shall have, rounded up.
func (s snapshot) bounds(o *outcome) (expected, desired int32, err error) {
	least, most := s.budget.Spec.MinAvailable, s.budget.Spec.MaxUnavailable
	if most == nil && least == nil {
		return 0, 0, nil
	}
	if most == nil && least.Type == intstr.Int {
		return int32(len(s.pods)), least.IntVal, nil
	}
	o.scaled = true
	if s.scaleError != nil {
		return 0, 0, s.scaleError
	}
	for _, n := range s.scales {
		expected += n
	}
	bound := most
	if most == nil {
		bound = least
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(bound, int(expected), true)
	if err != nil {
		return 0, 0, fmt.Errorf("resolving %s of %d pods: %w", bound, expected, err)
	}
	if most == nil {
		return expected, int32(n), nil
	}
	return expected, max(0, expected-int32(n)), nil
}

// disrupted are the pods whose eviction was granted and that are still to be
// deleted. One that is not deleted in time counts again.
func (s snapshot) disrupted(o *outcome) map[string]metav1.Time {
	var out map[string]metav1.Time
	for _, pod := range s.pods {
		granted, known := s.budget.Status.DisruptedPods[pod.Name]
		if !known || pod.DeletionTimestamp != nil {
			continue
		}
		left := granted.Add(deletionTimeout).Sub(s.now)
		if left < 0 {
			o.overdue = append(o.overdue, pod)
			continue
		}
		if out == nil {
			out = map[string]metav1.Time{}
		}
		out[pod.Name] = granted
		if left++; o.after == 0 || left < o.after { // a moment later it is overdue
			o.after = left
		}
	}
	return out
}

func (s snapshot) healthy(disrupted map[string]metav1.Time) int32 {
	var n int32
	for _, pod := range s.pods {
		if _, going := disrupted[pod.Name]; !going && pod.DeletionTimestamp == nil && podfacts.Ready(pod) {
			n++
		}
	}
	return n
}
