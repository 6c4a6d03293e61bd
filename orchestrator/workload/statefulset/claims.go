package statefulset

import (
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

var podKind = corev1.SchemeGroupVersion.WithKind("Pod")

// claimName is the name of the claim that a pod has by a template.
func claimName(set *appsv1.StatefulSet, template *corev1.PersistentVolumeClaim, ordinal int) string {
	return template.Name + "-" + podName(set, ordinal)
}

// newClaim is the claim that a pod has by a template. It has the labels of the
// set's selector, so that the set's claims can be found.
func newClaim(set *appsv1.StatefulSet, template *corev1.PersistentVolumeClaim, ordinal int) *corev1.PersistentVolumeClaim {
	c := template.DeepCopy()
	c.Namespace, c.Name = set.Namespace, claimName(set, template, ordinal)
	c.Labels = maps.Clone(c.Labels)
	if c.Labels == nil {
		c.Labels = map[string]string{}
	}
	if set.Spec.Selector != nil {
		maps.Copy(c.Labels, set.Spec.Selector.MatchLabels)
	}
	return c
}

// mountClaims has the pod's volumes be its claims. A volume of the template that
// has the name of one gives way.
func mountClaims(set *appsv1.StatefulSet, pod *corev1.Pod, ordinal int) {
	var volumes []corev1.Volume
	for i := range set.Spec.VolumeClaimTemplates {
		t := &set.Spec.VolumeClaimTemplates[i]
		volumes = append(volumes, corev1.Volume{Name: t.Name, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claimName(set, t, ordinal)},
		}})
	}
	for _, v := range pod.Spec.Volumes {
		if !slices.ContainsFunc(volumes, func(c corev1.Volume) bool { return c.Name == v.Name }) {
			volumes = append(volumes, v)
		}
	}
	pod.Spec.Volumes = volumes
}

// mountsClaims reports whether a pod has the volumes it should have.
func mountsClaims(set *appsv1.StatefulSet, pod *corev1.Pod, ordinal int) bool {
	for i := range set.Spec.VolumeClaimTemplates {
		t := &set.Spec.VolumeClaimTemplates[i]
		if !slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool {
			return v.Name == t.Name && v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claimName(set, t, ordinal)
		}) {
			return false
		}
	}
	return true
}

// mayUse reports whether a claim has a name that one of the set's pods would look
// for.
func mayUse(set *appsv1.StatefulSet, claim string) bool {
	return slices.ContainsFunc(set.Spec.VolumeClaimTemplates, func(t corev1.PersistentVolumeClaim) bool {
		pod, ok := strings.CutPrefix(claim, t.Name+"-")
		if !ok {
			return false
		}
		_, ok = ordinalOf(set, pod)
		return ok
	})
}

// holder is an object that may own a claim.
type holder struct {
	kind schema.GroupVersionKind
	name string
	uid  types.UID
}

func holderOf(kind schema.GroupVersionKind, o metav1.Object) holder {
	return holder{kind, o.GetName(), o.GetUID()}
}

// named reports whether a reference is to an object of the holder's kind and name,
// be it this one or another that had the name before.
func (h holder) named(r metav1.OwnerReference) bool {
	return r.APIVersion == h.kind.GroupVersion().String() && r.Kind == h.kind.Kind && r.Name == h.name
}

// stale reports whether a claim is owned by a former object of the holder's name:
// the garbage collector will have it.
func (h holder) stale(c *corev1.PersistentVolumeClaim) bool {
	return slices.ContainsFunc(c.OwnerReferences, func(r metav1.OwnerReference) bool { return h.named(r) && r.UID != h.uid })
}

func (h holder) reference() metav1.OwnerReference {
	yes := true
	return metav1.OwnerReference{
		APIVersion: h.kind.GroupVersion().String(), Kind: h.kind.Kind, Name: h.name, UID: h.uid,
		Controller: &yes, BlockOwnerDeletion: &yes,
	}
}

// retention says who shall own a claim, so that it goes when the set is deleted,
// when the pod is scaled away, or never.
type retention struct {
	set, pod holder
	policy   appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy
	// scaledDown: the pod's ordinal is not wanted any more.
	scaledDown bool
}

func retentionOf(set *appsv1.StatefulSet, pod holder, scaledDown bool) retention {
	r := retention{set: holderOf(gvk, set), pod: pod, scaledDown: scaledDown}
	if p := set.Spec.PersistentVolumeClaimRetentionPolicy; p != nil {
		r.policy = *p
	}
	return r
}

func (r retention) deletesWithSet() bool {
	return r.policy.WhenDeleted == appsv1.DeletePersistentVolumeClaimRetentionPolicyType
}

func (r retention) deletesWithScale() bool {
	return r.policy.WhenScaled == appsv1.DeletePersistentVolumeClaimRetentionPolicyType
}

// foreign reports whether another controller owns the claim. Then nothing is added
// to that.
func (r retention) foreign(c *corev1.PersistentVolumeClaim) bool {
	if !r.deletesWithSet() && !r.deletesWithScale() {
		return false
	}
	return slices.ContainsFunc(c.OwnerReferences, func(ref metav1.OwnerReference) bool {
		return !r.set.named(ref) && !r.pod.named(ref) && ref.Controller != nil && *ref.Controller
	})
}

// owners are the references that a claim should have; nil when those it has are
// to be left alone.
func (r retention) owners(c *corev1.PersistentVolumeClaim) []metav1.OwnerReference {
	if r.set.stale(c) || r.pod.stale(c) {
		return c.OwnerReferences
	}
	kept := slices.DeleteFunc(slices.Clone(c.OwnerReferences), func(ref metav1.OwnerReference) bool {
		return r.set.named(ref) || r.pod.named(ref)
	})
	if r.foreign(c) {
		return kept
	}
	if r.deletesWithScale() && r.scaledDown {
		return append(kept, r.pod.reference())
	}
	if r.deletesWithSet() {
		return append(kept, r.set.reference())
	}
	return kept
}

// settled reports whether a claim's owners are as they should be.
func (r retention) settled(c *corev1.PersistentVolumeClaim) bool {
	same := func(a, b metav1.OwnerReference) bool {
		return a.UID == b.UID && (a.Controller != nil && *a.Controller) == (b.Controller != nil && *b.Controller)
	}
	return slices.EqualFunc(c.OwnerReferences, r.owners(c), same)
}
