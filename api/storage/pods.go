package storage

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"skiff/manifests"
	"skiff/manifests/registry"
)

// Binding serves the binding subresource of pods, by which a scheduler assigns one to a node.
type Binding struct{ pods registry.Pods }

// Bindings serves the older resource that does the same.
type Bindings struct{ one *Binding }

// EphemeralContainers serves the ephemeralcontainers subresource of pods, by which kubectl debug
// adds containers: reads give the whole pod, writes change its ephemeral containers alone.
type EphemeralContainers struct{ main *Resource }

// Resize serves the resize subresource of pods, which changes what containers that run may use: reads
// give the whole pod, writes change resources and resize policies alone.
type Resize struct{ main *Resource }

// Eviction serves the eviction subresource of pods, by which one is deleted politely.
type Eviction struct {
	pods registry.Pods
}

var (
	_ rest.NamedCreater                   = (*Binding)(nil)
	_ rest.SubresourceObjectMetaPreserver = (*Binding)(nil)
	_ rest.Creater                        = (*Bindings)(nil)
	_ rest.Scoper                         = (*Bindings)(nil)
	_ rest.SingularNameProvider           = (*Bindings)(nil)
	_ rest.Patcher                        = (*EphemeralContainers)(nil)
	_ rest.Patcher                        = (*Resize)(nil)
	_ rest.TableConvertor                 = (*Resize)(nil)
	_ rest.ResetFieldsFilterStrategy      = (*Resize)(nil)
	_ rest.NamedCreater                   = (*Eviction)(nil)
	_ rest.GroupVersionKindProvider       = (*Eviction)(nil)
)

// NewBindings serves bindings, the resource.
func NewBindings(r *registry.Registry) *Bindings { return &Bindings{one: &Binding{pods: r.Pods()}} }

// New implements rest.Storage.
func (b *Binding) New() runtime.Object { return &corev1.Binding{} }

// Destroy implements rest.Storage.
func (b *Binding) Destroy() {}

// PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate implements
// rest.SubresourceObjectMetaPreserver: the UID in a Binding is the pod's.
func (b *Binding) PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate() bool { return true }

// Create implements rest.NamedCreater.
func (b *Binding) Create(ctx context.Context, name string, obj runtime.Object, validate rest.ValidateObjectFunc, o *metav1.CreateOptions) (runtime.Object, error) {
	binding, ok := obj.(*corev1.Binding)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a Binding object: %#v", obj))
	}
	if name != binding.Name {
		return nil, apierrors.NewBadRequest("name in URL does not match name in Binding object")
	}
	err := b.pods.Assign(ctx, namespaceOf(ctx), binding, registry.CreateOptions{DryRun: isDryRun(o.DryRun), Validate: validateOne(validate), Options: o})
	if err != nil {
		return nil, statusOf(err)
	}
	return success(), nil
}

// success is what upstream answers to an act on a pod.
func success() runtime.Object { return &metav1.Status{Status: metav1.StatusSuccess} }

// New implements rest.Storage.
func (b *Bindings) New() runtime.Object { return b.one.New() }

// Destroy implements rest.Storage.
func (b *Bindings) Destroy() {}

// NamespaceScoped implements rest.Scoper.
func (b *Bindings) NamespaceScoped() bool { return true }

// GetSingularName implements rest.SingularNameProvider.
func (b *Bindings) GetSingularName() string { return "binding" }

// Create implements rest.Creater.
func (b *Bindings) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, o *metav1.CreateOptions) (runtime.Object, error) {
	binding, ok := obj.(*corev1.Binding)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a Binding object: %#v", obj))
	}
	return b.one.Create(ctx, binding.Name, binding, validate, o)
}

// New implements rest.Storage.
func (c *EphemeralContainers) New() runtime.Object { return c.main.New() }

// Destroy implements rest.Storage.
func (c *EphemeralContainers) Destroy() {}

// Get implements rest.Getter.
func (c *EphemeralContainers) Get(ctx context.Context, name string, o *metav1.GetOptions) (runtime.Object, error) {
	return c.main.Get(ctx, name, o)
}

// Update implements rest.Updater.
func (c *EphemeralContainers) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, _ rest.ValidateObjectFunc, validate rest.ValidateObjectUpdateFunc, _ bool, o *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return c.main.updatePart(ctx, manifests.SubresourceEphemeral, name, info, validate, o)
}

// New implements rest.Storage.
func (r *Resize) New() runtime.Object { return r.main.New() }

// Destroy implements rest.Storage.
func (r *Resize) Destroy() {}

// Get implements rest.Getter.
func (r *Resize) Get(ctx context.Context, name string, o *metav1.GetOptions) (runtime.Object, error) {
	return r.main.Get(ctx, name, o)
}

// Update implements rest.Updater.
func (r *Resize) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, _ rest.ValidateObjectFunc, validate rest.ValidateObjectUpdateFunc, _ bool, o *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return r.main.updatePart(ctx, manifests.SubresourceResize, name, info, validate, o)
}

// GetResetFieldsFilter implements rest.ResetFieldsFilterStrategy: whoever resizes owns what can be
// resized, and nothing else.
func (r *Resize) GetResetFieldsFilter() map[fieldpath.APIVersion]fieldpath.Filter {
	var own []*fieldpath.SetMatcher
	for _, containers := range []string{"containers", "initContainers"} {
		for _, what := range []string{"resources", "resizePolicy"} {
			own = append(own, fieldpath.MakePrefixMatcherOrDie("spec", containers, fieldpath.MatchAnyPathElement(), what))
		}
	}
	return map[fieldpath.APIVersion]fieldpath.Filter{"v1": fieldpath.NewIncludeMatcherFilter(own...)}
}

// ConvertToTable implements rest.TableConvertor.
func (r *Resize) ConvertToTable(ctx context.Context, obj, o runtime.Object) (*metav1.Table, error) {
	return r.main.ConvertToTable(ctx, obj, o)
}

// New implements rest.Storage.
func (e *Eviction) New() runtime.Object { return &policyv1.Eviction{} }

// Destroy implements rest.Storage.
func (e *Eviction) Destroy() {}

// GroupVersionKind implements rest.GroupVersionKindProvider.
func (e *Eviction) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return policyv1.SchemeGroupVersion.WithKind("Eviction")
}

// Create implements rest.NamedCreater.
func (e *Eviction) Create(ctx context.Context, name string, obj runtime.Object, validate rest.ValidateObjectFunc, o *metav1.CreateOptions) (runtime.Object, error) {
	eviction, ok := obj.(*policyv1.Eviction)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a Eviction object: %T", obj))
	}
	if name != eviction.Name {
		return nil, apierrors.NewBadRequest("name in URL does not match name in Eviction object")
	}
	if validate != nil {
		if err := validate(ctx, eviction); err != nil {
			return nil, err
		}
	}
	if len(o.DryRun) > 0 {
		if eviction.DeleteOptions == nil {
			eviction.DeleteOptions = &metav1.DeleteOptions{}
		}
		if inBody := eviction.DeleteOptions.DryRun; len(inBody) > 0 && !slices.Equal(inBody, o.DryRun) {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("Non-matching dry-run options in request and content: %v and %v", o.DryRun, inBody))
		}
		eviction.DeleteOptions.DryRun = o.DryRun
	}
	if err := e.pods.Evict(ctx, namespaceOf(ctx), name, eviction); err != nil {
		return nil, statusOf(err)
	}
	return success(), nil
}
