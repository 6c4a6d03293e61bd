package deployment

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
)

// scaled reports whether the Deployment's replicas have changed since its sets
// were last scaled.
func (r rollout) scaled() bool {
	return slices.ContainsFunc(active(r.all()), func(rs *appsv1.ReplicaSet) bool {
		desired, known := annotatedSize(rs, desiredAnnotation)
		return known && desired != r.limits.replicas
	})
}

// rescale brings the sets to the Deployment's size without going on with a
// rollout: one set alone gets all of it, several grow or shrink in proportion,
// so that a broken revision does not gain ground.
//
// Unlike upstream it also notes the size on a set that has it by chance, which
// would otherwise look like a change of replicas for ever.
func (r rollout) rescale() []scaling {
	if rs := r.single(); rs != nil {
		return r.resize(rs, r.limits.replicas, fmt.Sprintf("%d desired", r.limits.replicas))
	}
	if r.saturated() {
		var steps []scaling
		for _, rs := range active(r.old) {
			steps = append(steps, scaling{rs, 0, "the current revision has all replicas"})
		}
		return steps
	}
	if r.deployment.Spec.Strategy.Type != appsv1.RollingUpdateDeploymentStrategyType {
		return nil
	}
	return r.spread()
}

// resize is a step, if one is needed.
func (r rollout) resize(rs *appsv1.ReplicaSet, to int32, cause string) []scaling {
	if size(rs) == to && !outdated(rs, r.limits) {
		return nil
	}
	return []scaling{{rs, to, cause}}
}

// single is the only active set, or the newest when none is active, nil when
// there are several active ones or no set at all.
func (r rollout) single() *appsv1.ReplicaSet {
	switch a := active(r.all()); {
	case len(a) == 1:
		return a[0]
	case len(a) > 1:
		return nil
	case r.current != nil:
		return r.current
	case len(r.old) > 0:
		return r.old[len(r.old)-1]
	}
	return nil
}

// saturated reports whether the current set has all replicas, available, and was
// given them by the Deployment of its present size.
func (r rollout) saturated() bool {
	if r.current == nil {
		return false
	}
	desired, known := annotatedSize(r.current, desiredAnnotation)
	want := r.limits.replicas
	return known && desired == want && size(r.current) == want && r.current.Status.AvailableReplicas == want
}

// spread distributes what the sets have too few or too many among the active
// ones in proportion to their sizes. What rounding leaves over is the largest's.
func (r rollout) spread() []scaling {
	sets := active(r.all())
	var allowed int32
	if r.limits.replicas > 0 {
		allowed = r.limits.maxTotal()
	}
	missing := allowed - sum(sets, size)
	slices.SortFunc(sets, largerFirst(missing > 0))
	sizes := make([]int32, len(sets))
	left := missing
	for i, rs := range sets {
		share := r.share(rs)
		switch {
		// A set that somebody has resized by hand says nothing of the whole: its share may even point the
		// other way.
		case left > 0:
			share = min(max(share, 0), left)
		case left < 0:
			share = max(min(share, 0), left)
		default:
			share = 0
		}
		sizes[i] = size(rs) + share
		left -= share
	}
	var steps []scaling
	for i, rs := range sets {
		if i == 0 {
			sizes[0] = max(0, sizes[0]+left)
		}
		cause := fmt.Sprintf("in proportion, %d desired, %d at most of all revisions", r.limits.replicas, r.limits.maxTotal())
		steps = append(steps, r.resize(rs, sizes[i], cause)...)
	}
	return steps
}

// share is by how much a set would change if it kept its part of the whole.
func (r rollout) share(rs *appsv1.ReplicaSet) int32 {
	if r.limits.replicas == 0 {
		return -size(rs)
	}
	before, _ := annotatedSize(rs, maxAnnotation)
	// Without a note of what the whole was, it is what there is now.
	if before = cmp.Or(before, r.deployment.Status.Replicas); before == 0 {
		return 0
	}
	part := float64(size(rs)) * float64(r.limits.maxTotal()) / float64(before)
	return int32(min(math.Round(part), math.MaxInt32)) - size(rs)
}

// surplusHistory are the old sets beyond revisionHistoryLimit, the lowest
// revisions first. Of those, only what has no pods can go.
func (r rollout) surplusHistory() []removal {
	limit := r.deployment.Spec.RevisionHistoryLimit
	if limit == nil || *limit == math.MaxInt32 {
		return nil
	}
	old := slices.DeleteFunc(slices.Clone(r.old), func(rs *appsv1.ReplicaSet) bool { return rs.DeletionTimestamp != nil })
	slices.SortStableFunc(old, func(a, b *appsv1.ReplicaSet) int { return cmp.Compare(revisionOf(a), revisionOf(b)) })
	var out []removal
	for _, rs := range old[:max(0, len(old)-int(*limit))] {
		if rs.Status.Replicas == 0 && size(rs) == 0 && rs.Generation <= rs.Status.ObservedGeneration {
			out = append(out, removal{rs, fmt.Sprintf("revision %d, only %d old ones are kept", revisionOf(rs), *limit)})
		}
	}
	return out
}
