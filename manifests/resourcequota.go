package manifests

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/core"
	kcorev1 "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/apis/core/validation"
)

func resourceQuotaKind() *Kind {
	return newKind(coreKind("ResourceQuota"), Kind{
		Resource: "resourcequotas", ShortNames: []string{"quota"}, Namespaced: true, HasStatus: true, ReturnsDeleted: true,
		New: newOf[*corev1.ResourceQuota](), NewList: newOf[*corev1.ResourceQuotaList](),
		Rules: &rules[*corev1.ResourceQuota, core.ResourceQuota]{
			namespaced:    true,
			toInternal:    kcorev1.Convert_v1_ResourceQuota_To_core_ResourceQuota,
			fromInternal:  kcorev1.Convert_core_ResourceQuota_To_v1_ResourceQuota,
			prepareCreate: func(q *core.ResourceQuota) { q.Status = core.ResourceQuotaStatus{} },
			validateCreate: func(_ context.Context, q *core.ResourceQuota) field.ErrorList {
				return validation.ValidateResourceQuota(q)
			},
			warnCreate: func(_ context.Context, q *core.ResourceQuota) []string { return warnOfQuota(q) },
			updates: map[string]update[core.ResourceQuota]{
				SubresourceNone: {
					prepare: func(q, old *core.ResourceQuota) { q.Status = old.Status },
					validate: func(_ context.Context, q, old *core.ResourceQuota) field.ErrorList {
						return validation.ValidateResourceQuotaUpdate(q, old)
					},
				},
				SubresourceStatus: {
					prepare: func(q, old *core.ResourceQuota) { q.Spec = old.Spec },
					validate: func(_ context.Context, q, old *core.ResourceQuota) field.ErrorList {
						return validation.ValidateResourceQuotaStatusUpdate(q, old)
					},
				},
			},
			reset: specAndStatus(corev1.SchemeGroupVersion),
		},
	})
}

// warnOfQuota tells of a quota of requests that is larger than that of limits.
func warnOfQuota(q *core.ResourceQuota) []string {
	var warnings []string
	for _, name := range []core.ResourceName{core.ResourceCPU, core.ResourceMemory, core.ResourceStorage, core.ResourceEphemeralStorage} {
		requestName, request, ok := quotaOfRequests(q, name)
		limitName := "limits." + name
		limit, limited := q.Spec.Hard[limitName]
		if ok && limited && request.Cmp(limit) > 0 {
			warnings = append(warnings, fmt.Sprintf("ResourceQuota %s (%s) should be less than %s (%s)",
				requestName, request.String(), limitName, limit.String()))
		}
	}
	return warnings
}

// quotaOfRequests finds the quota of requests of a resource, which for cpu and
// memory may also go by the bare name.
func quotaOfRequests(q *core.ResourceQuota, name core.ResourceName) (core.ResourceName, resource.Quantity, bool) {
	if quantity, ok := q.Spec.Hard["requests."+name]; ok {
		return "requests." + name, quantity, true
	}
	if name == core.ResourceCPU || name == core.ResourceMemory {
		quantity, ok := q.Spec.Hard[name]
		return name, quantity, ok
	}
	return "", resource.Quantity{}, false
}
