package dynamic

import (
	"context"
	"errors"
	"fmt"

	arv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"skiff/manifests"
	"skiff/manifests/registry"
	"skiff/store"
)

// paramKind is the kind of a policy's parameters, nil for none, and an error if it is not served.
func (e *Extension) paramKind(k *arv1.ParamKind) (*manifests.Kind, error) {
	if k == nil {
		return nil, nil
	}
	gvk := schema.FromAPIVersionAndKind(k.APIVersion, k.Kind)
	for _, kind := range e.resources.Kinds() {
		for _, served := range kind.Served {
			if served == gvk {
				return kind, nil
			}
		}
	}
	if kind := e.resources.CustomKind(gvk); kind != nil {
		return kind, nil
	}
	return nil, fmt.Errorf("failed to find resource referenced by paramKind: '%v'", gvk)
}

// params are the parameters that a binding has for an object in a namespace: one that is nil if the
// policy has none, or the binding does not name any; none, if they are gone and that may be.
func (e *Extension) params(ctx context.Context, of *arv1.ParamKind, ref *arv1.ParamRef, namespace string) ([]runtime.Object, error) {
	kind, err := e.paramKind(of)
	if err != nil {
		return nil, err
	}
	if kind == nil || ref == nil {
		return []runtime.Object{nil}, nil
	}
	switch {
	case !kind.Namespaced && ref.Namespace != "":
		return nil, errors.New("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
	case !kind.Namespaced:
		namespace = ""
	case ref.Namespace != "":
		namespace = ref.Namespace
	case namespace == "":
		return nil, errors.New("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources")
	}
	found, err := e.referred(ctx, e.resources.Resource(kind.GroupResource()), ref, namespace)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 && ref.ParameterNotFoundAction != nil && *ref.ParameterNotFoundAction == arv1.DenyAction {
		return nil, errors.New("no params found for policy binding with `Deny` parameterNotFoundAction")
	}
	return e.inParamVersion(kind, of, found)
}

// referred are the objects that a reference names.
func (e *Extension) referred(ctx context.Context, r *registry.Resource, ref *arv1.ParamRef, namespace string) ([]store.Object, error) {
	if r == nil {
		return nil, nil
	}
	switch {
	case ref.Name != "" && ref.Selector != nil:
		return nil, errors.New("paramRef.name and paramRef.selector are mutually exclusive")
	case ref.Name != "":
		obj, err := r.Get(namespace, ref.Name)
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		return []store.Object{obj}, err
	case ref.Selector == nil:
		return nil, errors.New("one of name or selector must be provided")
	}
	selector, err := metav1.LabelSelectorAsSelector(ref.Selector)
	if err != nil {
		return nil, err
	}
	found, _, err := r.List(ctx, namespace, registry.ListOptions{Labels: selector})
	return found, err
}

// inParamVersion has the parameters in the version that the policy names.
func (e *Extension) inParamVersion(kind *manifests.Kind, of *arv1.ParamKind, found []store.Object) ([]runtime.Object, error) {
	q := &request{extension: e, kind: kind, interfaces: builtIn{}}
	if e.options.Custom != nil {
		if q.custom = e.options.Custom(kind); q.custom != nil {
			q.interfaces = q.custom.Interfaces
		}
	}
	out := make([]runtime.Object, len(found))
	for i, obj := range found {
		var err error
		if out[i], err = q.convert(obj, schema.FromAPIVersionAndKind(of.APIVersion, of.Kind)); err != nil {
			return nil, err
		}
	}
	return out, nil
}
