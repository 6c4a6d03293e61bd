package dynamic

import (
	"context"
	"fmt"
	"maps"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"

	"skiff/manifests"
	"skiff/manifests/registry"
	"skiff/store"
)

// request is one request as policies and webhooks see it.
type request struct {
	admission.Attributes
	extension  *Extension
	kind       *manifests.Kind
	custom     *Custom // nil unless it is of a kind that is not in the scheme
	interfaces admission.ObjectInterfaces
	part       *registry.Part
	versions   map[schema.GroupVersionKind]*admission.VersionedAttributes
	// namespace is the object's, nil outside of namespaces.
	namespace *corev1.Namespace
}

func newRequest(ctx context.Context, e *Extension, r registry.Request) *request {
	q := &request{
		extension: e, kind: r.Kind, part: r.Part, interfaces: builtIn{},
		versions: map[schema.GroupVersionKind]*admission.VersionedAttributes{},
	}
	if e.options.Custom != nil {
		if q.custom = e.options.Custom(r.Kind); q.custom != nil {
			q.interfaces = q.custom.Interfaces
		}
	}
	object, old := runtimeObject(r.Object), runtimeObject(r.Old)
	gvk := requested(ctx, r.Kind)
	resource := gvk.GroupVersion().WithResource(r.Kind.Resource)
	if r.Part != nil {
		object, old, gvk = r.Part.Object, r.Part.Old, r.Part.GVK
	}
	namespace := r.Namespace
	if isNamespaces(r.Kind) {
		namespace = r.Name // upstream's requests for a namespace are in it
	}
	q.Attributes = admission.NewAttributesRecord(object, old, gvk, namespace, nameOf(r), resource, r.Subresource,
		admission.Operation(r.Operation), optionsOf(r), r.DryRun, userOf(ctx))
	q.namespace = q.lookupNamespace(namespace)
	return q
}

func isNamespaces(k *manifests.Kind) bool {
	return k.GVK.Group == "" && k.Resource == "namespaces"
}

// lookupNamespace is nil for what is in none; a Namespace is not in itself.
func (q *request) lookupNamespace(name string) *corev1.Namespace {
	if name == "" || isNamespaces(q.kind) {
		return nil
	}
	found, _ := q.extension.options.Reader.Get(store.Key{Resource: "namespaces", Name: name})
	n, _ := found.(*corev1.Namespace)
	return n
}

// runtimeObject keeps a nil object from becoming an interface that is not nil.
func runtimeObject(o store.Object) runtime.Object {
	if o == nil {
		return nil
	}
	return o
}

// requested is the kind in the version of the API that the request came by, the stored one for skiff's
// own writes.
func requested(ctx context.Context, k *manifests.Kind) schema.GroupVersionKind {
	info, ok := apirequest.RequestInfoFrom(ctx)
	if !ok || info.Resource != k.Resource {
		return k.GVK
	}
	for _, gvk := range k.Served {
		if gvk.Group == info.APIGroup && gvk.Version == info.APIVersion {
			return gvk
		}
	}
	return k.GVK
}

// nameOf is empty for a name that is yet to be generated.
func nameOf(r registry.Request) string {
	if r.Name == "" && r.Object != nil {
		return r.Object.GetName()
	}
	return r.Name
}

// userOf is who makes the request; skiff itself is called as upstream's server calls itself.
func userOf(ctx context.Context) user.Info {
	if u, ok := apirequest.UserFrom(ctx); ok {
		return u
	}
	return &user.DefaultInfo{Name: user.APIServerUser, Groups: []string{user.SystemPrivilegedGroup, user.AllAuthenticated}}
}

// optionsOf are the request's own, or those that skiff's own writes go without.
func optionsOf(r registry.Request) runtime.Object {
	if r.Options != nil {
		return r.Options
	}
	var dryRun []string
	if r.DryRun {
		dryRun = []string{metav1.DryRunAll}
	}
	of := func(kind string) metav1.TypeMeta {
		return metav1.TypeMeta{APIVersion: metav1.SchemeGroupVersion.String(), Kind: kind}
	}
	switch r.Operation {
	case registry.Create:
		return &metav1.CreateOptions{TypeMeta: of("CreateOptions"), DryRun: dryRun}
	case registry.Update:
		return &metav1.UpdateOptions{TypeMeta: of("UpdateOptions"), DryRun: dryRun}
	case registry.Delete:
		return &metav1.DeleteOptions{TypeMeta: of("DeleteOptions"), DryRun: dryRun}
	}
	return nil
}

// versioned is the request with its objects in a version. They share what they refer to with the stored
// ones: read-only.
func (q *request) versioned(gvk schema.GroupVersionKind) (*admission.VersionedAttributes, error) {
	if known, ok := q.versions[gvk]; ok {
		return known, nil
	}
	v := &admission.VersionedAttributes{Attributes: q.Attributes, VersionedKind: gvk}
	for _, o := range []struct {
		from runtime.Object
		to   *admission.LazyObject
	}{{q.GetObject(), &v.VersionedObject}, {q.GetOldObject(), &v.VersionedOldObject}} {
		if o.from == nil {
			continue
		}
		out, err := q.convert(o.from, gvk)
		if err != nil {
			return nil, apierrors.NewInternalError(err)
		}
		o.to.Set(out)
	}
	q.versions[gvk] = v
	return v, nil
}

// convert returns obj, which is of the stored version, in another one, with its kind set.
func (q *request) convert(obj runtime.Object, gvk schema.GroupVersionKind) (runtime.Object, error) {
	stored := q.kind.GVK
	if q.part != nil {
		stored = q.part.GVK
	}
	if u, ok := obj.(*unstructured.Unstructured); ok && (u.GroupVersionKind() == gvk || q.custom == nil) {
		return u, nil
	}
	if gvk == stored && q.custom == nil {
		return shallow(obj, gvk), nil
	}
	out, err := q.interfaces.GetObjectCreater().New(gvk)
	if err != nil {
		return nil, fmt.Errorf("making a %v: %w", gvk, err)
	}
	if err := q.interfaces.GetObjectConvertor().Convert(obj, out, nil); err != nil {
		return nil, fmt.Errorf("converting to %v: %w", gvk, err)
	}
	out.GetObjectKind().SetGroupVersionKind(gvk)
	return out, nil
}

// shallow copies the outermost struct and names its kind.
func shallow(obj runtime.Object, gvk schema.GroupVersionKind) runtime.Object {
	from := reflect.ValueOf(obj).Elem()
	to := reflect.New(from.Type())
	to.Elem().Set(from)
	out := to.Interface().(runtime.Object)
	out.GetObjectKind().SetGroupVersionKind(gvk)
	return out
}

// replace makes the request's object what changed, which is of a version, says.
func (q *request) replace(changed runtime.Object, gvk schema.GroupVersionKind) error {
	obj := q.GetObject()
	clear(q.versions)
	if to, ok := obj.(*unstructured.Unstructured); ok {
		return q.replaceUnstructured(to, changed, gvk)
	}
	from := changed
	if reflect.TypeOf(changed) != reflect.TypeOf(obj) {
		from = reflect.New(reflect.TypeOf(obj).Elem()).Interface().(runtime.Object)
		if err := q.interfaces.GetObjectConvertor().Convert(changed, from, nil); err != nil {
			return fmt.Errorf("converting from %v: %w", gvk, err)
		}
	}
	was := obj.GetObjectKind().GroupVersionKind()
	reflect.ValueOf(obj).Elem().Set(reflect.ValueOf(from).Elem())
	obj.GetObjectKind().SetGroupVersionKind(was)
	return nil
}

func (q *request) replaceUnstructured(to *unstructured.Unstructured, changed runtime.Object, gvk schema.GroupVersionKind) error {
	from, ok := changed.(*unstructured.Unstructured)
	if !ok {
		return fmt.Errorf("a %v has become a %T", gvk, changed)
	}
	if stored := to.GroupVersionKind(); stored != from.GroupVersionKind() && q.custom != nil {
		back := &unstructured.Unstructured{}
		back.SetGroupVersionKind(stored)
		if err := q.interfaces.GetObjectConvertor().Convert(from, back, nil); err != nil {
			return fmt.Errorf("converting from %v: %w", gvk, err)
		}
		from = back
	}
	to.Object = maps.Clone(from.Object)
	return nil
}

// builtIn is what is known of the kinds in the scheme.
type builtIn struct{}

// GetObjectCreater implements admission.ObjectInterfaces.
func (builtIn) GetObjectCreater() runtime.ObjectCreater { return manifests.Scheme() }

// GetObjectTyper implements admission.ObjectInterfaces.
func (builtIn) GetObjectTyper() runtime.ObjectTyper { return manifests.Scheme() }

// GetObjectDefaulter implements admission.ObjectInterfaces.
func (builtIn) GetObjectDefaulter() runtime.ObjectDefaulter { return manifests.Scheme() }

// GetObjectConvertor implements admission.ObjectInterfaces.
func (builtIn) GetObjectConvertor() runtime.ObjectConvertor { return manifests.Scheme() }

// GetEquivalentResourceMapper implements admission.ObjectInterfaces. Kinds know their versions.
func (builtIn) GetEquivalentResourceMapper() runtime.EquivalentResourceMapper { return nil }
