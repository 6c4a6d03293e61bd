package manifests

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/core"
	kcorev1 "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/apis/core/validation"
)

func endpointsKind() *Kind {
	return newKind(coreKind("Endpoints"), Kind{
		Resource: "endpoints", ShortNames: []string{"ep"}, Namespaced: true, CreateOnUpdate: true,
		New: newOf[*corev1.Endpoints](), NewList: newOf[*corev1.EndpointsList](),
		Rules: &rules[*corev1.Endpoints, core.Endpoints]{
			namespaced:   true,
			toInternal:   kcorev1.Convert_v1_Endpoints_To_core_Endpoints,
			fromInternal: kcorev1.Convert_core_Endpoints_To_v1_Endpoints,
			validateCreate: func(_ context.Context, e *core.Endpoints) field.ErrorList {
				return validation.ValidateEndpointsCreate(e)
			},
			warnCreate: func(_ context.Context, e *core.Endpoints) []string { return warnOfEndpoints(e) },
			updates: map[string]update[core.Endpoints]{
				SubresourceNone: {
					validate: func(_ context.Context, e, old *core.Endpoints) field.ErrorList {
						return validation.ValidateEndpointsUpdate(e, old)
					},
					warn: func(_ context.Context, e, _ *core.Endpoints) []string { return warnOfEndpoints(e) },
				},
			},
		},
	})
}

// warnOfEndpoints warns of addresses in forms that not every parser takes.
func warnOfEndpoints(e *core.Endpoints) []string {
	var warnings []string
	warn := func(path *field.Path, addresses []core.EndpointAddress) {
		for i := range addresses {
			warnings = append(warnings, apivalidation.GetWarningsForIP(path.Index(i).Child("ip"), addresses[i].IP)...)
		}
	}
	for i := range e.Subsets {
		path := field.NewPath("subsets").Index(i)
		warn(path.Child("addresses"), e.Subsets[i].Addresses)
		warn(path.Child("notReadyAddresses"), e.Subsets[i].NotReadyAddresses)
	}
	return warnings
}
