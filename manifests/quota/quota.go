// Package quota measures objects in the terms of resource quotas: what an
// object uses, which quotas count it, and what all objects of a namespace use
// together. It follows upstream's evaluators (k8s.io/kubernetes
// pkg/quota/v1/evaluator/core, k8s.io/apiserver/pkg/quota/v1/generic).
package quota

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime/schema"
	sums "k8s.io/apiserver/pkg/quota/v1"

	"skiff/manifests"
	"skiff/store"
)

// Reader is where the objects are; *store.Store is one.
type Reader interface {
	Snapshot(resource string) store.Snapshot
}

// meter measures the objects of one kind. Nil functions do nothing.
type meter struct {
	// counts says whether a resource is one that the kind's objects use.
	counts func(corev1.ResourceName) bool
	usage  func(obj store.Object, now time.Time) corev1.ResourceList
	// inScope says whether an object is in a scope; nil: in none.
	inScope func(obj store.Object, s corev1.ScopedResourceSelectorRequirement) bool
	// require refuses an object that does not say how much of a resource it needs.
	require func(obj store.Object, names []corev1.ResourceName) error
	// changes says whether an update of the object or a subresource may change
	// what it uses.
	changes func(obj, old store.Object, subresource string) bool
}

// meterOf is the meter of a kind, nil for one whose objects are not counted:
// those outside of namespaces, and events, as upstream.
func meterOf(kind *manifests.Kind) *meter {
	if !kind.Namespaced || kind.Resource == "events" {
		return nil
	}
	switch gr := kind.GroupResource(); gr {
	case schema.GroupResource{Resource: "pods"}:
		return &podMeter
	case schema.GroupResource{Resource: "services"}:
		return &serviceMeter
	case schema.GroupResource{Resource: "persistentvolumeclaims"}:
		return &claimMeter
	default:
		return objectMeter(gr)
	}
}

// objectMeter counts objects and nothing else.
func objectMeter(gr schema.GroupResource) *meter {
	names := []corev1.ResourceName{countName(gr)}
	if gr.Group == "" && slices.Contains(oldNames, corev1.ResourceName(gr.Resource)) {
		names = append(names, corev1.ResourceName(gr.Resource))
	}
	return &meter{
		counts: func(name corev1.ResourceName) bool { return slices.Contains(names, name) },
		usage: func(store.Object, time.Time) corev1.ResourceList {
			list := corev1.ResourceList{}
			for _, name := range names {
				list[name] = pieces(1)
			}
			return list
		},
	}
}

// oldNames are the kinds that can be counted by their bare name too.
var oldNames = []corev1.ResourceName{
	corev1.ResourceConfigMaps, corev1.ResourceQuotas, corev1.ResourceReplicationControllers, corev1.ResourceSecrets,
}

// countName is the resource that stands for the number of objects of a kind.
func countName(gr schema.GroupResource) corev1.ResourceName {
	return corev1.ResourceName("count/" + gr.String())
}

func pieces(n int) resource.Quantity { return *resource.NewQuantity(int64(n), resource.DecimalSI) }

// Changes says whether a create (old is nil) or an update of an object, or of
// one of its subresources, can change what is used.
func Changes(kind *manifests.Kind, obj, old store.Object, subresource string) bool {
	m := meterOf(kind)
	switch {
	case m == nil:
		return false
	case old == nil:
		return subresource == manifests.SubresourceNone
	default:
		return m.changes != nil && m.changes(obj, old, subresource)
	}
}

// Countable says whether quotas can limit the objects of a kind.
func Countable(kind *manifests.Kind) bool { return meterOf(kind) != nil }

// Covers says whether a quota limits what an object uses: whether it limits
// something that objects of the kind use, and the object is in all its scopes.
func Covers(q *corev1.ResourceQuota, kind *manifests.Kind, obj store.Object) bool {
	m := meterOf(kind)
	return m != nil && len(m.of(q.Spec.Hard)) > 0 && m.covers(scopesOf(q), obj)
}

// Counts says whether a quota limits something that objects of the kind use.
func Counts(q *corev1.ResourceQuota, kind *manifests.Kind) bool {
	m := meterOf(kind)
	return m != nil && len(m.of(q.Spec.Hard)) > 0
}

// Usage is what an object uses at a time.
func Usage(kind *manifests.Kind, obj store.Object, now time.Time) corev1.ResourceList {
	m := meterOf(kind)
	if m == nil {
		return nil
	}
	return m.usage(obj, now)
}

// Require refuses an object that does not say how much it needs of what a quota
// limits.
func Require(q *corev1.ResourceQuota, kind *manifests.Kind, obj store.Object) error {
	m := meterOf(kind)
	if m == nil || m.require == nil {
		return nil
	}
	return m.require(obj, m.of(q.Spec.Hard))
}

// Current says whether a quota's status is that of its specification, and
// complete: whether it can be counted on from there.
func Current(q *corev1.ResourceQuota, kinds []*manifests.Kind) bool {
	if !sums.Equals(q.Status.Hard, q.Spec.Hard) {
		return false
	}
	for name := range q.Spec.Hard {
		if _, known := q.Status.Used[name]; !known && slices.ContainsFunc(kinds, func(k *manifests.Kind) bool {
			m := meterOf(k)
			return m != nil && m.counts(name)
		}) {
			return false
		}
	}
	return true
}

// Status is what the status of a quota ought to be: its limits, and what the
// objects that it covers use.
func Status(r Reader, q *corev1.ResourceQuota, kinds []*manifests.Kind, now time.Time) corev1.ResourceQuotaStatus {
	scopes, used := scopesOf(q), corev1.ResourceList{}
	for _, kind := range kinds {
		m := meterOf(kind)
		if m == nil {
			continue
		}
		names := m.of(q.Spec.Hard)
		if len(names) == 0 {
			continue
		}
		for _, name := range names {
			used[name] = pieces(0)
		}
		r.Snapshot(kind.GroupResource().String()).Ascend(q.Namespace, store.Key{}, func(obj store.Object) bool {
			if m.covers(scopes, obj) {
				add(used, m.usage(obj, now))
			}
			return true
		})
	}
	return corev1.ResourceQuotaStatus{Hard: q.Spec.Hard.DeepCopy(), Used: used}
}

// add adds the amounts to those totals that there are.
func add(totals, amounts corev1.ResourceList) {
	for name, amount := range amounts {
		if total, ok := totals[name]; ok {
			total.Add(amount)
			totals[name] = total
		}
	}
}

// of are the limited resources that the kind's objects use.
func (m *meter) of(hard corev1.ResourceList) []corev1.ResourceName {
	var names []corev1.ResourceName
	for name := range hard {
		if m.counts(name) {
			names = append(names, name)
		}
	}
	return names
}

func (m *meter) covers(scopes []corev1.ScopedResourceSelectorRequirement, obj store.Object) bool {
	return !slices.ContainsFunc(scopes, func(s corev1.ScopedResourceSelectorRequirement) bool {
		return m.inScope == nil || !m.inScope(obj, s)
	})
}

// scopesOf are a quota's scopes, the plain ones and those with values.
func scopesOf(q *corev1.ResourceQuota) []corev1.ScopedResourceSelectorRequirement {
	var all []corev1.ScopedResourceSelectorRequirement
	for _, scope := range q.Spec.Scopes {
		all = append(all, corev1.ScopedResourceSelectorRequirement{ScopeName: scope, Operator: corev1.ScopeSelectorOpExists})
	}
	if q.Spec.ScopeSelector != nil {
		all = append(all, q.Spec.ScopeSelector.MatchExpressions...)
	}
	return all
}
