package storage

import (
	"context"

	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"skiff/manifests"
	"skiff/manifests/registry"
	"skiff/store"
)

// Resource serves the objects of one kind.
type Resource struct {
	resource *registry.Resource
	kind     *manifests.Kind
	tables   Tables
}

// Collection is a Resource whose objects can be deleted all at once too.
type Collection struct{ *Resource }

var (
	_ rest.StandardStorage      = (*Collection)(nil)
	_ rest.Patcher              = (*Resource)(nil)
	_ rest.Watcher              = (*Resource)(nil)
	_ rest.Scoper               = (*Resource)(nil)
	_ rest.ShortNamesProvider   = (*Resource)(nil)
	_ rest.CategoriesProvider   = (*Resource)(nil)
	_ rest.SingularNameProvider = (*Resource)(nil)
	_ rest.ResetFieldsStrategy  = (*Resource)(nil)
)

// New implements rest.Storage.
func (r *Resource) New() runtime.Object { return r.kind.New() }

// NewList implements rest.Lister.
func (r *Resource) NewList() runtime.Object { return r.kind.NewList() }

// Destroy implements rest.Storage.
func (r *Resource) Destroy() {}

// NamespaceScoped implements rest.Scoper.
func (r *Resource) NamespaceScoped() bool { return r.kind.Namespaced }

// ShortNames implements rest.ShortNamesProvider.
func (r *Resource) ShortNames() []string { return r.kind.ShortNames }

// Categories implements rest.CategoriesProvider.
func (r *Resource) Categories() []string { return r.kind.Categories }

// GetSingularName implements rest.SingularNameProvider.
func (r *Resource) GetSingularName() string { return r.kind.Singular }

// GetResetFields implements rest.ResetFieldsStrategy.
func (r *Resource) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return r.kind.ResetFields(manifests.SubresourceNone)
}

// Get implements rest.Getter.
func (r *Resource) Get(ctx context.Context, name string, o *metav1.GetOptions) (runtime.Object, error) {
	if o == nil || o.ResourceVersion == "" {
		return answer(r.resource.Get(namespaceOf(ctx), name))
	}
	return answer(r.resource.GetAt(ctx, namespaceOf(ctx), name, o.ResourceVersion))
}

// List implements rest.Lister.
func (r *Resource) List(ctx context.Context, o *metainternalversion.ListOptions) (runtime.Object, error) {
	objects, list, err := r.resource.List(ctx, namespaceOf(ctx), listOptions(o))
	if err != nil {
		return nil, statusOf(err)
	}
	return listOf(r.kind, objects, list)
}

// Watch implements rest.Watcher.
func (r *Resource) Watch(ctx context.Context, o *metainternalversion.ListOptions) (watch.Interface, error) {
	w, err := r.resource.Watch(ctx, namespaceOf(ctx), watchOptions(o))
	if err != nil {
		return nil, statusOf(err)
	}
	return detachEvents(w), nil
}

// Create implements rest.Creater.
func (r *Resource) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, o *metav1.CreateOptions) (runtime.Object, error) {
	in, err := object(obj)
	if err != nil {
		return nil, err
	}
	return answer(r.resource.Create(ctx, namespaceOf(ctx), in, registry.CreateOptions{
		DryRun:   isDryRun(o.DryRun),
		Validate: validateOne(validate),
		Options:  o,
	}))
}

// Update implements rest.Updater.
func (r *Resource) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, force bool, o *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return r.update(ctx, name, info, registry.UpdateOptions{
		DryRun:         isDryRun(o.DryRun),
		Options:        o,
		Create:         force,
		ValidateCreate: validateOne(create),
		ValidateUpdate: validateTwo(update),
	})
}

// update has the registry store what info makes of the present object.
func (r *Resource) update(ctx context.Context, name string, info rest.UpdatedObjectInfo, o registry.UpdateOptions) (runtime.Object, bool, error) {
	o.Preconditions = info.Preconditions()
	change := func(current store.Object) (store.Object, error) {
		next, err := info.UpdatedObject(ctx, current.DeepCopyObject())
		if err != nil {
			return nil, err
		}
		return object(next)
	}
	obj, created, err := r.resource.Update(ctx, namespaceOf(ctx), name, change, o)
	out, err := answer(obj, err)
	return out, created, err
}

// updatePart updates an object by way of one of its subresources, which never creates it.
func (r *Resource) updatePart(ctx context.Context, subresource, name string, info rest.UpdatedObjectInfo, validate rest.ValidateObjectUpdateFunc, o *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return r.update(ctx, name, info, registry.UpdateOptions{
		Subresource:    subresource,
		DryRun:         isDryRun(o.DryRun),
		Options:        o,
		ValidateUpdate: validateTwo(validate),
	})
}

// Delete implements rest.GracefulDeleter. It answers with a Status when the object is gone at once,
// unless the kind says otherwise, and with the object when its deletion takes longer.
func (r *Resource) Delete(ctx context.Context, name string, validate rest.ValidateObjectFunc, o *metav1.DeleteOptions) (runtime.Object, bool, error) {
	obj, gone, err := r.resource.Delete(ctx, namespaceOf(ctx), name, o, registry.DeleteOptions{Validate: validateOne(validate)})
	if err != nil {
		return nil, false, statusOf(err)
	}
	if !gone || r.kind.ReturnsDeleted {
		return Detach(obj), gone, nil
	}
	gr := r.kind.GroupResource()
	return &metav1.Status{
		Status:  metav1.StatusSuccess,
		Details: &metav1.StatusDetails{Name: name, Group: gr.Group, Kind: gr.Resource, UID: obj.GetUID()},
	}, true, nil
}

// DeleteCollection implements rest.CollectionDeleter.
func (c *Collection) DeleteCollection(ctx context.Context, validate rest.ValidateObjectFunc, o *metav1.DeleteOptions, list *metainternalversion.ListOptions) (runtime.Object, error) {
	objects, meta, err := c.resource.DeleteCollection(ctx, namespaceOf(ctx), o, listOptions(list), registry.DeleteOptions{Validate: validateOne(validate)})
	if err != nil {
		return nil, statusOf(err)
	}
	return listOf(c.kind, objects, meta)
}
