package quota

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	sums "k8s.io/apiserver/pkg/quota/v1"
	resourcehelper "k8s.io/component-helpers/resource"
	"k8s.io/kubernetes/pkg/apis/core/v1/helper"
	"k8s.io/kubernetes/pkg/apis/core/v1/helper/qos"

	"skiff/manifests"
	"skiff/manifests/podfacts"
	"skiff/store"
)

var podMeter = meter{
	counts:  countsPods,
	usage:   podUsage,
	inScope: podInScope,
	require: requireOfPod,
	changes: func(obj, old store.Object, subresource string) bool {
		// A resize changes what a pod uses, and its deadline moves it from one scope to another.
		return subresource == manifests.SubresourceResize || subresource == manifests.SubresourceNone && hasDeadline(obj.(*corev1.Pod)) != hasDeadline(old.(*corev1.Pod))
	},
}

var podCount = countName(schema.GroupResource{Resource: "pods"})

// podResources are what a quota can limit of pods, beside extended resources and
// huge pages.
var podResources = []corev1.ResourceName{
	podCount, corev1.ResourcePods,
	corev1.ResourceCPU, corev1.ResourceRequestsCPU, corev1.ResourceLimitsCPU,
	corev1.ResourceMemory, corev1.ResourceRequestsMemory, corev1.ResourceLimitsMemory,
	corev1.ResourceEphemeralStorage, corev1.ResourceRequestsEphemeralStorage, corev1.ResourceLimitsEphemeralStorage,
}

// mustBeSaid are the resources that each container must ask for where a quota
// limits them. Upstream regrets this rule and will add no more.
var mustBeSaid = []corev1.ResourceName{
	corev1.ResourceCPU, corev1.ResourceRequestsCPU, corev1.ResourceLimitsCPU,
	corev1.ResourceMemory, corev1.ResourceRequestsMemory, corev1.ResourceLimitsMemory,
}

func countsPods(name corev1.ResourceName) bool {
	text := string(name)
	return slices.Contains(podResources, name) ||
		strings.HasPrefix(text, corev1.ResourceHugePagesPrefix) || strings.HasPrefix(text, corev1.ResourceRequestsHugePagesPrefix) ||
		strings.HasPrefix(text, corev1.DefaultResourceRequestsPrefix) && !helper.IsNativeResource(name)
}

// podUsage is what a pod uses: itself for as long as it is stored, the rest
// until it has ended.
func podUsage(obj store.Object, now time.Time) corev1.ResourceList {
	pod := obj.(*corev1.Pod)
	used := corev1.ResourceList{podCount: pieces(1)}
	if ended(pod, now) {
		return used
	}
	o := resourcehelper.PodResourcesOptions{UseStatusResources: true}
	maps.Copy(used, amounts(resourcehelper.PodRequests(pod, o), resourcehelper.PodLimits(pod, o)))
	return used
}

// ended says that a pod's resources are counted no more: it has run to its end,
// or ought to be gone by now (the node may be lost).
func ended(pod *corev1.Pod, now time.Time) bool {
	if podfacts.Terminal(pod) {
		return true
	}
	overdue, ok := Overdue(pod)
	return ok && now.After(overdue)
}

// Overdue is when a pod that is being deleted stops being counted, though it be
// there still.
func Overdue(pod *corev1.Pod) (time.Time, bool) {
	if pod.DeletionTimestamp == nil || pod.DeletionGracePeriodSeconds == nil {
		return time.Time{}, false
	}
	return pod.DeletionTimestamp.Add(time.Duration(*pod.DeletionGracePeriodSeconds) * time.Second), true
}

// amounts are requests and limits by the names quotas have for them.
func amounts(requests, limits corev1.ResourceList) corev1.ResourceList {
	used := corev1.ResourceList{corev1.ResourcePods: pieces(1)}
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
		if request, ok := requests[name]; ok {
			used[name], used[corev1.DefaultResourceRequestsPrefix+name] = request, request
		}
		if limit, ok := limits[name]; ok {
			used["limits."+name] = limit
		}
	}
	for name, request := range requests {
		if strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix) {
			used[name], used[corev1.DefaultResourceRequestsPrefix+name] = request, request
		}
		if helper.IsExtendedResourceName(name) {
			used[corev1.DefaultResourceRequestsPrefix+name] = request
		}
	}
	return used
}

// requireOfPod has upstream's text: each resource with the containers that lack
// it.
func requireOfPod(obj store.Object, names []corev1.ResourceName) error {
	pod := obj.(*corev1.Pod)
	if resourcehelper.IsPodLevelResourcesSet(pod) {
		return nil
	}
	missing := map[corev1.ResourceName][]string{}
	for _, containers := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range containers {
			said := amounts(containers[i].Resources.Requests, containers[i].Resources.Limits)
			for _, name := range sums.Intersection(names, mustBeSaid) {
				if _, ok := said[name]; !ok {
					missing[name] = append(missing[name], containers[i].Name)
				}
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		slices.Sort(missing[name])
		parts = append(parts, fmt.Sprintf("%s for: %s", name, strings.Join(missing[name], ",")))
	}
	return fmt.Errorf("must specify %s", strings.Join(parts, "; "))
}

func podInScope(obj store.Object, s corev1.ScopedResourceSelectorRequirement) bool {
	pod := obj.(*corev1.Pod)
	switch s.ScopeName {
	case corev1.ResourceQuotaScopeTerminating:
		return hasDeadline(pod)
	case corev1.ResourceQuotaScopeNotTerminating:
		return !hasDeadline(pod)
	case corev1.ResourceQuotaScopeBestEffort:
		return qos.GetPodQOS(pod) == corev1.PodQOSBestEffort
	case corev1.ResourceQuotaScopeNotBestEffort:
		return qos.GetPodQOS(pod) != corev1.PodQOSBestEffort
	case corev1.ResourceQuotaScopePriorityClass:
		return classIn(s, pod.Spec.PriorityClassName)
	case corev1.ResourceQuotaScopeCrossNamespacePodAffinity:
		return reachesOtherNamespaces(pod.Spec.Affinity)
	}
	return false
}

func hasDeadline(pod *corev1.Pod) bool {
	return pod.Spec.ActiveDeadlineSeconds != nil && *pod.Spec.ActiveDeadlineSeconds >= 0
}

// classIn says whether a class, "" for none, is one that a scope's expression
// means.
func classIn(s corev1.ScopedResourceSelectorRequirement, class string) bool {
	if s.Operator == corev1.ScopeSelectorOpExists {
		return class != ""
	}
	selector, err := helper.ScopedResourceSelectorRequirementsAsSelector(s)
	if err != nil {
		return false // validation lets no such expression in
	}
	var has labels.Set
	if class != "" {
		has = labels.Set{string(s.ScopeName): class}
	}
	return selector.Matches(has)
}

func reachesOtherNamespaces(a *corev1.Affinity) bool {
	if a == nil {
		return false
	}
	var terms []corev1.PodAffinityTerm
	add := func(required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm) {
		terms = append(terms, required...)
		for i := range preferred {
			terms = append(terms, preferred[i].PodAffinityTerm)
		}
	}
	if p := a.PodAffinity; p != nil {
		add(p.RequiredDuringSchedulingIgnoredDuringExecution, p.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if p := a.PodAntiAffinity; p != nil {
		add(p.RequiredDuringSchedulingIgnoredDuringExecution, p.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	return slices.ContainsFunc(terms, func(t corev1.PodAffinityTerm) bool {
		return len(t.Namespaces) > 0 || t.NamespaceSelector != nil
	})
}
