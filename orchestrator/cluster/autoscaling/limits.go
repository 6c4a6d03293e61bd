package autoscaling

import (
	"math"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/utils/ptr"
)

// steadiness is for how long the highest of recent recommendations is kept before anything is scaled
// down, unless the autoscaler says otherwise: upstream's
// --horizontal-pod-autoscaler-downscale-stabilization.
const steadiness = 5 * time.Minute

// An autoscaler without a behavior may double its pods at a time, or have that many.
const (
	freeFactor = 2
	freeLeast  = 4
)

// limits are an autoscaler's bounds and its pace.
type limits struct {
	current, least, most int32
	// up and down are nil if it has no behavior.
	up, down *autoscalingv2.HPAScalingRules
}

func limitsOf(s snapshot) limits {
	l := limits{current: s.target.want, least: s.least(), most: s.autoscaler.Spec.MaxReplicas}
	if b := s.autoscaler.Spec.Behavior; b != nil {
		l.up, l.down = b.ScaleUp, b.ScaleDown // both are there, by default
	}
	return l
}

// verdict is a number of replicas, and why it is not another.
type verdict struct {
	replicas        int32
	reason, message string
}

const (
	lowerRecent  = "recent recommendations were lower than current one, applying the lowest recent recommendation"
	higherRecent = "recent recommendations were higher than current one, applying the highest recent recommendation"
)

// windows are for how long recommendations hold back scaling up and down.
func (l limits) windows() (up, down time.Duration) {
	down = steadiness
	if l.up != nil {
		up = seconds(ptr.Deref(l.up.StabilizationWindowSeconds, 0))
	}
	if l.down != nil {
		down = seconds(ptr.Deref(l.down.StabilizationWindowSeconds, int32(steadiness/time.Second)))
	}
	return up, down
}

func seconds(n int32) time.Duration { return time.Duration(n) * time.Second }

// memory is for how long recommendations matter.
func (l limits) memory() time.Duration { up, down := l.windows(); return max(up, down) }

// stabilize holds what is wanted against what was wanted lately.
func (l limits) stabilize(want int32, h history, now time.Time) verdict {
	forUp, forDown := l.windows()
	up, down := want, want
	for _, r := range h.recommendations {
		if age := now.Sub(r.at); l.up == nil && age <= forDown || age < forDown {
			down = max(down, r.replicas)
		}
		if now.Sub(r.at) < forUp {
			up = min(up, r.replicas)
		}
	}
	v := verdict{replicas: down, reason: "ScaleDownStabilized", message: higherRecent}
	if l.up == nil {
		return v
	}
	v.replicas = min(max(l.current, up), down)
	if want >= l.current {
		v.reason, v.message = "ScaleUpStabilized", lowerRecent
	}
	return v
}

// pace holds what is wanted within the bounds, and within what may be changed at a time.
func (l limits) pace(want int32, h history, now time.Time) verdict {
	ceiling := verdict{l.most, "TooManyReplicas", "the desired replica count is more than the maximum replica count"}
	if n := l.upTo(h, now); n < ceiling.replicas {
		ceiling = verdict{n, "ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate"}
	}
	floor := verdict{l.least, "TooFewReplicas", "the desired replica count is less than the minimum replica count"}
	if n := l.downTo(h, now); n > floor.replicas {
		floor = verdict{n, "ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate"}
	}
	switch {
	case want > ceiling.replicas:
		return ceiling
	case want < floor.replicas:
		return floor
	}
	return verdict{want, "DesiredWithinRange", "the desired count is within the acceptable range"}
}

// upTo is how many replicas there may be at most now.
func (l limits) upTo(h history, now time.Time) int32 {
	if l.up == nil {
		return max(freeFactor*l.current, freeLeast)
	}
	return max(l.current, l.choose(l.up, h, now, 1))
}

// downTo is how many replicas there must be at least now.
func (l limits) downTo(h history, now time.Time) int32 {
	if l.down == nil {
		return l.least
	}
	return min(l.current, l.choose(l.down, h, now, -1))
}

// choose is the number of replicas that the policies allow in a direction, 1 or -1: the furthest, or
// by the policy Min the nearest. Each counts from the replicas that there were when its period began.
func (l limits) choose(r *autoscalingv2.HPAScalingRules, h history, now time.Time, direction int32) int32 {
	how := ptr.Deref(r.SelectPolicy, autoscalingv2.MaxChangePolicySelect)
	if how == autoscalingv2.DisabledPolicySelect {
		return l.current
	}
	var chosen int32
	for i, p := range r.Policies {
		began := l.current - h.changed(seconds(p.PeriodSeconds), now)
		n := began + direction*p.Value
		if p.Type == autoscalingv2.PercentScalingPolicy {
			part := float64(began) * (1 + float64(direction)*float64(p.Value)/100)
			// Rounded towards more pods, else a few could never become more.
			n = int32(part)
			if direction > 0 {
				n = int32(min(math.Ceil(part), math.MaxInt32))
			}
		}
		further := (n > chosen) == (direction > 0)
		if i == 0 || further == (how != autoscalingv2.MinChangePolicySelect) {
			chosen = n
		}
	}
	return chosen
}
