package admission

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"skiff/manifests"
	"skiff/manifests/registry"
	"skiff/store"
)

// PodSecurity holds pods to the Pod Security Standards that their namespace's labels name: it refuses
// those that violate the enforced level, and warns of and notes what violates the others, in the
// templates of workloads too. https://kubernetes.io/docs/concepts/security/pod-security-admission/
type PodSecurity struct{ Reader Reader }

// maxCheckedPods is how many pods are looked at when a namespace's level changes: upstream's bound.
const maxCheckedPods = 3000

// labelPrefix begins the labels that name levels.
const labelPrefix = "pod-security.kubernetes.io/"

// evaluator is upstream's checks, made when the first namespace has a level.
var evaluator = sync.OnceValues(func() (policy.Evaluator, error) { return policy.NewEvaluator(policy.DefaultChecks(), nil) })

// privileged is the policy of namespaces that name none.
func privileged() api.Policy {
	level := api.LevelVersion{Level: api.LevelPrivileged, Version: api.LatestVersion()}
	return api.Policy{Enforce: level, Audit: level, Warn: level}
}

// levels reads a namespace's labels. ok is false for a namespace that names no level.
func levels(labels map[string]string) (p api.Policy, wrong error, ok bool) {
	for key := range labels {
		if strings.HasPrefix(key, labelPrefix) {
			p, errs := api.PolicyToEvaluate(labels, privileged())
			return p, errs.ToAggregate(), true
		}
	}
	return api.Policy{}, nil, false
}

// Admit implements registry.Admitter: it changes nothing.
func (PodSecurity) Admit(context.Context, registry.Request) error { return nil }

// Validate implements registry.Validator.
func (s PodSecurity) Validate(ctx context.Context, r registry.Request) error {
	if r.Object == nil || r.Operation == registry.Delete {
		return nil
	}
	switch r.Subresource {
	case manifests.SubresourceNone:
	case manifests.SubresourceEphemeral, manifests.SubresourceResize:
	default:
		return nil // nothing else changes what a pod may do
	}
	if n, ok := r.Object.(*corev1.Namespace); ok {
		return s.namespace(ctx, r, n)
	}
	meta, spec := template(r.Object)
	if spec == nil {
		return nil
	}
	p, wrong, ok := s.policyOf(r.Namespace)
	if !ok || wrong == nil && p.FullyPrivileged() {
		return nil
	}
	pod, isPod := r.Object.(*corev1.Pod)
	if old, ok := r.Old.(*corev1.Pod); isPod && ok && !changesImages(pod, old) {
		return nil
	}
	if wrong != nil {
		audit.AddAuditAnnotation(ctx, api.AuditAnnotationPrefix+"error", fmt.Sprintf("Failed to parse policy: %v", wrong))
	}
	return evaluate(ctx, r, p, meta, spec, isPod)
}

func (s PodSecurity) policyOf(namespace string) (api.Policy, error, bool) {
	n, ok := s.Reader.Get(store.Key{Resource: "namespaces", Name: namespace})
	if !ok {
		return api.Policy{}, nil, false
	}
	return levels(n.GetLabels())
}

// evaluate refuses, notes and warns.
func evaluate(ctx context.Context, r registry.Request, p api.Policy, meta *metav1.ObjectMeta, spec *corev1.PodSpec, enforce bool) error {
	checks, err := evaluator()
	if err != nil {
		return fmt.Errorf("making the checks of the Pod Security Standards: %w", err)
	}
	known := map[api.LevelVersion]policy.AggregateCheckResult{}
	verdict := func(level api.LevelVersion) policy.AggregateCheckResult {
		if _, ok := known[level]; !ok {
			known[level] = policy.AggregateCheckResults(checks.EvaluatePod(level, meta, spec))
		}
		return known[level]
	}
	if enforce {
		audit.AddAuditAnnotation(ctx, api.AuditAnnotationPrefix+api.EnforcedPolicyAnnotationKey, p.Enforce.String())
	}
	if v := verdict(p.Audit); !v.Allowed {
		audit.AddAuditAnnotation(ctx, api.AuditAnnotationPrefix+api.AuditViolationsAnnotationKey, fmt.Sprintf("would violate PodSecurity %q: %s", p.Audit.String(), v.ForbiddenDetail()))
	}
	if v := verdict(p.Enforce); enforce && !v.Allowed {
		return forbidden(r, fmt.Errorf("violates PodSecurity %q: %s", p.Enforce.String(), v.ForbiddenDetail()))
	}
	if v := verdict(p.Warn); !v.Allowed {
		warning.AddWarning(ctx, "", fmt.Sprintf("would violate PodSecurity %q: %s", p.Warn.String(), v.ForbiddenDetail()))
	}
	return nil
}

// namespace refuses labels that name no level, unless they are older, and warns of pods that would not
// be let in any more.
func (s PodSecurity) namespace(ctx context.Context, r registry.Request, n *corev1.Namespace) error {
	next, wrong := api.PolicyToEvaluate(n.Labels, privileged())
	old, ok := r.Old.(*corev1.Namespace)
	if !ok {
		if len(wrong) > 0 {
			return apierrors.NewInvalid(r.Kind.GVK.GroupKind(), n.Name, wrong)
		}
		return nil
	}
	before, wrongBefore := api.PolicyToEvaluate(old.Labels, privileged())
	if len(wrong) > 0 && (len(wrongBefore) == 0 || !reflect.DeepEqual(wrong, wrongBefore)) {
		return apierrors.NewInvalid(r.Kind.GVK.GroupKind(), n.Name, wrong)
	}
	relaxed := next.Enforce.Version == before.Enforce.Version && api.CompareLevels(next.Enforce.Level, before.Enforce.Level) < 1
	if next.Enforce == before.Enforce || next.Enforce.Level == api.LevelPrivileged || relaxed {
		return nil
	}
	return s.warnOfPods(ctx, n.Name, next.Enforce)
}

// warnOfPods warns of the pods of a namespace that violate a level.
func (s PodSecurity) warnOfPods(ctx context.Context, namespace string, level api.LevelVersion) error {
	checks, err := evaluator()
	if err != nil {
		return fmt.Errorf("making the checks of the Pod Security Standards: %w", err)
	}
	checked, total := 0, 0
	pods := map[string][]string{} // names by what is wrong
	s.Reader.Snapshot("pods").Ascend(namespace, store.Key{}, func(o store.Object) bool {
		p := o.(*corev1.Pod)
		if total++; total > maxCheckedPods || ctx.Err() != nil {
			return true
		}
		checked++
		if v := policy.AggregateCheckResults(checks.EvaluatePod(level, &p.ObjectMeta, &p.Spec)); !v.Allowed {
			pods[v.ForbiddenReason()] = append(pods[v.ForbiddenReason()], p.Name) // in order of names
		}
		return true
	})
	if checked < total {
		warning.AddWarning(ctx, "", fmt.Sprintf("new PodSecurity enforce level only checked against the first %d of %d existing pods", checked, total))
	}
	if len(pods) == 0 {
		return nil
	}
	warning.AddWarning(ctx, "", fmt.Sprintf("existing pods in namespace %q violate the new PodSecurity enforce level %q", namespace, level.String()))
	var lines []string
	for reason, names := range pods {
		others := ""
		switch n := len(names) - 1; n {
		case 0:
		case 1:
			others = " (and 1 other pod)"
		default:
			others = fmt.Sprintf(" (and %d other pods)", n)
		}
		lines = append(lines, names[0]+others+": "+reason)
	}
	for _, line := range slices.Sorted(slices.Values(lines)) {
		warning.AddWarning(ctx, "", line)
	}
	return nil
}

// template is the pod that an object is or makes; nil if it makes none.
func template(o store.Object) (*metav1.ObjectMeta, *corev1.PodSpec) {
	var t *corev1.PodTemplateSpec
	switch o := o.(type) {
	case *corev1.Pod:
		return &o.ObjectMeta, &o.Spec
	case *corev1.PodTemplate:
		t = &o.Template
	case *corev1.ReplicationController:
		t = o.Spec.Template
	case *appsv1.ReplicaSet:
		t = &o.Spec.Template
	case *appsv1.Deployment:
		t = &o.Spec.Template
	case *appsv1.DaemonSet:
		t = &o.Spec.Template
	case *appsv1.StatefulSet:
		t = &o.Spec.Template
	case *batchv1.Job:
		t = &o.Spec.Template
	case *batchv1.CronJob:
		t = &o.Spec.JobTemplate.Spec.Template
	}
	if t == nil {
		return nil, nil
	}
	return &t.ObjectMeta, &t.Spec
}

// changesImages reports whether an update changes what a pod runs: nothing else that it may change
// bears on the standards.
func changesImages(pod, old *corev1.Pod) bool {
	images := func(p *corev1.Pod) map[string]string {
		out := map[string]string{}
		for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
			out[c.Name] = c.Image
		}
		for _, c := range p.Spec.EphemeralContainers {
			out[c.Name] = c.Image
		}
		return out
	}
	return !maps.Equal(images(pod), images(old))
}
