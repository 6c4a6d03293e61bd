package manifests

import (
	"context"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apivalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	podutil "k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/apis/core/helper/qos"
	kcorev1 "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/apis/core/validation"

	"skiff/manifests/podfacts"
)

func podKind() *Kind {
	v1 := []schema.GroupVersion{corev1.SchemeGroupVersion}
	return newKind(coreKind("Pod"), Kind{
		Resource: "pods", ShortNames: []string{"po"}, Categories: []string{"all"},
		Namespaced: true, HasStatus: true, ReturnsDeleted: true,
		New: newOf[*corev1.Pod](), NewList: newOf[*corev1.PodList](),
		Rules: &rules[*corev1.Pod, core.Pod]{
			namespaced:    true,
			toInternal:    kcorev1.Convert_v1_Pod_To_core_Pod,
			fromInternal:  kcorev1.Convert_core_Pod_To_v1_Pod,
			prepareCreate: preparePod,
			validateCreate: func(_ context.Context, p *core.Pod) field.ErrorList {
				return validation.ValidatePodCreate(p, podOptions(p, nil))
			},
			warnCreate: func(ctx context.Context, p *core.Pod) []string {
				warnings := append(warnOfName(p.Name, "the Pod's hostname"), podutil.GetWarningsForPod(ctx, p, nil)...)
				return append(warnings, unhonoured(field.NewPath("spec"), &p.Spec)...)
			},
			podSpec: func(o *core.Pod) (*field.Path, *core.PodSpec) {
				return field.NewPath("spec"), &o.Spec
			},
			updates: map[string]update[core.Pod]{
				SubresourceNone:      podUpdate(),
				SubresourceStatus:    podStatusUpdate(),
				SubresourceEphemeral: podEphemeralUpdate(),
				SubresourceResize:    podResize(),
			},
			fields: podFields(),
			grace:  podGrace,
			reset: resetFields{
				SubresourceNone: reset(v1, path("status")),
				SubresourceStatus: reset(v1, path("spec"), path("metadata", "deletionTimestamp"),
					path("metadata", "ownerReferences")),
			},
		},
	})
}

// preparePod begins a pod's life as pending.
func preparePod(p *core.Pod) {
	p.Generation = 1
	p.Status = core.PodStatus{Phase: core.PodPending}
	podutil.DropDisabledPodFields(p, nil)
	if len(p.Spec.SchedulingGates) > 0 {
		podutil.UpdatePodCondition(&p.Status, &core.PodCondition{
			Type:    core.PodScheduled,
			Status:  core.ConditionFalse,
			Reason:  corev1.PodReasonSchedulingGated,
			Message: "Scheduling is blocked due to non-empty scheduling gates",
		})
	}
	mergeLabelKeys(p)
	syncAppArmor(p)
	podutil.DefaultPodLevelResources(p)
	p.Status.QOSClass = qos.GetPodQOS(p)
}

func podUpdate() update[core.Pod] {
	return update[core.Pod]{
		prepare: func(p, old *core.Pod) {
			if p.Spec.Resources == nil && old.Spec.Resources != nil {
				// A client that does not know of pod-level resources drops them.
				p.Spec.Resources = old.Spec.Resources.DeepCopy()
			}
			podutil.DropDisabledPodFields(p, old)
			p.Status = old.Status // last: it is shared, and what comes before writes into it
			bump(&p.Generation, p.Generation, &p.Spec, &old.Spec)
		},
		validate: func(_ context.Context, p, old *core.Pod) field.ErrorList {
			return validation.ValidatePodUpdate(p, old, podOptions(p, old))
		},
		// No warnings, as upstream: hardly a person updates a pod, and programs do
		// so all the time.
	}
}

// podEphemeralUpdate takes over the ephemeral containers and nothing else.
func podEphemeralUpdate() update[core.Pod] {
	return update[core.Pod]{
		prepare: func(p, old *core.Pod) {
			ephemeral := p.Spec.EphemeralContainers
			p.Spec = *old.Spec.DeepCopy()
			metav1.ResetObjectMetaForStatus(&p.ObjectMeta, &old.ObjectMeta)
			p.Spec.EphemeralContainers = ephemeral
			podutil.DropDisabledPodFields(p, old)
			p.Status = old.Status // last, as in podUpdate
			bump(&p.Generation, p.Generation, &p.Spec, &old.Spec)
		},
		validate: func(_ context.Context, p, old *core.Pod) field.ErrorList {
			return validation.ValidatePodEphemeralContainersUpdate(p, old, podOptions(p, old))
		},
		warn: func(_ context.Context, p, old *core.Pod) []string { return unhonouredEphemeral(p, old) },
	}
}

// podResize takes over the containers' requests and limits of processors and memory, the pod's own,
// and their resize policies. An update that adds, removes or renames containers is left as it is, for
// validation to refuse.
func podResize() update[core.Pod] {
	return update[core.Pod]{
		prepare: func(p, old *core.Pod) {
			containers, init, same := resized(&p.Spec, &old.Spec)
			if same {
				resources := p.Spec.Resources
				p.Spec = *old.Spec.DeepCopy()
				metav1.ResetObjectMetaForStatus(&p.ObjectMeta, &old.ObjectMeta)
				p.Spec.Containers, p.Spec.InitContainers, p.Spec.Resources = containers, init, resources
			}
			if p.Spec.Resources == nil && old.Spec.Resources != nil {
				// A client that does not know of pod-level resources drops them.
				p.Spec.Resources = old.Spec.Resources.DeepCopy()
			}
			if p.Spec.Resources != nil {
				podutil.DefaultPodLevelResources(p)
			}
			podutil.DropDisabledPodFields(p, old)
			if same {
				p.Status = old.Status // last, as in podUpdate
			}
			bump(&p.Generation, p.Generation, &p.Spec, &old.Spec)
		},
		validate: func(_ context.Context, p, old *core.Pod) field.ErrorList {
			return validation.ValidatePodResize(p, old, podOptions(p, old))
		},
	}
}

// resized are the old containers and init containers with their new resources and resize policies;
// same says that they are still the same containers in the same order.
func resized(s, old *core.PodSpec) (containers, init []core.Container, same bool) {
	merge := func(list, old []core.Container) ([]core.Container, bool) {
		if len(list) != len(old) {
			return nil, false
		}
		var out []core.Container
		for i := range old {
			if list[i].Name != old[i].Name {
				return nil, false
			}
			c := *old[i].DeepCopy()
			c.Resources, c.ResizePolicy = list[i].Resources, list[i].ResizePolicy
			out = append(out, c)
		}
		return out, true
	}
	containers, same = merge(s.Containers, old.Containers)
	if !same {
		return nil, nil, false
	}
	init, same = merge(s.InitContainers, old.InitContainers)
	return containers, init, same
}

func podStatusUpdate() update[core.Pod] {
	return update[core.Pod]{
		prepare: preparePodStatus,
		validate: func(_ context.Context, p, old *core.Pod) field.ErrorList {
			return validation.ValidatePodStatusUpdate(p, old, podOptions(p, old))
		},
		warn: func(_ context.Context, p, _ *core.Pod) []string {
			var warnings []string
			for i, ip := range p.Status.PodIPs {
				at := field.NewPath("status", "podIPs").Index(i).Child("ip")
				warnings = append(warnings, apivalidation.GetWarningsForIP(at, ip.IP)...)
			}
			for i, ip := range p.Status.HostIPs {
				at := field.NewPath("status", "hostIPs").Index(i).Child("ip")
				warnings = append(warnings, apivalidation.GetWarningsForIP(at, ip.IP)...)
			}
			return warnings
		},
	}
}

func preparePodStatus(p, old *core.Pod) {
	p.DeletionTimestamp = old.DeletionTimestamp
	p.OwnerReferences = old.OwnerReferences
	if p.Status.QOSClass == "" {
		p.Status.QOSClass = old.Status.QOSClass
	}
	// A client that does not know these fields strips them; an empty, not nil,
	// slice clears.
	if p.Status.ResourceClaimStatuses == nil {
		p.Status.ResourceClaimStatuses = old.Status.ResourceClaimStatuses
	}
	if p.Status.ExtendedResourceClaimStatus == nil {
		p.Status.ExtendedResourceClaimStatus = old.Status.ExtendedResourceClaimStatus
	}
	if p.Status.NodeAllocatableResourceClaimStatuses == nil {
		p.Status.NodeAllocatableResourceClaimStatuses = old.Status.NodeAllocatableResourceClaimStatuses
	}
	keepObservedGenerations(&p.Status, &old.Status)
	podutil.DropDisabledPodFields(p, old)
	// Last, and not first as upstream: it is shared with all who read the stored
	// pod, and what comes before writes into the spec.
	p.Spec = old.Spec
}

// keepObservedGenerations restores the observed generations, of the status and
// of its conditions, that a client left out. Several conditions may have one
// type.
func keepObservedGenerations(s, old *core.PodStatus) {
	if s.ObservedGeneration == 0 {
		s.ObservedGeneration = old.ObservedGeneration
	}
	known := map[core.PodConditionType][]int64{}
	for _, c := range old.Conditions {
		known[c.Type] = append(known[c.Type], c.ObservedGeneration)
	}
	for i := range s.Conditions {
		c := &s.Conditions[i]
		was := known[c.Type]
		if len(was) == 0 {
			continue
		}
		known[c.Type] = was[1:]
		if c.ObservedGeneration == 0 {
			c.ObservedGeneration = was[0]
		}
	}
}

// podOptions are what validation is to allow; old is nil on create.
func podOptions(p, old *core.Pod) validation.PodValidationOptions {
	var oldSpec *core.PodSpec
	var oldMeta *metav1.ObjectMeta
	if old != nil {
		oldSpec, oldMeta = &old.Spec, &old.ObjectMeta
	}
	o := podutil.GetValidationOptionsFromPodSpecAndMeta(&p.Spec, oldSpec, &p.ObjectMeta, oldMeta)
	o.ResourceIsPod = true
	return o
}

// podGrace is the time a pod has to end: what the request says, else what the
// pod says, and none at all for a pod that has no node or has ended.
func podGrace(p *corev1.Pod, o *metav1.DeleteOptions) *int64 {
	var period int64
	switch {
	case p.Spec.NodeName == "", podfacts.Terminal(p):
	case o != nil && o.GracePeriodSeconds != nil:
		period = *o.GracePeriodSeconds
	case p.Spec.TerminationGracePeriodSeconds != nil:
		period = *p.Spec.TerminationGracePeriodSeconds
	}
	if period < 0 {
		period = 1
	}
	return &period
}

func podFields() fieldTable[*corev1.Pod] {
	return fieldTable[*corev1.Pod]{
		"spec.nodeName":            func(p *corev1.Pod) string { return p.Spec.NodeName },
		"spec.restartPolicy":       func(p *corev1.Pod) string { return string(p.Spec.RestartPolicy) },
		"spec.schedulerName":       func(p *corev1.Pod) string { return p.Spec.SchedulerName },
		"spec.serviceAccountName":  func(p *corev1.Pod) string { return p.Spec.ServiceAccountName },
		"spec.hostNetwork":         func(p *corev1.Pod) string { return strconv.FormatBool(p.Spec.HostNetwork) },
		"status.phase":             func(p *corev1.Pod) string { return string(p.Status.Phase) },
		"status.nominatedNodeName": func(p *corev1.Pod) string { return p.Status.NominatedNodeName },
		"status.podIP": func(p *corev1.Pod) string {
			if len(p.Status.PodIPs) == 0 {
				return ""
			}
			return p.Status.PodIPs[0].IP
		},
	}
}

// mergeLabelKeys puts the pod's own values of matchLabelKeys and
// mismatchLabelKeys into the selectors they stand beside, as KEP-3633 and
// KEP-3243 have it.
func mergeLabelKeys(p *core.Pod) {
	for i := range p.Spec.TopologySpreadConstraints {
		c := &p.Spec.TopologySpreadConstraints[i]
		requireLabels(c.LabelSelector, c.MatchLabelKeys, metav1.LabelSelectorOpIn, p.Labels)
	}
	if p.Spec.Affinity == nil {
		return
	}
	for _, term := range podAffinityTerms(p.Spec.Affinity) {
		requireLabels(term.LabelSelector, term.MatchLabelKeys, metav1.LabelSelectorOpIn, p.Labels)
		requireLabels(term.LabelSelector, term.MismatchLabelKeys, metav1.LabelSelectorOpNotIn, p.Labels)
	}
}

func podAffinityTerms(a *core.Affinity) []*core.PodAffinityTerm {
	var terms []*core.PodAffinityTerm
	add := func(required []core.PodAffinityTerm, preferred []core.WeightedPodAffinityTerm) {
		for i := range preferred {
			terms = append(terms, &preferred[i].PodAffinityTerm)
		}
		for i := range required {
			terms = append(terms, &required[i])
		}
	}
	if a.PodAffinity != nil {
		add(a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution, a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if a.PodAntiAffinity != nil {
		add(a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution, a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	return terms
}

// requireLabels adds a requirement for each key that labels has. A nil selector
// matches nothing, and stays so.
func requireLabels(s *metav1.LabelSelector, keys []string, op metav1.LabelSelectorOperator, labels map[string]string) {
	if s == nil {
		return
	}
	for _, key := range keys {
		if value, ok := labels[key]; ok {
			s.MatchExpressions = append(s.MatchExpressions,
				metav1.LabelSelectorRequirement{Key: key, Operator: op, Values: []string{value}})
		}
	}
}

// syncAppArmor moves the deprecated AppArmor annotations into the fields that
// replaced them, unless the pod's own profile says the same.
func syncAppArmor(p *core.Pod) {
	if len(p.Annotations) == 0 || p.Spec.OS != nil && p.Spec.OS.Name == core.Windows {
		return
	}
	var podProfile *core.AppArmorProfile
	if p.Spec.SecurityContext != nil {
		podProfile = p.Spec.SecurityContext.AppArmorProfile
	}
	podutil.VisitContainers(&p.Spec, podutil.AllFeatureEnabledContainers(), func(c *core.Container, _ podutil.ContainerType) bool {
		profile := annotatedAppArmor(p, c)
		if profile == nil || equality.Semantic.DeepEqual(profile, podProfile) {
			return true
		}
		if c.SecurityContext == nil {
			c.SecurityContext = &core.SecurityContext{}
		}
		if c.SecurityContext.AppArmorProfile == nil {
			c.SecurityContext.AppArmorProfile = profile
		}
		return true
	})
}

// annotatedAppArmor is the profile that a container's annotation stands for,
// nil when there is none or it is not a valid one.
func annotatedAppArmor(p *core.Pod, c *core.Container) *core.AppArmorProfile {
	text, ok := p.Annotations[core.DeprecatedAppArmorAnnotationKeyPrefix+c.Name]
	if !ok {
		return nil
	}
	profile := podutil.ApparmorFieldForAnnotation(text)
	if len(validation.ValidateAppArmorProfileField(profile, &field.Path{})) > 0 {
		return nil
	}
	return profile
}
