package deployment

import (
	"cmp"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/utils/ptr"
)

// rollout is a Deployment with its replica sets told apart.
type rollout struct {
	deployment *appsv1.Deployment
	limits     limits
	// current is the set of the Deployment's template, nil while there is none.
	current *appsv1.ReplicaSet
	// old are the others, oldest first.
	old []*appsv1.ReplicaSet
}

// rolloutOf tells a Deployment's sets apart. With several of its template, which
// only meddling makes, the oldest is the current one.
func rolloutOf(d *appsv1.Deployment, sets []*appsv1.ReplicaSet) rollout {
	r := rollout{deployment: d, limits: limitsOf(d)}
	for _, rs := range slices.SortedFunc(slices.Values(sets), olderFirst) {
		if r.current == nil && sameTemplate(&rs.Spec.Template, &d.Spec.Template) {
			r.current = rs
		} else {
			r.old = append(r.old, rs)
		}
	}
	return r
}

func olderFirst(a, b *appsv1.ReplicaSet) int {
	if order := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); order != 0 {
		return order
	}
	return strings.Compare(a.Name, b.Name)
}

// sameTemplate compares templates but for the hash, which a replica set's has
// and a Deployment's has not.
func sameTemplate(a, b *corev1.PodTemplateSpec) bool {
	return apiequality.Semantic.DeepEqual(withoutHash(a), withoutHash(b))
}

// withoutHash is a template that shares all but its labels with t.
func withoutHash(t *corev1.PodTemplateSpec) *corev1.PodTemplateSpec {
	if _, there := t.Labels[appsv1.DefaultDeploymentUniqueLabelKey]; !there {
		return t
	}
	bare := *t
	bare.Labels = map[string]string{}
	for k, v := range t.Labels {
		if k != appsv1.DefaultDeploymentUniqueLabelKey {
			bare.Labels[k] = v
		}
	}
	return &bare
}

// all are the sets, the current one last.
func (r rollout) all() []*appsv1.ReplicaSet {
	if r.current == nil {
		return r.old
	}
	return append(slices.Clone(r.old), r.current)
}

// active are sets that shall have pods.
func active(sets []*appsv1.ReplicaSet) []*appsv1.ReplicaSet {
	var out []*appsv1.ReplicaSet
	for _, rs := range sets {
		if size(rs) > 0 {
			out = append(out, rs)
		}
	}
	return out
}

// size is how many pods a set shall have.
func size(rs *appsv1.ReplicaSet) int32 { return ptr.Deref(rs.Spec.Replicas, 1) }

// present is how many pods a set may have now: its controller may not have
// deleted yet what is too many, nor created what is missing.
func present(rs *appsv1.ReplicaSet) int32 { return max(size(rs), rs.Status.Replicas) }

// available is how many available pods a set will have when its controller has
// brought it to its size: pods that are not available go first.
func available(rs *appsv1.ReplicaSet) int32 { return min(size(rs), rs.Status.AvailableReplicas) }

// sum adds up a count of several sets.
func sum(sets []*appsv1.ReplicaSet, count func(*appsv1.ReplicaSet) int32) int32 {
	var total int64
	for _, rs := range sets {
		total += int64(count(rs))
	}
	return capped(total)
}

// largerFirst orders sets by size; of equals the newer, or the older, is first.
func largerFirst(newer bool) func(a, b *appsv1.ReplicaSet) int {
	return func(a, b *appsv1.ReplicaSet) int {
		if order := cmp.Compare(size(b), size(a)); order != 0 {
			return order
		}
		if newer {
			a, b = b, a
		}
		return olderFirst(a, b)
	}
}
