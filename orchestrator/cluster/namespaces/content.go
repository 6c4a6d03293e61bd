package namespaces

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"skiff/manifests/podfacts"
	"skiff/orchestrator/controller"
	"skiff/store"
)

// finalizerEstimate is how long finalizers are taken to need.
const finalizerEstimate = 15 * time.Second

// content is what is left of one kind in a namespace after its deletion was
// asked for.
type content struct {
	resource schema.GroupVersionResource
	count    int
	// finalizers counts the objects that each one holds back.
	finalizers map[string]int
	// estimate is the time until it may be gone, 0 when there is no telling.
	estimate time.Duration
	err      error
}

// contentOf looks at what is left. deleted is when the deletion of the namespace
// began.
func contentOf(resource schema.GroupVersionResource, objects []store.Object, deleted, now time.Time) content {
	c := content{resource: resource, count: len(objects), finalizers: map[string]int{}}
	for _, o := range objects {
		for _, f := range o.GetFinalizers() {
			c.finalizers[f]++
		}
	}
	if c.count == 0 {
		return c
	}
	if grace := longestGrace(objects); now.Sub(deleted) < grace {
		c.estimate = grace
	} else if len(c.finalizers) > 0 {
		c.estimate = finalizerEstimate
	}
	if c.estimate == 0 {
		c.err = fmt.Errorf("unexpected items still remain in namespace: %s for gvr: %v", objects[0].GetNamespace(), resource)
	}
	return c
}

// longestGrace is the longest time that the pods among objects have to end.
func longestGrace(objects []store.Object) time.Duration {
	var longest int64
	for _, o := range objects {
		p, ok := o.(*corev1.Pod)
		if ok && !podfacts.Terminal(p) && p.Spec.TerminationGracePeriodSeconds != nil {
			longest = max(longest, *p.Spec.TerminationGracePeriodSeconds)
		}
	}
	return time.Duration(longest) * time.Second
}

// remaining is all that is left in a namespace.
type remaining []content

func (r remaining) empty() bool {
	return !slices.ContainsFunc(r, func(c content) bool { return c.count > 0 || c.err != nil })
}

// overtaken reports whether another namespace has taken the name.
func (r remaining) overtaken() bool {
	return slices.ContainsFunc(r, func(c content) bool { return errors.Is(c.err, controller.ErrOvertaken) })
}

// again is the time until the next look: half of what the slowest is thought to
// need, and a second.
func (r remaining) again() time.Duration {
	var longest time.Duration
	for _, c := range r {
		longest = max(longest, c.estimate)
	}
	return longest/2/time.Second*time.Second + time.Second
}

// errors are the causes why the deletion did not get on, in a stable order.
func (r remaining) errors() []string {
	var all []string
	for _, c := range r {
		if c.err != nil {
			all = append(all, c.err.Error())
		}
	}
	slices.Sort(all)
	return all
}

// conditions tell how far the deletion of a namespace has got, in upstream's
// words (k8s.io/kubernetes
// pkg/controller/namespace/deletion/status_condition_utils.go). Unlike upstream
// they tell what remains also while pods do.
func (r remaining) conditions(now metav1.Time) []corev1.NamespaceCondition {
	all := []corev1.NamespaceCondition{
		{Type: corev1.NamespaceDeletionDiscoveryFailure, Reason: "ResourcesDiscovered", Message: "All resources successfully discovered"},
		{Type: corev1.NamespaceDeletionGVParsingFailure, Reason: "ParsedGroupVersions", Message: "All legacy kube types successfully parsed"},
		{Type: corev1.NamespaceDeletionContentFailure, Reason: "ContentDeleted", Message: "All content successfully deleted, may be waiting on finalization"},
		{Type: corev1.NamespaceContentRemaining, Reason: "ContentRemoved", Message: "All content successfully removed"},
		{Type: corev1.NamespaceFinalizersRemaining, Reason: "ContentHasNoFinalizers", Message: "All content-preserving finalizers finished"},
	}
	for i := range all {
		all[i].Status, all[i].LastTransitionTime = corev1.ConditionFalse, now
	}
	fail := func(i int, reason, message string) {
		all[i].Status, all[i].Reason, all[i].Message = corev1.ConditionTrue, reason, message
	}
	if errs := r.errors(); len(errs) > 0 {
		fail(2, "ContentDeletionFailed", fmt.Sprintf("Failed to delete all resource types, %d remaining: %s", len(errs), strings.Join(errs, ", ")))
	}
	if kinds := r.kinds(); len(kinds) > 0 {
		fail(3, "SomeResourcesRemain", "Some resources are remaining: "+strings.Join(kinds, ", "))
	}
	if finalizers := r.finalizers(); len(finalizers) > 0 {
		fail(4, "SomeFinalizersRemain", "Some content in the namespace has finalizers remaining: "+strings.Join(finalizers, ", "))
	}
	return all
}

func (r remaining) kinds() []string {
	var all []string
	for _, c := range r {
		if c.count > 0 {
			all = append(all, fmt.Sprintf("%s.%s has %d resource instances", c.resource.Resource, c.resource.Group, c.count))
		}
	}
	slices.Sort(all)
	return all
}

func (r remaining) finalizers() []string {
	counts := map[string]int{}
	for _, c := range r {
		for f, n := range c.finalizers {
			counts[f] += n
		}
	}
	var all []string
	for f, n := range counts {
		all = append(all, fmt.Sprintf("%s in %d resource instances", f, n))
	}
	slices.Sort(all)
	return all
}

// merge brings a namespace's conditions up to date. One that stays true or stays
// false keeps the time since when it is.
func merge(old, now []corev1.NamespaceCondition) []corev1.NamespaceCondition {
	merged := slices.Clone(old)
	for _, c := range now {
		i := slices.IndexFunc(merged, func(o corev1.NamespaceCondition) bool { return o.Type == c.Type })
		if i < 0 {
			merged = append(merged, c)
			continue
		}
		if merged[i].Status == c.Status {
			c.LastTransitionTime = merged[i].LastTransitionTime
		}
		merged[i] = c
	}
	return merged
}
