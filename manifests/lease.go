package manifests

import (
	"context"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/coordination"
	kcoordinationv1 "k8s.io/kubernetes/pkg/apis/coordination/v1"
	"k8s.io/kubernetes/pkg/apis/coordination/validation"
)

// leaseKind drops strategy and preferredHolder, the fields of coordinated leader
// election, as upstream does while that feature is off.
func leaseKind() *Kind {
	return newKind(coordinationv1.SchemeGroupVersion.WithKind("Lease"), Kind{
		Resource: "leases", Namespaced: true, CreateOnUpdate: true, RequireVersion: true,
		New: newOf[*coordinationv1.Lease](), NewList: newOf[*coordinationv1.LeaseList](),
		Rules: &rules[*coordinationv1.Lease, coordination.Lease]{
			namespaced:   true,
			toInternal:   kcoordinationv1.Convert_v1_Lease_To_coordination_Lease,
			fromInternal: kcoordinationv1.Convert_coordination_Lease_To_v1_Lease,
			prepareCreate: func(l *coordination.Lease) {
				l.Spec.Strategy, l.Spec.PreferredHolder = nil, nil
			},
			validateCreate: func(_ context.Context, l *coordination.Lease) field.ErrorList {
				return validation.ValidateLease(l)
			},
			updates: map[string]update[coordination.Lease]{
				SubresourceNone: {
					prepare: func(l, _ *coordination.Lease) { l.Spec.Strategy, l.Spec.PreferredHolder = nil, nil },
					validate: func(_ context.Context, l, old *coordination.Lease) field.ErrorList {
						return validation.ValidateLeaseUpdate(l, old)
					},
				},
			},
		},
	})
}
