package manifests

import (
	"context"

	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/scheduling"
	kschedulingv1 "k8s.io/kubernetes/pkg/apis/scheduling/v1"
	"k8s.io/kubernetes/pkg/apis/scheduling/validation"
)

// SystemPriorityClasses are system-node-critical and system-cluster-critical,
// which exist from the start.
func SystemPriorityClasses() []*schedulingv1.PriorityClass {
	return kschedulingv1.SystemPriorityClasses()
}

// PriorityWithoutClass is the priority of a pod that names no class when no
// class is the default one.
const PriorityWithoutClass = scheduling.DefaultPriorityWhenNoDefaultClassExists

func priorityClassKind() *Kind {
	return newKind(schedulingv1.SchemeGroupVersion.WithKind("PriorityClass"), Kind{
		Resource: "priorityclasses", ShortNames: []string{"pc"},
		New: newOf[*schedulingv1.PriorityClass](), NewList: newOf[*schedulingv1.PriorityClassList](),
		Rules: &rules[*schedulingv1.PriorityClass, scheduling.PriorityClass]{
			toInternal:    kschedulingv1.Convert_v1_PriorityClass_To_scheduling_PriorityClass,
			fromInternal:  kschedulingv1.Convert_scheduling_PriorityClass_To_v1_PriorityClass,
			prepareCreate: func(c *scheduling.PriorityClass) { c.Generation = 1 },
			validateCreate: func(_ context.Context, c *scheduling.PriorityClass) field.ErrorList {
				return validation.ValidatePriorityClass(c)
			},
			updates: map[string]update[scheduling.PriorityClass]{
				SubresourceNone: {
					validate: func(_ context.Context, c, old *scheduling.PriorityClass) field.ErrorList {
						return validation.ValidatePriorityClassUpdate(c, old)
					},
				},
			},
		},
	})
}
