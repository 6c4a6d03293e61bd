package api

import (
	"context"

	"k8s.io/apiserver/pkg/admission"

	"skiff/manifests/registry"
)

// connecting has the registry's admission look at streams, which reach nothing that is stored.
type connecting struct{ resource *registry.Resource }

var _ admission.MutationInterface = connecting{}

// connectAdmission is nil without a resource.
func connectAdmission(r *registry.Resource) admission.Interface {
	if r == nil {
		return nil
	}
	return connecting{r}
}

// Handles implements admission.Interface.
func (c connecting) Handles(o admission.Operation) bool { return o == admission.Connect }

// Admit implements admission.MutationInterface.
func (c connecting) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	return c.resource.ReviewPart(ctx, registry.Request{
		Operation: registry.Connect, Namespace: a.GetNamespace(), Name: a.GetName(), Subresource: a.GetSubresource(),
		Part: &registry.Part{GVK: a.GetKind(), Object: a.GetObject()},
	})
}
