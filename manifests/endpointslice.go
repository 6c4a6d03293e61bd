package manifests

import (
	"context"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/discovery"
	kdiscoveryv1 "k8s.io/kubernetes/pkg/apis/discovery/v1"
	"k8s.io/kubernetes/pkg/apis/discovery/validation"
)

func endpointSliceKind() *Kind {
	return newKind(discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice"), Kind{
		Resource: "endpointslices", Namespaced: true,
		New: newOf[*discoveryv1.EndpointSlice](), NewList: newOf[*discoveryv1.EndpointSliceList](),
		Rules: &rules[*discoveryv1.EndpointSlice, discovery.EndpointSlice]{
			namespaced:   true,
			toInternal:   kdiscoveryv1.Convert_v1_EndpointSlice_To_discovery_EndpointSlice,
			fromInternal: kdiscoveryv1.Convert_discovery_EndpointSlice_To_v1_EndpointSlice,
			prepareCreate: func(s *discovery.EndpointSlice) {
				s.Generation = 1
				dropTopology(s)
			},
			validateCreate: func(_ context.Context, s *discovery.EndpointSlice) field.ErrorList {
				return validation.ValidateEndpointSliceCreate(s)
			},
			warnCreate: func(_ context.Context, s *discovery.EndpointSlice) []string {
				var warnings []string
				if s.AddressType == discovery.AddressTypeFQDN {
					warnings = append(warnings, "spec.addressType: FQDN endpoints are deprecated")
				}
				return append(warnings, warnOfEndpointSlice(s)...)
			},
			updates: map[string]update[discovery.EndpointSlice]{
				SubresourceNone: {
					prepare: prepareEndpointSlice,
					validate: func(_ context.Context, s, old *discovery.EndpointSlice) field.ErrorList {
						return validation.ValidateEndpointSliceUpdate(s, old)
					},
					warn: func(_ context.Context, s, _ *discovery.EndpointSlice) []string { return warnOfEndpointSlice(s) },
				},
			},
		},
	})
}

// prepareEndpointSlice bumps the generation for a change of the labels too,
// which say what service the slice belongs to.
func prepareEndpointSlice(s, old *discovery.EndpointSlice) {
	same := s.AddressType == old.AddressType &&
		equality.Semantic.DeepEqual(s.Endpoints, old.Endpoints) &&
		equality.Semantic.DeepEqual(s.Ports, old.Ports) &&
		equality.Semantic.DeepEqual(s.Labels, old.Labels)
	if !same {
		s.Generation = old.Generation + 1
	}
	dropTopology(s)
}

// dropTopology drops the field that v1 documents as not to be written.
func dropTopology(s *discovery.EndpointSlice) {
	for i := range s.Endpoints {
		s.Endpoints[i].DeprecatedTopology = nil
	}
}

// warnOfEndpointSlice warns of addresses in forms that not every parser takes.
func warnOfEndpointSlice(s *discovery.EndpointSlice) []string {
	var warnings []string
	for i := range s.Endpoints {
		for j, address := range s.Endpoints[i].Addresses {
			at := field.NewPath("endpoints").Index(i).Child("addresses").Index(j)
			warnings = append(warnings, apivalidation.GetWarningsForIP(at, address)...)
		}
	}
	return warnings
}
