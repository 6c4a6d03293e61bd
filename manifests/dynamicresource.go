package manifests

import (
	"context"

	resourcev1 "k8s.io/api/resource/v1"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/kubernetes/pkg/apis/resource"
	kresourcev1 "k8s.io/kubernetes/pkg/apis/resource/v1"
	"k8s.io/kubernetes/pkg/features"
)

// The kinds of resource.k8s.io are stored for charts that carry them, and nothing allocates devices.
// They are validated by upstream's declarative rules alone: its hand-written ones would bring the
// scheduler's device allocator along.

func dynamicKind(kind string, k Kind) *Kind {
	return newKind(resourcev1.SchemeGroupVersion.WithKind(kind), k)
}

func deviceClassKind() *Kind {
	return dynamicKind("DeviceClass", Kind{
		Resource: "deviceclasses", ReturnsDeleted: true,
		New: newOf[*resourcev1.DeviceClass](), NewList: newOf[*resourcev1.DeviceClassList](),
		Rules: &rules[*resourcev1.DeviceClass, resource.DeviceClass]{
			toInternal:    kresourcev1.Convert_v1_DeviceClass_To_resource_DeviceClass,
			fromInternal:  kresourcev1.Convert_resource_DeviceClass_To_v1_DeviceClass,
			prepareCreate: func(c *resource.DeviceClass) { c.Generation = 1 },
			warnCreate:    func(context.Context, *resource.DeviceClass) []string { return warnOfStoredOnly("DeviceClass") },
			updates: map[string]update[resource.DeviceClass]{
				SubresourceNone: {prepare: func(c, old *resource.DeviceClass) { bump(&c.Generation, old.Generation, &c.Spec, &old.Spec) }},
			},
		},
	})
}

func resourceClaimKind() *Kind {
	return dynamicKind("ResourceClaim", Kind{
		Resource: "resourceclaims", Namespaced: true, HasStatus: true, ReturnsDeleted: true,
		New: newOf[*resourcev1.ResourceClaim](), NewList: newOf[*resourcev1.ResourceClaimList](),
		Rules: &rules[*resourcev1.ResourceClaim, resource.ResourceClaim]{
			namespaced:    true,
			toInternal:    kresourcev1.Convert_v1_ResourceClaim_To_resource_ResourceClaim,
			fromInternal:  kresourcev1.Convert_resource_ResourceClaim_To_v1_ResourceClaim,
			prepareCreate: func(c *resource.ResourceClaim) { c.Status = resource.ResourceClaimStatus{} },
			warnCreate:    func(context.Context, *resource.ResourceClaim) []string { return warnOfStoredOnly("ResourceClaim") },
			updates: map[string]update[resource.ResourceClaim]{
				SubresourceNone:   {prepare: func(c, old *resource.ResourceClaim) { c.Status = old.Status }},
				SubresourceStatus: {prepare: func(c, old *resource.ResourceClaim) { c.Spec = old.Spec }},
			},
			reset: specAndStatus(resourcev1.SchemeGroupVersion),
		},
	})
}

func resourceClaimTemplateKind() *Kind {
	return dynamicKind("ResourceClaimTemplate", Kind{
		Resource: "resourceclaimtemplates", Namespaced: true, ReturnsDeleted: true,
		New: newOf[*resourcev1.ResourceClaimTemplate](), NewList: newOf[*resourcev1.ResourceClaimTemplateList](),
		Rules: &rules[*resourcev1.ResourceClaimTemplate, resource.ResourceClaimTemplate]{
			namespaced:   true,
			toInternal:   kresourcev1.Convert_v1_ResourceClaimTemplate_To_resource_ResourceClaimTemplate,
			fromInternal: kresourcev1.Convert_resource_ResourceClaimTemplate_To_v1_ResourceClaimTemplate,
			warnCreate: func(context.Context, *resource.ResourceClaimTemplate) []string {
				return warnOfStoredOnly("ResourceClaimTemplate")
			},
			updates: map[string]update[resource.ResourceClaimTemplate]{SubresourceNone: {}},
		},
	})
}

func resourceSliceKind() *Kind {
	return dynamicKind("ResourceSlice", Kind{
		Resource: "resourceslices", ReturnsDeleted: true,
		New: newOf[*resourcev1.ResourceSlice](), NewList: newOf[*resourcev1.ResourceSliceList](),
		Rules: &rules[*resourcev1.ResourceSlice, resource.ResourceSlice]{
			toInternal:    kresourcev1.Convert_v1_ResourceSlice_To_resource_ResourceSlice,
			fromInternal:  kresourcev1.Convert_resource_ResourceSlice_To_v1_ResourceSlice,
			prepareCreate: func(s *resource.ResourceSlice) { s.Generation = 1 },
			warnCreate:    func(context.Context, *resource.ResourceSlice) []string { return warnOfStoredOnly("ResourceSlice") },
			updates: map[string]update[resource.ResourceSlice]{
				SubresourceNone: {prepare: func(s, old *resource.ResourceSlice) { bump(&s.Generation, old.Generation, &s.Spec, &old.Spec) }},
			},
			features: map[string]bool{string(features.DRAPartitionableDevicesType): utilfeature.DefaultFeatureGate.Enabled(features.DRAPartitionableDevicesType)},
			fields: fieldTable[*resourcev1.ResourceSlice]{
				resourcev1.ResourceSliceSelectorNodeName: func(s *resourcev1.ResourceSlice) string {
					if s.Spec.NodeName == nil {
						return ""
					}
					return *s.Spec.NodeName
				},
				resourcev1.ResourceSliceSelectorDriver: func(s *resourcev1.ResourceSlice) string { return s.Spec.Driver },
			},
		},
	})
}
