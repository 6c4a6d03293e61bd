package manifests

import (
	"context"

	nodev1 "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	nodeutil "k8s.io/kubernetes/pkg/api/node"
	"k8s.io/kubernetes/pkg/apis/node"
	knodev1 "k8s.io/kubernetes/pkg/apis/node/v1"
	"k8s.io/kubernetes/pkg/apis/node/validation"
)

func runtimeClassKind() *Kind {
	return newKind(nodev1.SchemeGroupVersion.WithKind("RuntimeClass"), Kind{
		Resource: "runtimeclasses", CreateOnUpdate: true, RequireVersion: true,
		New: newOf[*nodev1.RuntimeClass](), NewList: newOf[*nodev1.RuntimeClassList](),
		Rules: &rules[*nodev1.RuntimeClass, node.RuntimeClass]{
			toInternal:   knodev1.Convert_v1_RuntimeClass_To_node_RuntimeClass,
			fromInternal: knodev1.Convert_node_RuntimeClass_To_v1_RuntimeClass,
			validateCreate: func(_ context.Context, c *node.RuntimeClass) field.ErrorList {
				return validation.ValidateRuntimeClass(c)
			},
			warnCreate: func(_ context.Context, c *node.RuntimeClass) []string {
				return append(nodeutil.GetWarningsForRuntimeClass(c), warnOfStoredOnly("RuntimeClass")...)
			},
			updates: map[string]update[node.RuntimeClass]{
				SubresourceNone: {
					validate: func(_ context.Context, c, old *node.RuntimeClass) field.ErrorList {
						return append(validation.ValidateRuntimeClass(c), validation.ValidateRuntimeClassUpdate(c, old)...)
					},
					warn: func(_ context.Context, c, _ *node.RuntimeClass) []string {
						return nodeutil.GetWarningsForRuntimeClass(c)
					},
				},
			},
		},
	})
}
