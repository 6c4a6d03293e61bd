package manifests

import (
	"context"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/networking"
	knetworkingv1 "k8s.io/kubernetes/pkg/apis/networking/v1"
	"k8s.io/kubernetes/pkg/apis/networking/validation"
)

// ipAddressKind is the kind whose objects' names are the addresses themselves.
func ipAddressKind() *Kind {
	return newKind(networkingv1.SchemeGroupVersion.WithKind("IPAddress"), Kind{
		Resource: "ipaddresses", ShortNames: []string{"ip"},
		New: newOf[*networkingv1.IPAddress](), NewList: newOf[*networkingv1.IPAddressList](),
		Rules: &rules[*networkingv1.IPAddress, networking.IPAddress]{
			toInternal:   knetworkingv1.Convert_v1_IPAddress_To_networking_IPAddress,
			fromInternal: knetworkingv1.Convert_networking_IPAddress_To_v1_IPAddress,
			validateCreate: func(_ context.Context, a *networking.IPAddress) field.ErrorList {
				return validation.ValidateIPAddress(a)
			},
			updates: map[string]update[networking.IPAddress]{
				SubresourceNone: {
					validate: func(_ context.Context, a, old *networking.IPAddress) field.ErrorList {
						return append(validation.ValidateIPAddress(a), validation.ValidateIPAddressUpdate(a, old)...)
					},
				},
			},
		},
	})
}
