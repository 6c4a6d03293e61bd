package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/util/dryrun"
	"k8s.io/utils/ptr"

	"skiff/manifests"
	"skiff/manifests/podfacts"
	"skiff/store"
)

// maxDisruptedPods is how many evictions may wait for the disruption controller
// to take note of them.
const maxDisruptedPods = 2000

// evictionAttempts is how often an eviction is tried while others change its pod.
const evictionAttempts = 20

// Evict deletes a pod, after noting on it that it was disrupted, unless a
// PodDisruptionBudget stands in its way: then the error is TooManyRequests with
// a cause DisruptionBudget. Preconditions, grace period and dry run are those of
// the eviction's own DeleteOptions.
//
// What upstream does is in k8s.io/kubernetes
// pkg/registry/core/pod/storage/eviction.go.
func (p Pods) Evict(ctx context.Context, namespace, name string, eviction *policyv1.Eviction) error {
	if name != eviction.Name {
		return apierrors.NewBadRequest("name in URL does not match name in Eviction object")
	}
	options := eviction.DeleteOptions.DeepCopy()
	if options == nil {
		options = &metav1.DeleteOptions{}
	}
	if ptr.Deref(options.IgnoreStoreReadErrorWithClusterBreakingPotential, false) {
		at := field.NewPath("deleteOptions").Child("ignoreStoreReadErrorWithClusterBreakingPotential")
		return apierrors.NewInvalid(policyv1.SchemeGroupVersion.WithKind("Eviction").GroupKind(), name, field.ErrorList{
			field.Invalid(at, true, "can not be set for pod eviction, try after removing the option"),
		})
	}
	if err := p.resource.ReviewPart(ctx, p.eviction(namespace, eviction, options)); err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		free, err := p.evictFreely(ctx, namespace, name, options)
		if apierrors.IsConflict(err) && !pinned(options) && attempt < evictionAttempts {
			continue // the pod has changed since it was looked at
		}
		if err != nil || free {
			return err
		}
		return p.evictWithinBudget(ctx, namespace, name, options)
	}
}

// eviction is the request as the extension sees it, in the place of what comes of it.
func (p Pods) eviction(namespace string, e *policyv1.Eviction, o *metav1.DeleteOptions) Request {
	return Request{
		Operation: Create, Namespace: namespace, Name: e.Name, Subresource: "eviction", DryRun: dryrun.IsDryRun(o.DryRun),
		Part: &Part{GVK: policyv1.SchemeGroupVersion.WithKind("Eviction"), Object: e},
	}
}

// pinned reports whether the options ask for one version of the pod.
func pinned(o *metav1.DeleteOptions) bool {
	return o.Preconditions != nil && o.Preconditions.ResourceVersion != nil
}

// pin makes sure that it is this version of the pod that is deleted.
func pin(o *metav1.DeleteOptions, pod *corev1.Pod) *metav1.DeleteOptions {
	o = o.DeepCopy()
	if o.Preconditions == nil {
		o.Preconditions = &metav1.Preconditions{}
	}
	o.Preconditions.ResourceVersion = ptr.To(pod.ResourceVersion)
	return o
}

// evictFreely evicts a pod that no budget counts: one that does not run yet or
// any more, or is being deleted. It returns false for other pods.
func (p Pods) evictFreely(ctx context.Context, namespace, name string, options *metav1.DeleteOptions) (bool, error) {
	pod, err := p.get(namespace, name)
	if err != nil {
		return false, err
	}
	switch {
	case !podfacts.Active(pod):
	case pod.Status.Phase == corev1.PodPending:
		// It may begin to run, and then be counted, at any time.
		if !pinned(options) {
			options = pin(options, pod)
		}
	default:
		return false, nil
	}
	return true, p.disrupt(ctx, namespace, name, options)
}

func (p Pods) get(namespace, name string) (*corev1.Pod, error) {
	obj, err := p.resource.Get(namespace, name)
	return typed[*corev1.Pod](obj, err)
}

// evictWithinBudget evicts a pod that runs, at the expense of its budget.
func (p Pods) evictWithinBudget(ctx context.Context, namespace, name string, options *metav1.DeleteOptions) error {
	pod, err := p.get(namespace, name)
	if err != nil {
		return err
	}
	budgets := p.budgets(pod)
	switch {
	case len(budgets) == 0:
		return p.disrupt(ctx, namespace, name, options)
	case len(budgets) > 1:
		return &apierrors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusInternalServerError,
			Message: "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
		}}
	}
	budget := budgets[0]
	if !podfacts.Ready(pod) && sparesUnready(budget) {
		err := p.disrupt(ctx, namespace, name, pin(options, pod))
		if apierrors.IsConflict(err) && !pinned(options) {
			return tooManyRequests(budget.Name) // it may have become ready
		}
		return err
	}
	if err := p.spend(ctx, budget, pod, dryrun.IsDryRun(options.DryRun)); err != nil {
		return err
	}
	return p.disrupt(ctx, namespace, name, options)
}

// disrupt notes on the pod that it is evicted, and deletes it.
func (p Pods) disrupt(ctx context.Context, namespace, name string, options *metav1.DeleteOptions) error {
	options = options.DeepCopy()
	if !dryrun.IsDryRun(options.DryRun) {
		if err := p.noteDisruption(ctx, namespace, name, options); err != nil {
			return err
		}
	}
	_, _, err := p.resource.Delete(ctx, namespace, name, options, DeleteOptions{Reviewed: true})
	return err
}

// budgets are the disruption budgets that select a pod.
func (p Pods) budgets(pod *corev1.Pod) []*policyv1.PodDisruptionBudget {
	var out []*policyv1.PodDisruptionBudget
	for _, b := range For[*policyv1.PodDisruptionBudget](p.resource.registry).List(pod.Namespace, nil) {
		selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
		if err == nil && selector.Matches(labels.Set(pod.Labels)) {
			out = append(out, b)
		}
	}
	return out
}

// sparesUnready reports whether a pod that is not ready may go without counting:
// always, if the budget says so, else while enough others are healthy.
func sparesUnready(b *policyv1.PodDisruptionBudget) bool {
	if ptr.Deref(b.Spec.UnhealthyPodEvictionPolicy, policyv1.IfHealthyBudget) == policyv1.AlwaysAllow {
		return true
	}
	return b.Status.CurrentHealthy >= b.Status.DesiredHealthy && b.Status.DesiredHealthy > 0
}

// spend takes one disruption from a budget, and has it remember the pod until
// the disruption controller sees that it is being deleted.
func (p Pods) spend(ctx context.Context, budget *policyv1.PodDisruptionBudget, pod *corev1.Pod, dryRun bool) error {
	if dryRun {
		return affordable(budget)
	}
	r := p.resource.registry
	_, err := For[*policyv1.PodDisruptionBudget](r).UpdateStatus(ctx, budget.Namespace, budget.Name, func(b *policyv1.PodDisruptionBudget) error {
		if err := affordable(b); err != nil {
			return err
		}
		b.Status.DisruptionsAllowed--
		if b.Status.DisruptionsAllowed == 0 {
			SetDisruptionAllowed(b, p.resource.now())
		}
		if b.Status.DisruptedPods == nil {
			b.Status.DisruptedPods = map[string]metav1.Time{}
		}
		b.Status.DisruptedPods[pod.Name] = p.resource.now()
		return nil
	})
	return err
}

// SetDisruptionAllowed makes the condition DisruptionAllowed say what the
// status' disruptionsAllowed does.
func SetDisruptionAllowed(b *policyv1.PodDisruptionBudget, now metav1.Time) {
	c := metav1.Condition{
		Type: policyv1.DisruptionAllowedCondition, Status: metav1.ConditionFalse, Reason: policyv1.InsufficientPodsReason,
		ObservedGeneration: b.Status.ObservedGeneration, LastTransitionTime: now,
	}
	if b.Status.DisruptionsAllowed > 0 {
		c.Status, c.Reason = metav1.ConditionTrue, policyv1.SufficientPodsReason
	}
	meta.SetStatusCondition(&b.Status.Conditions, c)
}

// affordable is nil when a budget allows a disruption.
func affordable(b *policyv1.PodDisruptionBudget) error {
	prefix := fmt.Sprintf("The disruption budget %s does not allow evicting pods currently", b.Name)
	switch {
	case b.Status.ObservedGeneration < b.Generation:
		return tooManyRequests(b.Name)
	case b.Status.DisruptionsAllowed < 0:
		return forbidden(b.Name, "pdb disruptions allowed is negative", prefix+": pdb disruptions allowed is negative")
	case len(b.Status.DisruptedPods) > maxDisruptedPods:
		return forbidden(b.Name, "DisruptedPods map too big - too many evictions not confirmed by PDB controller",
			prefix+": too many pending evictions not confirmed by PDB controller")
	case b.Status.DisruptionsAllowed > 0:
		return nil
	}
	c := meta.FindStatusCondition(b.Status.Conditions, policyv1.DisruptionAllowedCondition)
	explained := c != nil && c.Status == metav1.ConditionFalse && c.Message != ""
	message := prefix
	switch {
	case explained && c.Reason == policyv1.SyncFailedReason:
		message = fmt.Sprintf("%s because it failed sync: %s", prefix, c.Message)
	case b.Status.CurrentHealthy <= b.Status.DesiredHealthy:
		message = fmt.Sprintf("The disruption budget %s needs %d healthy pods and has %d currently", b.Name, b.Status.DesiredHealthy, b.Status.CurrentHealthy)
	case explained:
		message = fmt.Sprintf("%s (%s): %s", prefix, c.Reason, c.Message)
	}
	return withCause(apierrors.NewTooManyRequests(wouldViolate, 0), message)
}

const wouldViolate = "Cannot evict pod as it would violate the pod's disruption budget."

// tooManyRequests asks to try again when the disruption controller has had the
// time to look at the budget.
func tooManyRequests(budget string) error {
	return withCause(apierrors.NewTooManyRequests(wouldViolate, 10),
		fmt.Sprintf("The disruption budget %s is still being processed by the server.", budget))
}

func forbidden(budget, why, message string) error {
	gr := schema.GroupResource{Group: policyv1.GroupName, Resource: "poddisruptionbudget"}
	return withCause(apierrors.NewForbidden(gr, budget, errors.New(why)), message)
}

func withCause(err *apierrors.StatusError, message string) error {
	err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{Type: policyv1.DisruptionBudgetCause, Message: message})
	return err
}

// noteDisruption sets the pod's condition DisruptionTarget. A resourceVersion
// that was a precondition becomes the one this makes.
func (p Pods) noteDisruption(ctx context.Context, namespace, name string, options *metav1.DeleteOptions) error {
	r := p.resource
	note := func(current store.Object) (store.Object, error) {
		if err := r.checkDeletePreconditions(options.Preconditions, current); err != nil {
			return nil, err
		}
		pod := current.(*corev1.Pod).DeepCopy()
		r.setCondition(&pod.Status, corev1.PodCondition{
			Type:    corev1.DisruptionTarget,
			Status:  corev1.ConditionTrue,
			Reason:  "EvictionByEvictionAPI",
			Message: "Eviction API: evicting",
		})
		return pod, nil
	}
	noted, _, err := r.Update(ctx, namespace, name, note, UpdateOptions{Subresource: manifests.SubresourceStatus, Reviewed: true})
	if err != nil {
		return err
	}
	if pinned(options) {
		options.Preconditions.ResourceVersion = ptr.To(noted.GetResourceVersion())
	}
	return nil
}
