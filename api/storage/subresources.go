package storage

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"skiff/manifests"
)

// Status serves the status subresource: reads give the whole object, writes change its status
// alone.
type Status struct{ main *Resource }

// Finalize serves the finalize subresource of namespaces, which changes a namespace's own
// finalizers.
type Finalize struct{ main *Resource }

var (
	_ rest.Patcher             = (*Status)(nil)
	_ rest.ResetFieldsStrategy = (*Status)(nil)
	_ rest.TableConvertor      = (*Status)(nil)
	_ rest.Updater             = (*Finalize)(nil)
	_ rest.ResetFieldsStrategy = (*Finalize)(nil)
)

// New implements rest.Storage.
func (s *Status) New() runtime.Object { return s.main.New() }

// Destroy implements rest.Storage.
func (s *Status) Destroy() {}

// Get implements rest.Getter.
func (s *Status) Get(ctx context.Context, name string, o *metav1.GetOptions) (runtime.Object, error) {
	return s.main.Get(ctx, name, o)
}

// Update implements rest.Updater.
func (s *Status) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, _ rest.ValidateObjectFunc, validate rest.ValidateObjectUpdateFunc, _ bool, o *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return s.main.updatePart(ctx, manifests.SubresourceStatus, name, info, validate, o)
}

// GetResetFields implements rest.ResetFieldsStrategy.
func (s *Status) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return s.main.kind.ResetFields(manifests.SubresourceStatus)
}

// ConvertToTable implements rest.TableConvertor.
func (s *Status) ConvertToTable(ctx context.Context, obj, o runtime.Object) (*metav1.Table, error) {
	return s.main.ConvertToTable(ctx, obj, o)
}

// New implements rest.Storage.
func (f *Finalize) New() runtime.Object { return f.main.New() }

// Destroy implements rest.Storage.
func (f *Finalize) Destroy() {}

// Update implements rest.Updater.
func (f *Finalize) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, _ rest.ValidateObjectFunc, validate rest.ValidateObjectUpdateFunc, _ bool, o *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return f.main.updatePart(ctx, manifests.SubresourceFinalize, name, info, validate, o)
}

// GetResetFields implements rest.ResetFieldsStrategy.
func (f *Finalize) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return f.main.kind.ResetFields(manifests.SubresourceFinalize)
}
