package manifests

import (
	"slices"
	"strings"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	appsv1beta1 "k8s.io/api/apps/v1beta1"
	appsv1beta2 "k8s.io/api/apps/v1beta2"
	corev1 "k8s.io/api/core/v1"
	extensionsv1beta1 "k8s.io/api/extensions/v1beta1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Kinds are the kinds skiff serves, by group and then in the order upstream's
// discovery lists them. The kinds are shared and must not be changed.
func Kinds() []*Kind { return slices.Clone(allKinds()) }

// KindFor returns the kind of a resource, or nil.
func KindFor(gr schema.GroupResource) *Kind { return kindsByResource()[gr] }

var allKinds = sync.OnceValue(func() []*Kind {
	return []*Kind{
		configMapKind(),
		endpointsKind(),
		eventKind(),
		limitRangeKind(),
		namespaceKind(),
		nodeKind(),
		persistentVolumeClaimKind(),
		persistentVolumeKind(),
		podKind(),
		podTemplateKind(),
		replicationControllerKind(),
		resourceQuotaKind(),
		secretKind(),
		serviceAccountKind(),
		serviceKind(),

		controllerRevisionKind(),
		daemonSetKind(),
		deploymentKind(),
		replicaSetKind(),
		statefulSetKind(),

		horizontalPodAutoscalerKind(),

		cronJobKind(),
		jobKind(),

		certificateSigningRequestKind(),
		endpointSliceKind(),
		flowSchemaKind(),
		priorityLevelKind(),
		leaseKind(),
		podDisruptionBudgetKind(),
		priorityClassKind(),

		clusterRoleBindingKind(),
		clusterRoleKind(),
		roleBindingKind(),
		roleKind(),

		ingressKind(),
		ingressClassKind(),
		ipAddressKind(),
		networkPolicyKind(),
		serviceCIDRKind(),
		runtimeClassKind(),

		deviceClassKind(),
		resourceClaimKind(),
		resourceClaimTemplateKind(),
		resourceSliceKind(),

		csiDriverKind(),
		csiNodeKind(),
		csiStorageCapacityKind(),
		storageClassKind(),
		volumeAttachmentKind(),

		customResourceDefinitionKind(),
		mutatingAdmissionPolicyKind(),
		mutatingAdmissionPolicyBindingKind(),
		mutatingWebhookConfigurationKind(),
		validatingAdmissionPolicyKind(),
		validatingAdmissionPolicyBindingKind(),
		validatingWebhookConfigurationKind(),
		volumeAttributesClassKind(),
	}
})

var kindsByResource = sync.OnceValue(func() map[schema.GroupResource]*Kind {
	out := map[schema.GroupResource]*Kind{}
	for _, k := range allKinds() {
		out[k.GroupResource()] = k
	}
	return out
})

// newKind fills in what follows from the rest.
func newKind(gvk schema.GroupVersionKind, k Kind) *Kind {
	k.GVK = gvk
	if k.Singular == "" {
		k.Singular = strings.ToLower(gvk.Kind)
	}
	if k.Served == nil {
		k.Served = []schema.GroupVersionKind{gvk}
	}
	return &k
}

func coreKind(kind string) schema.GroupVersionKind { return corev1.SchemeGroupVersion.WithKind(kind) }
func appsKind(kind string) schema.GroupVersionKind { return appsv1.SchemeGroupVersion.WithKind(kind) }

// The versions in which old manifests have workloads, beside apps/v1. A StatefulSet was in apps from
// its beginning; apps/v1beta1 had no others but Deployments.
var (
	oldDeployments  = []schema.GroupVersion{appsv1beta2.SchemeGroupVersion, appsv1beta1.SchemeGroupVersion, extensionsv1beta1.SchemeGroupVersion}
	oldStatefulSets = []schema.GroupVersion{appsv1beta2.SchemeGroupVersion, appsv1beta1.SchemeGroupVersion}
	oldSets         = []schema.GroupVersion{appsv1beta2.SchemeGroupVersion, extensionsv1beta1.SchemeGroupVersion}
)

// servedApps are apps/v1 and the old versions of a kind, and their group versions.
func servedApps(kind string, old []schema.GroupVersion) (kinds []schema.GroupVersionKind, versions []schema.GroupVersion) {
	versions = append([]schema.GroupVersion{appsv1.SchemeGroupVersion}, old...)
	for _, gv := range versions {
		kinds = append(kinds, gv.WithKind(kind))
	}
	return kinds, versions
}

// scope is what a conversion function is handed; none of ours needs one.
type scope = conversion.Scope
