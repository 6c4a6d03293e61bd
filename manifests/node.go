package manifests

import (
	"context"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/kubernetes/pkg/apis/core"
	kcorev1 "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/features"
)

func nodeKind() *Kind {
	preemption := features.InPlacePodVerticalScalingSchedulerPreemption
	return newKind(coreKind("Node"), Kind{
		Resource: "nodes", ShortNames: []string{"no"}, HasStatus: true,
		New: newOf[*corev1.Node](), NewList: newOf[*corev1.NodeList](),
		Rules: &rules[*corev1.Node, core.Node]{
			toInternal:   kcorev1.Convert_v1_Node_To_core_Node,
			fromInternal: kcorev1.Convert_core_Node_To_v1_Node,
			// A node may bring its status along: that is how one registers itself.
			prepareCreate: func(n *core.Node) {
				dropConfigSource(n, nil)
				n.Status.Config = nil
			},
			validateCreate: func(_ context.Context, n *core.Node) field.ErrorList {
				return validation.ValidateNode(n)
			},
			warnCreate: func(_ context.Context, n *core.Node) []string { return warnOfNode(n) },
			updates: map[string]update[core.Node]{
				SubresourceNone:   nodeUpdate(),
				SubresourceStatus: nodeStatusUpdate(),
			},
			features: map[string]bool{
				string(preemption): utilfeature.DefaultFeatureGate.Enabled(preemption),
			},
			fields: fieldTable[*corev1.Node]{
				"spec.unschedulable": func(n *corev1.Node) string { return strconv.FormatBool(n.Spec.Unschedulable) },
			},
			reset: specAndStatus(corev1.SchemeGroupVersion),
		},
	})
}

func nodeUpdate() update[core.Node] {
	return update[core.Node]{
		prepare: func(n, old *core.Node) {
			n.Status = old.Status
			dropConfigSource(n, old)
		},
		validate: func(_ context.Context, n, old *core.Node) field.ErrorList {
			return append(validation.ValidateNode(n), validation.ValidateNodeUpdate(n, old)...)
		},
		warn: func(_ context.Context, n, _ *core.Node) []string { return warnOfNode(n) },
	}
}

func nodeStatusUpdate() update[core.Node] {
	return update[core.Node]{
		prepare: func(n, old *core.Node) {
			n.Spec = old.Spec
			if old.Status.Config == nil {
				n.Status.Config = nil
			}
		},
		validate: func(_ context.Context, n, old *core.Node) field.ErrorList {
			return validation.ValidateNodeUpdate(n, old)
		},
	}
}

// dropConfigSource drops the fields of features that are off or gone, unless
// the stored node has them.
func dropConfigSource(n, old *core.Node) {
	if old == nil || old.Spec.ConfigSource == nil {
		n.Spec.ConfigSource = nil
	}
	preemption := utilfeature.DefaultFeatureGate.Enabled(features.InPlacePodVerticalScalingSchedulerPreemption)
	if !preemption && (old == nil || old.Spec.PodPreemptionPolicy == nil) {
		n.Spec.PodPreemptionPolicy = nil
	}
}

func warnOfNode(n *core.Node) []string {
	var warnings []string
	if n.Spec.ConfigSource != nil {
		warnings = append(warnings, "spec.configSource: the feature is removed")
	}
	if n.Spec.DoNotUseExternalID != "" {
		warnings = append(warnings, "spec.externalID: this field is deprecated, and is unused by Kubernetes")
	}
	cidrs := field.NewPath("spec", "podCIDRs")
	for i, cidr := range n.Spec.PodCIDRs {
		warnings = append(warnings, apivalidation.GetWarningsForCIDR(cidrs.Index(i), cidr)...)
	}
	return warnings
}
