package autoscaling

import (
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/types"
)

// history is what an autoscaler wanted and did lately. It is a value: what is added makes another. A
// daemon that starts anew has none, and takes what it finds for what was wanted.
type history struct {
	of              types.UID
	recommendations []recommendation
	changes         []change
}

// recommendation is what the metrics wanted at a moment.
type recommendation struct {
	replicas int32
	at       time.Time
}

// change is by how many replicas the target was scaled.
type change struct {
	by int32
	at time.Time
}

// begun is the history of an autoscaler that has none yet: it begins with the present replicas.
func (h history) begun(replicas int32, now time.Time) history {
	if len(h.recommendations) == 0 {
		h.recommendations = []recommendation{{replicas, now}}
	}
	return h
}

// recommended adds a recommendation, and drops those that are older than matters.
func (h history) recommended(replicas int32, now time.Time, matters time.Duration) history {
	var kept []recommendation
	for _, r := range h.recommendations {
		if now.Sub(r.at) <= matters {
			kept = append(kept, r)
		}
	}
	h.recommendations = append(kept, recommendation{replicas, now})
	return h
}

// scaled adds a change. Changes matter only to policies, for as long as the longest of their periods.
func (h history) scaled(from, to int32, now time.Time, b *autoscalingv2.HorizontalPodAutoscalerBehavior) history {
	if b == nil {
		h.changes = nil
		return h
	}
	var longest time.Duration
	for _, r := range []*autoscalingv2.HPAScalingRules{b.ScaleUp, b.ScaleDown} {
		if r == nil {
			continue
		}
		for _, p := range r.Policies {
			longest = max(longest, seconds(p.PeriodSeconds))
		}
	}
	var kept []change
	for _, c := range h.changes {
		if now.Sub(c.at) <= longest {
			kept = append(kept, c)
		}
	}
	h.changes = append(kept, change{to - from, now})
	return h
}

// changed is by how many replicas the target was scaled in a period until now.
func (h history) changed(period time.Duration, now time.Time) (by int32) {
	for _, c := range h.changes {
		if now.Sub(c.at) < period {
			by += c.by
		}
	}
	return by
}
