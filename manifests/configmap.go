package manifests

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/core"
	kcorev1 "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/apis/core/validation"
)

func configMapKind() *Kind {
	return newKind(coreKind("ConfigMap"), Kind{
		Resource: "configmaps", ShortNames: []string{"cm"}, Namespaced: true,
		New: newOf[*corev1.ConfigMap](), NewList: newOf[*corev1.ConfigMapList](),
		Rules: &rules[*corev1.ConfigMap, core.ConfigMap]{
			namespaced:   true,
			toInternal:   kcorev1.Convert_v1_ConfigMap_To_core_ConfigMap,
			fromInternal: kcorev1.Convert_core_ConfigMap_To_v1_ConfigMap,
			validateCreate: func(_ context.Context, c *core.ConfigMap) field.ErrorList {
				return validation.ValidateConfigMap(c)
			},
			updates: map[string]update[core.ConfigMap]{
				SubresourceNone: {
					validate: func(_ context.Context, c, old *core.ConfigMap) field.ErrorList {
						return validation.ValidateConfigMapUpdate(c, old)
					},
				},
			},
		},
	})
}
