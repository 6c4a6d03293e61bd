package registry

import (
	"fmt"
	"slices"

	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"skiff/manifests"
	"skiff/store"
)

// definitionHooks keep a definition until its objects are gone, and refuse what can not be served.
func (r *Registry) definitionHooks() hooks {
	return hooks{
		beginCreate: func(obj store.Object) (func(), error) { return nothing, r.refuseWebhook(obj, nil) },
		beginUpdate: func(obj, old store.Object, _ string) (func(), error) { return nothing, r.refuseWebhook(obj, old) },
		delete:      r.deleteDefinition,
	}
}

// refuseWebhook refuses a conversion webhook where there is nobody who can call one.
func (r *Registry) refuseWebhook(obj, old store.Object) error {
	if r.options.ConversionWebhook != nil || !wantsWebhook(obj) || old != nil && wantsWebhook(old) {
		return nil
	}
	at := field.NewPath("spec", "conversion", "strategy")
	return apierrors.NewInvalid(extv1.Kind("CustomResourceDefinition"), obj.GetName(), field.ErrorList{
		field.NotSupported(at, extv1.WebhookConverter, []extv1.ConversionStrategyType{extv1.NoneConverter}),
	})
}

func wantsWebhook(obj store.Object) bool {
	c := obj.(*extv1.CustomResourceDefinition).Spec.Conversion
	return c != nil && c.Strategy == extv1.WebhookConverter
}

// deleteDefinition begins the deletion of a definition, and leaves what comes later to the general
// rules: the finalizer goes when the objects are gone.
func (r *Registry) deleteDefinition(d *deletion) bool {
	if d.old.GetDeletionTimestamp() != nil {
		return false
	}
	n := d.change().(*extv1.CustomResourceDefinition)
	n.DeletionTimestamp = d.now.DeepCopy()
	if !slices.Contains(n.Finalizers, extv1.CustomResourceCleanupFinalizer) {
		n.Finalizers = append(n.Finalizers, extv1.CustomResourceCleanupFinalizer)
	}
	apihelpers.SetCRDCondition(n, extv1.CustomResourceDefinitionCondition{
		Type: extv1.Terminating, Status: extv1.ConditionTrue, Reason: "InstanceDeletionPending", LastTransitionTime: d.now,
		Message: "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
	})
	d.outcome = mark
	if s := r.served(n.Name); s != nil {
		d.during = func() func() {
			s.life.Lock()
			return s.life.Unlock
		}
	}
	return true
}

// beginCustom lets objects of a definition be made while it is not being deleted.
func (r *Registry) beginCustom(name string) func(store.Object) (func(), error) {
	return func(store.Object) (func(), error) {
		s := r.served(name)
		if s == nil {
			return nil, notWhileTerminating(name)
		}
		s.life.RLock()
		if o, ok := r.Store().Get(definitionKey(name)); !ok || o.GetDeletionTimestamp() != nil {
			s.life.RUnlock()
			return nil, notWhileTerminating(name)
		}
		return s.life.RUnlock, nil
	}
}

// notWhileTerminating is upstream's answer to who makes an object whose kind goes.
func notWhileTerminating(definition string) error {
	gr := manifests.ResourceOf(definition)
	err := apierrors.NewMethodNotSupported(gr, "create")
	err.ErrStatus.Message = fmt.Sprintf("%v not allowed while custom resource definition is terminating", "create")
	err.ErrStatus.Details = &metav1.StatusDetails{Group: gr.Group, Kind: gr.Resource}
	return err
}
