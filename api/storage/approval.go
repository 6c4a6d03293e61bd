package storage

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"skiff/manifests"
)

// Approval serves the approval subresource of CertificateSigningRequests: reads give the whole
// object, writes change its conditions alone.
type Approval struct{ main *Resource }

var (
	_ rest.Patcher             = (*Approval)(nil)
	_ rest.ResetFieldsStrategy = (*Approval)(nil)
)

// New implements rest.Storage.
func (a *Approval) New() runtime.Object { return a.main.New() }

// Destroy implements rest.Storage.
func (a *Approval) Destroy() {}

// Get implements rest.Getter.
func (a *Approval) Get(ctx context.Context, name string, o *metav1.GetOptions) (runtime.Object, error) {
	return a.main.Get(ctx, name, o)
}

// Update implements rest.Updater.
func (a *Approval) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, _ rest.ValidateObjectFunc, validate rest.ValidateObjectUpdateFunc, _ bool, o *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return a.main.updatePart(ctx, manifests.SubresourceApproval, name, info, validate, o)
}

// GetResetFields implements rest.ResetFieldsStrategy.
func (a *Approval) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return a.main.kind.ResetFields(manifests.SubresourceApproval)
}
