package deployment

import (
	"math"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// limits are how far a rollout may stray from the number of pods asked for.
type limits struct {
	replicas int32
	// surge is how many pods there may be beyond replicas, unavailable how many
	// of replicas need not be available. Both are 0 unless the strategy is
	// RollingUpdate.
	surge, unavailable int32
}

func (l limits) maxTotal() int32     { return capped(int64(l.replicas) + int64(l.surge)) }
func (l limits) minAvailable() int32 { return l.replicas - l.unavailable }

// capped is n, or the largest number of replicas there is. Upstream's sums of such numbers run
// over.
func capped(n int64) int32 { return int32(min(n, math.MaxInt32)) }

// limitsOf resolves percentages as upstream does: maxSurge is rounded up and
// maxUnavailable down. When both come out as 0, which validation can not
// prevent, one pod may be unavailable: otherwise no rollout could ever begin.
func limitsOf(d *appsv1.Deployment) limits {
	l := limits{replicas: ptr.Deref(d.Spec.Replicas, 1)}
	rolling := d.Spec.Strategy.RollingUpdate
	if d.Spec.Strategy.Type != appsv1.RollingUpdateDeploymentStrategyType || rolling == nil {
		return l
	}
	l.surge = scaled(rolling.MaxSurge, l.replicas, true)
	l.unavailable = scaled(rolling.MaxUnavailable, l.replicas, false)
	if l.surge == 0 && l.unavailable == 0 {
		l.unavailable = 1
	}
	l.unavailable = min(l.unavailable, l.replicas)
	return l
}

// scaled is a number, or a percentage of n. What can not be read, which
// validation refuses, counts as 0.
func scaled(v *intstr.IntOrString, n int32, roundUp bool) int32 {
	value, err := intstr.GetScaledValueFromIntOrPercent(intstr.ValueOrDefault(v, intstr.FromInt32(0)), int(n), roundUp)
	if err != nil || value < 0 {
		return 0
	}
	return int32(min(value, math.MaxInt32/2))
}

// hasDeadline reports whether a lack of progress is to be reported. The largest
// number means no, as upstream has it.
func hasDeadline(d *appsv1.Deployment) bool {
	return ptr.Deref(d.Spec.ProgressDeadlineSeconds, math.MaxInt32) != math.MaxInt32
}
