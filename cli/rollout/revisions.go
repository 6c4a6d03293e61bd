package rollout

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"skiff/cli/client"
	"skiff/cli/resource"
)

// Annotations that the deployment controller and kubectl agree on.
const (
	revisionAnnotation = "deployment.kubernetes.io/revision"
	causeAnnotation    = "kubernetes.io/change-cause"
)

// keptAnnotations belong to the deployment itself: rolling back leaves them unchanged.
var keptAnnotations = []string{
	corev1.LastAppliedConfigAnnotation, revisionAnnotation, "deployment.kubernetes.io/revision-history",
	"deployment.kubernetes.io/desired-replicas", "deployment.kubernetes.io/max-replicas", appsv1.DeprecatedRollbackTo,
}

// revision is one of the templates that an object has had.
type revision struct {
	number   int64
	cause    string
	template *corev1.PodTemplateSpec
	// object is what -o prints: a deployment's replica set, or the object as it was.
	object *unstructured.Unstructured
	// patchType and patch return to it.
	patchType types.PatchType
	patch     []byte
}

// revisions are an object's revisions, the oldest first. missing is what to say of a kind that has
// none.
func (t *task) revisions(ctx context.Context, o resource.Object, missing string) ([]revision, error) {
	var all []revision
	var err error
	switch o.Mapping.GroupVersionKind.GroupKind() {
	case schema.GroupKind{Group: "apps", Kind: "Deployment"}:
		all, err = t.replicaSets(ctx, o)
	case schema.GroupKind{Group: "apps", Kind: "DaemonSet"}, schema.GroupKind{Group: "apps", Kind: "StatefulSet"}:
		all, err = t.controllerRevisions(ctx, o)
	default:
		return nil, fmt.Errorf("%s %q", missing, o.Mapping.GroupVersionKind.GroupKind())
	}
	slices.SortStableFunc(all, func(a, b revision) int { return int(a.number - b.number) })
	return all, err
}

// controlled are the objects of another kind of apps/v1 that o selects and controls.
func (t *task) controlled(ctx context.Context, o resource.Object, kind string) ([]unstructured.Unstructured, error) {
	fields, _, err := unstructured.NestedMap(o.Value.Object, "spec", "selector")
	if err != nil {
		return nil, err
	}
	selector := &metav1.LabelSelector{}
	if err := client.Into(&unstructured.Unstructured{Object: fields}, selector); err != nil {
		return nil, err
	}
	catalog, err := t.client.Catalog()
	if err != nil {
		return nil, err
	}
	mapping, err := catalog.Kind(appsv1.SchemeGroupVersion.WithKind(kind))
	if err != nil {
		return nil, err
	}
	all, _, err := t.client.List(ctx, client.Ref{Mapping: mapping, Namespace: o.Namespace}, client.ListOptions{Labels: metav1.FormatLabelSelector(selector)})
	return slices.DeleteFunc(all, func(u unstructured.Unstructured) bool { return !metav1.IsControlledBy(&u, o.Value) }), err
}

// replicaSets are a deployment's revisions: each template that it has had is kept in a replica set.
func (t *task) replicaSets(ctx context.Context, o resource.Object) ([]revision, error) {
	sets, err := t.controlled(ctx, o, "ReplicaSet")
	if err != nil {
		return nil, fmt.Errorf("failed to retrieve replica sets from deployment %s: %w", o.Name, err)
	}
	var out []revision
	for i := range sets {
		rs := &appsv1.ReplicaSet{}
		if err := client.Into(&sets[i], rs); err != nil {
			return nil, err
		}
		number, err := strconv.ParseInt(rs.Annotations[revisionAnnotation], 10, 64)
		if err != nil && rs.Annotations[revisionAnnotation] != "" {
			continue // somebody else's number is none of the deployment's
		}
		r := revision{number: number, cause: rs.Annotations[causeAnnotation], template: &rs.Spec.Template, object: &sets[i], patchType: types.JSONPatchType}
		if r.patch, err = deploymentPatch(o.Value.GetAnnotations(), rs); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// deploymentPatch gives a deployment the template of one of its sets, and the annotations it had
// with it.
func deploymentPatch(present map[string]string, rs *appsv1.ReplicaSet) ([]byte, error) {
	annotations := map[string]string{}
	for k, v := range present {
		if slices.Contains(keptAnnotations, k) {
			annotations[k] = v
		}
	}
	for k, v := range rs.Annotations {
		if !slices.Contains(keptAnnotations, k) {
			annotations[k] = v
		}
	}
	return json.Marshal([]map[string]any{
		{"op": "replace", "path": "/spec/template", "value": withoutHash(&rs.Spec.Template)},
		{"op": "add", "path": "/metadata/annotations", "value": annotations},
	})
}

// withoutHash is a template without the label that tells its replica set from others.
func withoutHash(t *corev1.PodTemplateSpec) *corev1.PodTemplateSpec {
	t = t.DeepCopy()
	delete(t.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	return t
}

// controllerRevisions are the revisions of a daemon set or a stateful set: patches of the object,
// kept in objects of their own.
func (t *task) controllerRevisions(ctx context.Context, o resource.Object) ([]revision, error) {
	kept, err := t.controlled(ctx, o, "ControllerRevision")
	if err != nil {
		return nil, fmt.Errorf("unable to find history controlled by %s %s: %w", o.Mapping.GroupVersionKind.Kind, o.Name, err)
	}
	var out []revision
	for i := range kept {
		r := revision{cause: kept[i].GetAnnotations()[causeAnnotation], patchType: types.StrategicMergePatchType}
		r.number, _, _ = unstructured.NestedInt64(kept[i].Object, "revision")
		if r.patch, err = json.Marshal(kept[i].Object["data"]); err != nil {
			return nil, err
		}
		if r.object, err = patched(o, r.patch); err == nil {
			r.template, err = templateOf(r.object)
		}
		if err != nil {
			return nil, fmt.Errorf("unable to parse history %s: %w", kept[i].GetName(), err)
		}
		out = append(out, r)
	}
	return out, nil
}

// patched is the object as a strategic merge patch makes it.
func patched(o resource.Object, patch []byte) (*unstructured.Unstructured, error) {
	before, err := o.Value.MarshalJSON()
	if err != nil {
		return nil, err
	}
	typed, err := client.Types().New(o.Mapping.GroupVersionKind)
	if err != nil {
		return nil, err
	}
	after, err := strategicpatch.StrategicMergePatch(before, patch, typed)
	if err != nil {
		return nil, err
	}
	u := &unstructured.Unstructured{}
	return u, u.UnmarshalJSON(after)
}

// templateOf is an object's pod template.
func templateOf(u *unstructured.Unstructured) (*corev1.PodTemplateSpec, error) {
	fields, _, err := unstructured.NestedMap(u.Object, "spec", "template")
	if err != nil {
		return nil, err
	}
	template := &corev1.PodTemplateSpec{}
	return template, client.Into(&unstructured.Unstructured{Object: fields}, template)
}
