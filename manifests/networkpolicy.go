package manifests

import (
	"context"

	networkingv1 "k8s.io/api/networking/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/networking"
	knetworkingv1 "k8s.io/kubernetes/pkg/apis/networking/v1"
	"k8s.io/kubernetes/pkg/apis/networking/validation"
)

func networkPolicyKind() *Kind {
	return newKind(networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy"), Kind{
		Resource: "networkpolicies", ShortNames: []string{"netpol"}, Namespaced: true,
		New: newOf[*networkingv1.NetworkPolicy](), NewList: newOf[*networkingv1.NetworkPolicyList](),
		Rules: &rules[*networkingv1.NetworkPolicy, networking.NetworkPolicy]{
			namespaced:    true,
			toInternal:    knetworkingv1.Convert_v1_NetworkPolicy_To_networking_NetworkPolicy,
			fromInternal:  knetworkingv1.Convert_networking_NetworkPolicy_To_v1_NetworkPolicy,
			prepareCreate: func(p *networking.NetworkPolicy) { p.Generation = 1 },
			validateCreate: func(_ context.Context, p *networking.NetworkPolicy) field.ErrorList {
				return validation.ValidateNetworkPolicy(p, validation.ValidationOptionsForNetworking(p, nil))
			},
			warnCreate: func(_ context.Context, p *networking.NetworkPolicy) []string {
				return append(warnOfStoredOnly("NetworkPolicy"), warnOfBlocks(p)...)
			},
			updates: map[string]update[networking.NetworkPolicy]{
				SubresourceNone: {
					prepare: func(p, old *networking.NetworkPolicy) { bump(&p.Generation, old.Generation, p.Spec, old.Spec) },
					validate: func(_ context.Context, p, old *networking.NetworkPolicy) field.ErrorList {
						return validation.ValidateNetworkPolicyUpdate(p, old, validation.ValidationOptionsForNetworking(p, old))
					},
					warn: func(_ context.Context, p, _ *networking.NetworkPolicy) []string { return warnOfBlocks(p) },
				},
			},
		},
	})
}

// warnOfBlocks warns of address ranges that are written in an ambiguous way.
func warnOfBlocks(p *networking.NetworkPolicy) []string {
	var warnings []string
	check := func(path *field.Path, peers []networking.NetworkPolicyPeer) {
		for i, peer := range peers {
			if peer.IPBlock == nil {
				continue
			}
			at := path.Index(i).Child("ipBlock")
			warnings = append(warnings, utilvalidation.GetWarningsForCIDR(at.Child("cidr"), peer.IPBlock.CIDR)...)
			for n, except := range peer.IPBlock.Except {
				warnings = append(warnings, utilvalidation.GetWarningsForCIDR(at.Child("except").Index(n), except)...)
			}
		}
	}
	for i, rule := range p.Spec.Ingress {
		check(field.NewPath("spec", "ingress").Index(i).Child("from"), rule.From)
	}
	for i, rule := range p.Spec.Egress {
		check(field.NewPath("spec", "egress").Index(i).Child("to"), rule.To)
	}
	return warnings
}
