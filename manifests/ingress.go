package manifests

import (
	"context"
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/networking"
	knetworkingv1 "k8s.io/kubernetes/pkg/apis/networking/v1"
	"k8s.io/kubernetes/pkg/apis/networking/validation"
)

// ingressClassAnnotation is how an Ingress named its class before it had a field for it.
const ingressClassAnnotation = "kubernetes.io/ingress.class"

func ingressKind() *Kind {
	return newKind(networkingv1.SchemeGroupVersion.WithKind("Ingress"), Kind{
		Resource: "ingresses", ShortNames: []string{"ing"}, Namespaced: true, HasStatus: true,
		New: newOf[*networkingv1.Ingress](), NewList: newOf[*networkingv1.IngressList](),
		Rules: &rules[*networkingv1.Ingress, networking.Ingress]{
			namespaced:   true,
			toInternal:   knetworkingv1.Convert_v1_Ingress_To_networking_Ingress,
			fromInternal: knetworkingv1.Convert_networking_Ingress_To_v1_Ingress,
			prepareCreate: func(i *networking.Ingress) {
				i.Status, i.Generation = networking.IngressStatus{}, 1
			},
			validateCreate: func(_ context.Context, i *networking.Ingress) field.ErrorList {
				return validation.ValidateIngressCreate(i)
			},
			warnCreate: warnOfIngress,
			updates: map[string]update[networking.Ingress]{
				SubresourceNone: {
					prepare: func(i, old *networking.Ingress) {
						i.Status = old.Status
						bump(&i.Generation, old.Generation, i.Spec, old.Spec)
					},
					validate: func(_ context.Context, i, old *networking.Ingress) field.ErrorList {
						return validation.ValidateIngressUpdate(i, old)
					},
				},
				SubresourceStatus: {
					prepare: func(i, old *networking.Ingress) { i.Spec = old.Spec },
					validate: func(_ context.Context, i, old *networking.Ingress) field.ErrorList {
						return validation.ValidateIngressStatusUpdate(i, old)
					},
					warn: warnOfIngressAddresses,
				},
			},
			reset: specAndStatus(networkingv1.SchemeGroupVersion),
		},
	})
}

func warnOfIngress(_ context.Context, i *networking.Ingress) []string {
	if _, named := i.Annotations[ingressClassAnnotation]; named && i.Spec.IngressClassName == nil {
		return []string{fmt.Sprintf("annotation %q is deprecated, please use 'spec.ingressClassName' instead", ingressClassAnnotation)}
	}
	return nil
}

func warnOfIngressAddresses(_ context.Context, i, _ *networking.Ingress) []string {
	var warnings []string
	for n, at := range i.Status.LoadBalancer.Ingress {
		if at.IP != "" {
			warnings = append(warnings, utilvalidation.GetWarningsForIP(field.NewPath("status", "loadBalancer", "ingress").Index(n), at.IP)...)
		}
	}
	return warnings
}

func ingressClassKind() *Kind {
	return newKind(networkingv1.SchemeGroupVersion.WithKind("IngressClass"), Kind{
		Resource: "ingressclasses",
		New:      newOf[*networkingv1.IngressClass](), NewList: newOf[*networkingv1.IngressClassList](),
		Rules: &rules[*networkingv1.IngressClass, networking.IngressClass]{
			toInternal:    knetworkingv1.Convert_v1_IngressClass_To_networking_IngressClass,
			fromInternal:  knetworkingv1.Convert_networking_IngressClass_To_v1_IngressClass,
			prepareCreate: func(c *networking.IngressClass) { c.Generation = 1 },
			validateCreate: func(_ context.Context, c *networking.IngressClass) field.ErrorList {
				return validation.ValidateIngressClass(c)
			},
			updates: map[string]update[networking.IngressClass]{
				SubresourceNone: {
					prepare: func(c, old *networking.IngressClass) { bump(&c.Generation, old.Generation, c.Spec, old.Spec) },
					validate: func(_ context.Context, c, old *networking.IngressClass) field.ErrorList {
						return validation.ValidateIngressClassUpdate(c, old)
					},
				},
			},
		},
	})
}
