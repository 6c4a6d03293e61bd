package manifests

import (
	"context"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap"
	"k8s.io/kubernetes/pkg/apis/flowcontrol"
	kflowcontrolv1 "k8s.io/kubernetes/pkg/apis/flowcontrol/v1"
	"k8s.io/kubernetes/pkg/apis/flowcontrol/validation"
)

// FlowSchemas are those that exist from the start: upstream's mandatory ones, and those it suggests.
func FlowSchemas() []*flowcontrolv1.FlowSchema {
	return append(bootstrap.MandatoryFlowSchemas[:len(bootstrap.MandatoryFlowSchemas):len(bootstrap.MandatoryFlowSchemas)], bootstrap.SuggestedFlowSchemas...)
}

// PriorityLevels are those that exist from the start.
func PriorityLevels() []*flowcontrolv1.PriorityLevelConfiguration {
	return append(bootstrap.MandatoryPriorityLevelConfigurations[:len(bootstrap.MandatoryPriorityLevelConfigurations):len(bootstrap.MandatoryPriorityLevelConfigurations)],
		bootstrap.SuggestedPriorityLevelConfigurations...)
}

func flowKind(kind string, k Kind) *Kind {
	return newKind(flowcontrolv1.SchemeGroupVersion.WithKind(kind), k)
}

func flowSchemaKind() *Kind {
	return flowKind("FlowSchema", Kind{
		Resource: "flowschemas", HasStatus: true,
		New: newOf[*flowcontrolv1.FlowSchema](), NewList: newOf[*flowcontrolv1.FlowSchemaList](),
		Rules: &rules[*flowcontrolv1.FlowSchema, flowcontrol.FlowSchema]{
			toInternal:   kflowcontrolv1.Convert_v1_FlowSchema_To_flowcontrol_FlowSchema,
			fromInternal: kflowcontrolv1.Convert_flowcontrol_FlowSchema_To_v1_FlowSchema,
			prepareCreate: func(s *flowcontrol.FlowSchema) {
				s.Status = flowcontrol.FlowSchemaStatus{}
				s.Generation = 1
			},
			validateCreate: func(_ context.Context, s *flowcontrol.FlowSchema) field.ErrorList {
				return validation.ValidateFlowSchema(s)
			},
			updates: map[string]update[flowcontrol.FlowSchema]{
				SubresourceNone: {
					prepare: func(s, old *flowcontrol.FlowSchema) {
						bump(&s.Generation, old.Generation, &s.Spec, &old.Spec)
						s.Status = old.Status
					},
					validate: func(_ context.Context, s, old *flowcontrol.FlowSchema) field.ErrorList {
						return validation.ValidateFlowSchemaUpdate(old, s)
					},
				},
				SubresourceStatus: {
					prepare: func(s, old *flowcontrol.FlowSchema) {
						fields := s.ManagedFields // they say who has changed the status
						s.ObjectMeta, s.Spec = old.ObjectMeta, old.Spec
						s.ManagedFields = fields
					},
					validate: func(_ context.Context, s, old *flowcontrol.FlowSchema) field.ErrorList {
						return validation.ValidateFlowSchemaStatusUpdate(old, s)
					},
				},
			},
			reset: flowReset(),
		},
	})
}

func priorityLevelKind() *Kind {
	gv := flowcontrolv1.SchemeGroupVersion
	return flowKind("PriorityLevelConfiguration", Kind{
		Resource: "prioritylevelconfigurations", HasStatus: true,
		New: newOf[*flowcontrolv1.PriorityLevelConfiguration](), NewList: newOf[*flowcontrolv1.PriorityLevelConfigurationList](),
		Rules: &rules[*flowcontrolv1.PriorityLevelConfiguration, flowcontrol.PriorityLevelConfiguration]{
			toInternal:   kflowcontrolv1.Convert_v1_PriorityLevelConfiguration_To_flowcontrol_PriorityLevelConfiguration,
			fromInternal: kflowcontrolv1.Convert_flowcontrol_PriorityLevelConfiguration_To_v1_PriorityLevelConfiguration,
			prepareCreate: func(l *flowcontrol.PriorityLevelConfiguration) {
				l.Status = flowcontrol.PriorityLevelConfigurationStatus{}
				l.Generation = 1
			},
			validateCreate: func(_ context.Context, l *flowcontrol.PriorityLevelConfiguration) field.ErrorList {
				return validation.ValidatePriorityLevelConfiguration(l, gv, validation.PriorityLevelValidationOptions{})
			},
			updates: map[string]update[flowcontrol.PriorityLevelConfiguration]{
				SubresourceNone: {
					prepare: func(l, old *flowcontrol.PriorityLevelConfiguration) {
						bump(&l.Generation, old.Generation, &l.Spec, &old.Spec)
						l.Status = old.Status
					},
					validate: func(_ context.Context, l, _ *flowcontrol.PriorityLevelConfiguration) field.ErrorList {
						return validation.ValidatePriorityLevelConfiguration(l, gv, validation.PriorityLevelValidationOptions{})
					},
				},
				SubresourceStatus: {
					prepare: func(l, old *flowcontrol.PriorityLevelConfiguration) {
						fields := l.ManagedFields
						l.ObjectMeta, l.Spec = old.ObjectMeta, old.Spec
						l.ManagedFields = fields
					},
					validate: func(_ context.Context, l, old *flowcontrol.PriorityLevelConfiguration) field.ErrorList {
						return validation.ValidatePriorityLevelConfigurationStatusUpdate(old, l)
					},
				},
			},
			reset: flowReset(),
		},
	})
}

// flowReset lets a write to the status change the status alone: not even labels.
func flowReset() resetFields {
	versions := []schema.GroupVersion{flowcontrolv1.SchemeGroupVersion}
	return resetFields{
		SubresourceNone:   reset(versions, path("status")),
		SubresourceStatus: reset(versions, path("metadata"), path("spec")),
	}
}
