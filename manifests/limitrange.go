package manifests

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/core"
	kcorev1 "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/apis/core/validation"
)

func limitRangeKind() *Kind {
	return newKind(coreKind("LimitRange"), Kind{
		Resource: "limitranges", ShortNames: []string{"limits"}, Namespaced: true, CreateOnUpdate: true,
		New: newOf[*corev1.LimitRange](), NewList: newOf[*corev1.LimitRangeList](),
		Rules: &rules[*corev1.LimitRange, core.LimitRange]{
			namespaced:   true,
			toInternal:   kcorev1.Convert_v1_LimitRange_To_core_LimitRange,
			fromInternal: kcorev1.Convert_core_LimitRange_To_v1_LimitRange,
			prepareCreate: func(l *core.LimitRange) {
				if l.Name == "" {
					l.Name = string(uuid.NewUUID())
				}
			},
			validateCreate: func(_ context.Context, l *core.LimitRange) field.ErrorList {
				return validation.ValidateLimitRange(l)
			},
			updates: map[string]update[core.LimitRange]{
				SubresourceNone: {
					validate: func(_ context.Context, l, _ *core.LimitRange) field.ErrorList {
						return validation.ValidateLimitRange(l)
					},
				},
			},
		},
	})
}
