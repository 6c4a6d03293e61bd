package admission

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	resourcehelper "k8s.io/component-helpers/resource"

	"skiff/manifests"
	"skiff/manifests/registry"
	"skiff/store"
)

// limitRangerAnnotation tells on a pod which of its requests and limits are a
// limit range's defaults.
const limitRangerAnnotation = "kubernetes.io/limit-ranger"

// LimitRanger gives new pods the default requests and limits of the namespace's
// limit ranges, and refuses pods and volume claims that are outside of them
// (upstream's plugin/pkg/admission/limitranger).
type LimitRanger struct{ Reader Reader }

// Admit implements registry.Admitter.
func (l LimitRanger) Admit(_ context.Context, r registry.Request) error {
	pod := newPod(r)
	if pod == nil {
		return nil
	}
	for _, limits := range l.ranges(r.Namespace) {
		setDefaults(pod, limits)
	}
	return nil
}

// Validate implements registry.Validator.
func (l LimitRanger) Validate(_ context.Context, r registry.Request) error {
	resize := r.Subresource == manifests.SubresourceResize
	if r.Subresource != "" && !resize || r.Operation == registry.Delete || r.Old != nil && r.Old.GetDeletionTimestamp() != nil {
		return nil
	}
	var check func(corev1.LimitRangeItem) []error
	switch obj := r.Object.(type) {
	case *corev1.Pod:
		if r.Operation != registry.Create && !resize {
			return nil // a pod's containers do not change in other ways
		}
		check = func(item corev1.LimitRangeItem) []error { return checkPod(item, obj) }
	case *corev1.PersistentVolumeClaim:
		check = func(item corev1.LimitRangeItem) []error { return checkClaim(item, obj) }
	default:
		return nil
	}
	for _, limits := range l.ranges(r.Namespace) {
		var errs []error
		for _, item := range limits.Spec.Limits {
			errs = append(errs, check(item)...)
		}
		if len(errs) > 0 {
			return forbidden(r, utilerrors.NewAggregate(errs))
		}
	}
	return nil
}

// ranges are the limit ranges of a namespace, by name.
func (l LimitRanger) ranges(namespace string) []*corev1.LimitRange {
	var all []*corev1.LimitRange
	l.Reader.Snapshot("limitranges").Ascend(namespace, store.Key{}, func(obj store.Object) bool {
		all = append(all, obj.(*corev1.LimitRange))
		return true
	})
	return all
}

// setDefaults fills in what the pod's containers leave out, and says so in the
// annotation.
func setDefaults(pod *corev1.Pod, limits *corev1.LimitRange) {
	defaults := corev1.ResourceRequirements{Requests: corev1.ResourceList{}, Limits: corev1.ResourceList{}}
	for _, item := range limits.Spec.Limits {
		if item.Type == corev1.LimitTypeContainer {
			maps.Copy(defaults.Requests, item.DefaultRequest)
			maps.Copy(defaults.Limits, item.Default)
		}
	}
	var notes []string
	fill := func(containers []corev1.Container, what string) {
		for i := range containers {
			c := &containers[i]
			for _, set := range []struct {
				list     *corev1.ResourceList
				defaults corev1.ResourceList
				part     string
			}{{&c.Resources.Requests, defaults.Requests, "request"}, {&c.Resources.Limits, defaults.Limits, "limit"}} {
				if names := fillIn(set.list, set.defaults); len(names) > 0 {
					notes = append(notes, fmt.Sprintf("%s %s for %s %s", strings.Join(names, ", "), set.part, what, c.Name))
				}
			}
		}
	}
	fill(pod.Spec.Containers, "container")
	fill(pod.Spec.InitContainers, "init container")
	if len(notes) > 0 {
		metav1.SetMetaDataAnnotation(&pod.ObjectMeta, limitRangerAnnotation, "LimitRanger plugin set: "+strings.Join(notes, "; "))
	}
}

// fillIn sets the defaults that a list lacks, and returns their names.
func fillIn(list *corev1.ResourceList, defaults corev1.ResourceList) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(defaults)) {
		if _, given := (*list)[name]; given {
			continue
		}
		if *list == nil {
			*list = corev1.ResourceList{}
		}
		(*list)[name] = defaults[name].DeepCopy()
		names = append(names, string(name))
	}
	return names
}

func checkPod(item corev1.LimitRangeItem, pod *corev1.Pod) []error {
	var errs []error
	switch item.Type {
	case corev1.LimitTypeContainer:
		for _, containers := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
			for i := range containers {
				errs = append(errs, checkAmounts(item, containers[i].Resources.Requests, containers[i].Resources.Limits)...)
			}
		}
	case corev1.LimitTypePod:
		o := resourcehelper.PodResourcesOptions{ExcludeOverhead: true}
		errs = checkAmounts(item, resourcehelper.PodRequests(pod, o), resourcehelper.PodLimits(pod, o))
	}
	return errs
}

// checkClaim compares what is requested: a claim has no limits.
func checkClaim(item corev1.LimitRangeItem, c *corev1.PersistentVolumeClaim) []error {
	if item.Type != corev1.LimitTypePersistentVolumeClaim {
		return nil
	}
	b := bounds{what: string(item.Type), requests: c.Spec.Resources.Requests}
	return append(each(item.Min, b.atLeast), each(item.Max, b.requestAtMost)...)
}

func checkAmounts(item corev1.LimitRangeItem, requests, limits corev1.ResourceList) []error {
	b := bounds{what: string(item.Type), requests: requests, limits: limits}
	errs := append(each(item.Min, b.atLeast), each(item.Max, b.atMost)...)
	return append(errs, each(item.MaxLimitRequestRatio, b.ratioAtMost)...)
}

func each(bounds corev1.ResourceList, check func(corev1.ResourceName, resource.Quantity) error) []error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(bounds)) {
		if err := check(name, bounds[name]); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// bounds compares amounts with a limit range's, with upstream's messages.
type bounds struct {
	what             string // a Container, a Pod, a PersistentVolumeClaim
	requests, limits corev1.ResourceList
}

func (b bounds) atLeast(name corev1.ResourceName, bound resource.Quantity) error {
	request, requested := b.requests[name]
	limit, limited := b.limits[name]
	switch {
	case !requested:
		return fmt.Errorf("minimum %s usage per %s is %s.  No request is specified", name, b.what, bound.String())
	case request.Cmp(bound) < 0:
		return fmt.Errorf("minimum %s usage per %s is %s, but request is %s", name, b.what, bound.String(), request.String())
	case limited && limit.Cmp(bound) < 0:
		return fmt.Errorf("minimum %s usage per %s is %s, but limit is %s", name, b.what, bound.String(), limit.String())
	}
	return nil
}

func (b bounds) atMost(name corev1.ResourceName, bound resource.Quantity) error {
	request, requested := b.requests[name]
	limit, limited := b.limits[name]
	switch {
	case !limited:
		return fmt.Errorf("maximum %s usage per %s is %s.  No limit is specified", name, b.what, bound.String())
	case limit.Cmp(bound) > 0:
		return fmt.Errorf("maximum %s usage per %s is %s, but limit is %s", name, b.what, bound.String(), limit.String())
	case requested && request.Cmp(bound) > 0:
		return fmt.Errorf("maximum %s usage per %s is %s, but request is %s", name, b.what, bound.String(), request.String())
	}
	return nil
}

func (b bounds) requestAtMost(name corev1.ResourceName, bound resource.Quantity) error {
	request, requested := b.requests[name]
	switch {
	case !requested:
		return fmt.Errorf("maximum %s usage per %s is %s.  No request is specified", name, b.what, bound.String())
	case request.Cmp(bound) > 0:
		return fmt.Errorf("maximum %s usage per %s is %s, but request is %s", name, b.what, bound.String(), request.String())
	}
	return nil
}

func (b bounds) ratioAtMost(name corev1.ResourceName, bound resource.Quantity) error {
	request, limit := b.requests[name], b.limits[name]
	switch {
	case request.IsZero():
		return fmt.Errorf("%s max limit to request ratio per %s is %s, but no request is specified or request is 0", name, b.what, bound.String())
	case limit.IsZero():
		return fmt.Errorf("%s max limit to request ratio per %s is %s, but no limit is specified or limit is 0", name, b.what, bound.String())
	}
	if ratio := limit.AsApproximateFloat64() / request.AsApproximateFloat64(); ratio > bound.AsApproximateFloat64() {
		return fmt.Errorf("%s max limit to request ratio per %s is %s, but provided ratio is %f", name, b.what, bound.String(), ratio)
	}
	return nil
}
