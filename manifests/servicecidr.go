package manifests

import (
	"context"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/networking"
	knetworkingv1 "k8s.io/kubernetes/pkg/apis/networking/v1"
	"k8s.io/kubernetes/pkg/apis/networking/validation"
)

func serviceCIDRKind() *Kind {
	v1 := []schema.GroupVersion{networkingv1.SchemeGroupVersion}
	return newKind(networkingv1.SchemeGroupVersion.WithKind("ServiceCIDR"), Kind{
		Resource: "servicecidrs", HasStatus: true,
		New: newOf[*networkingv1.ServiceCIDR](), NewList: newOf[*networkingv1.ServiceCIDRList](),
		Rules: &rules[*networkingv1.ServiceCIDR, networking.ServiceCIDR]{
			toInternal:    knetworkingv1.Convert_v1_ServiceCIDR_To_networking_ServiceCIDR,
			fromInternal:  knetworkingv1.Convert_networking_ServiceCIDR_To_v1_ServiceCIDR,
			prepareCreate: func(c *networking.ServiceCIDR) { c.Status = networking.ServiceCIDRStatus{} },
			validateCreate: func(_ context.Context, c *networking.ServiceCIDR) field.ErrorList {
				return validation.ValidateServiceCIDR(c)
			},
			updates: map[string]update[networking.ServiceCIDR]{
				SubresourceNone: {
					prepare: func(c, old *networking.ServiceCIDR) { c.Status = old.Status },
					validate: func(_ context.Context, c, old *networking.ServiceCIDR) field.ErrorList {
						return validation.ValidateServiceCIDRUpdate(c, old)
					},
				},
				SubresourceStatus: {
					prepare: func(c, old *networking.ServiceCIDR) {
						c.Spec = old.Spec
						metav1.ResetObjectMetaForStatus(&c.ObjectMeta, &old.ObjectMeta)
					},
					validate: func(_ context.Context, c, old *networking.ServiceCIDR) field.ErrorList {
						return validation.ValidateServiceCIDRStatusUpdate(c, old)
					},
				},
			},
			reset: resetFields{
				SubresourceNone:   reset(v1, path("status")),
				SubresourceStatus: reset(v1, path("metadata"), path("spec")),
			},
		},
	})
}
