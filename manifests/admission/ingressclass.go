package admission

import (
	"context"

	networkingv1 "k8s.io/api/networking/v1"

	"skiff/manifests/registry"
	"skiff/store"
)

// ingressClassAnnotation is how Ingresses named their class before there was a field for it.
const ingressClassAnnotation = "kubernetes.io/ingress.class"

// DefaultIngressClass gives new Ingresses that name no class the default one, the youngest if there
// are several (k8s.io/kubernetes/plugin/pkg/admission/network/defaultingressclass).
type DefaultIngressClass struct{ Reader Reader }

// Admit implements registry.Admitter.
func (d DefaultIngressClass) Admit(_ context.Context, r registry.Request) error {
	ingress, ok := r.Object.(*networkingv1.Ingress)
	if !ok || r.Operation != registry.Create || r.Subresource != "" || ingress.Spec.IngressClassName != nil {
		return nil
	}
	if _, named := ingress.Annotations[ingressClassAnnotation]; named {
		return nil
	}
	if class := d.defaultClass(); class != nil {
		name := class.Name
		ingress.Spec.IngressClassName = &name
	}
	return nil
}

func (d DefaultIngressClass) defaultClass() (chosen *networkingv1.IngressClass) {
	d.Reader.Snapshot("ingressclasses.networking.k8s.io").Ascend("", store.Key{}, func(obj store.Object) bool {
		class := obj.(*networkingv1.IngressClass)
		if class.Annotations[networkingv1.AnnotationIsDefaultIngressClass] != "true" {
			return true
		}
		// Of two of the same age, the first by name.
		if chosen == nil || chosen.CreationTimestamp.Before(&class.CreationTimestamp) {
			chosen = class
		}
		return true
	})
	return chosen
}
