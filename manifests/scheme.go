// Package manifests says what a kind of object is: its types, defaults and
// validation, and what a create or an update of it may change. Types are
// k8s.io/api's own; defaults and validation are upstream's, imported from
// k8s.io/kubernetes.
package manifests

import (
	"reflect"
	"strings"
	"sync"

	arv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	appsv1beta1 "k8s.io/api/apps/v1beta1"
	appsv1beta2 "k8s.io/api/apps/v1beta2"
	authenticationv1 "k8s.io/api/authentication/v1"
	batchv1 "k8s.io/api/batch/v1"
	batchv1beta1 "k8s.io/api/batch/v1beta1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	extensionsv1beta1 "k8s.io/api/extensions/v1beta1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	resourcev1 "k8s.io/api/resource/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/kubernetes/pkg/capabilities"

	// Each of these adds upstream's defaults, conversions, field labels and
	// declarative validation to its API package's scheme builder.
	_ "k8s.io/kubernetes/pkg/apis/admissionregistration/v1"
	_ "k8s.io/kubernetes/pkg/apis/apps/v1"
	_ "k8s.io/kubernetes/pkg/apis/apps/v1beta1"
	_ "k8s.io/kubernetes/pkg/apis/apps/v1beta2"
	_ "k8s.io/kubernetes/pkg/apis/authentication/v1"
	_ "k8s.io/kubernetes/pkg/apis/autoscaling/v1"
	_ "k8s.io/kubernetes/pkg/apis/autoscaling/v2"
	_ "k8s.io/kubernetes/pkg/apis/batch/v1"
	_ "k8s.io/kubernetes/pkg/apis/batch/v1beta1"
	_ "k8s.io/kubernetes/pkg/apis/certificates/v1"
	_ "k8s.io/kubernetes/pkg/apis/coordination/v1"
	_ "k8s.io/kubernetes/pkg/apis/core/v1"
	_ "k8s.io/kubernetes/pkg/apis/discovery/v1"
	_ "k8s.io/kubernetes/pkg/apis/events/v1"
	_ "k8s.io/kubernetes/pkg/apis/extensions/v1beta1"
	_ "k8s.io/kubernetes/pkg/apis/flowcontrol/v1"
	_ "k8s.io/kubernetes/pkg/apis/networking/v1"
	_ "k8s.io/kubernetes/pkg/apis/node/v1"
	_ "k8s.io/kubernetes/pkg/apis/policy/v1"
	_ "k8s.io/kubernetes/pkg/apis/rbac/v1"
	_ "k8s.io/kubernetes/pkg/apis/resource/v1"
	_ "k8s.io/kubernetes/pkg/apis/scheduling/v1"
	_ "k8s.io/kubernetes/pkg/apis/storage/v1"
)

// Scheme knows every type, its defaults, conversions and field labels. It is
// built once and must not be changed.
//
// Each type of a stored version is registered a second time as its group's
// internal version, so that the handlers of k8s.io/apiserver, which work on
// internal objects, need no conversion.
func Scheme() *runtime.Scheme { return buildScheme() }

// Codecs are the serializers of the scheme: JSON, YAML and protobuf.
func Codecs() serializer.CodecFactory { return buildCodecs() }

// ParameterCodec decodes query parameters into the scheme's options types.
func ParameterCodec() runtime.ParameterCodec { return buildParameterCodec() }

var (
	buildScheme = sync.OnceValue(newScheme)
	buildCodecs = sync.OnceValue(func() serializer.CodecFactory {
		return serializer.NewCodecFactory(Scheme(),
			serializer.WithStreamingCollectionEncodingToJSON(),
			serializer.WithStreamingCollectionEncodingToProtobuf())
	})
	buildParameterCodec = sync.OnceValue(func() runtime.ParameterCodec {
		return runtime.NewParameterCodec(Scheme())
	})
)

// apiGroup is one API group: the version whose types are stored, and the other
// versions that are served by conversion, the preferred version first.
type apiGroup struct {
	stored schema.GroupVersion
	other  []schema.GroupVersion
	add    []func(*runtime.Scheme) error
}

func apiGroups() []apiGroup {
	type adders = []func(*runtime.Scheme) error
	return []apiGroup{
		{stored: corev1.SchemeGroupVersion, add: adders{corev1.AddToScheme}},
		{
			stored: appsv1.SchemeGroupVersion,
			other:  []schema.GroupVersion{appsv1beta2.SchemeGroupVersion, appsv1beta1.SchemeGroupVersion},
			add:    adders{appsv1.AddToScheme, appsv1beta2.AddToScheme, appsv1beta1.AddToScheme, addAppsConversions},
		},
		{
			stored: batchv1.SchemeGroupVersion,
			other:  []schema.GroupVersion{batchv1beta1.SchemeGroupVersion},
			add:    adders{batchv1.AddToScheme, batchv1beta1.AddToScheme, addCronJobConversions},
		},
		{stored: authenticationv1.SchemeGroupVersion, add: adders{authenticationv1.AddToScheme}},
		{stored: policyv1.SchemeGroupVersion, add: adders{policyv1.AddToScheme}},
		{stored: rbacv1.SchemeGroupVersion, add: adders{rbacv1.AddToScheme}},
		{stored: discoveryv1.SchemeGroupVersion, add: adders{discoveryv1.AddToScheme}},
		{stored: certificatesv1.SchemeGroupVersion, add: adders{certificatesv1.AddToScheme}},
		{stored: coordinationv1.SchemeGroupVersion, add: adders{coordinationv1.AddToScheme}},
		{stored: schedulingv1.SchemeGroupVersion, add: adders{schedulingv1.AddToScheme}},
		{stored: networkingv1.SchemeGroupVersion, add: adders{networkingv1.AddToScheme}},
		{stored: nodev1.SchemeGroupVersion, add: adders{nodev1.AddToScheme}},
		{stored: storagev1.SchemeGroupVersion, add: adders{storagev1.AddToScheme}},
		{stored: extv1.SchemeGroupVersion, add: adders{extv1.AddToScheme}},
		{stored: arv1.SchemeGroupVersion, add: adders{arv1.AddToScheme}},
		{stored: flowcontrolv1.SchemeGroupVersion, add: adders{flowcontrolv1.AddToScheme}},
		{stored: resourcev1.SchemeGroupVersion, add: adders{resourcev1.AddToScheme}},
	}
}

func newScheme() *runtime.Scheme {
	// Upstream's validation refuses privileged containers unless told otherwise
	// (kube-apiserver --allow-privileged), once and for the whole process.
	capabilities.Setup(true, 0)
	s := runtime.NewScheme()
	for _, g := range apiGroups() {
		for _, add := range g.add {
			utilruntime.Must(add(s))
		}
		addInternal(s, g.stored)
		utilruntime.Must(s.SetVersionPriority(append([]schema.GroupVersion{g.stored}, g.other...)...))
	}
	utilruntime.Must(addAutoscalingGroup(s))
	utilruntime.Must(addEventsGroup(s))
	utilruntime.Must(addExtensionsGroup(s))
	return s
}

// addInternal registers the types of a stored version as its group's internal
// version too.
func addInternal(s *runtime.Scheme, gv schema.GroupVersion) {
	internal := schema.GroupVersion{Group: gv.Group, Version: runtime.APIVersionInternal}
	for kind, t := range s.KnownTypes(gv) {
		if !strings.HasPrefix(t.PkgPath(), "k8s.io/api/") && !strings.HasPrefix(t.PkgPath(), "k8s.io/apiextensions-apiserver/") {
			continue // metav1's options and watch events are registered for every version
		}
		s.AddKnownTypeWithName(internal.WithKind(kind), reflect.New(t).Interface().(runtime.Object))
	}
}

// addEventsGroup serves events.k8s.io/v1 from the same storage as core/v1
// events: its internal type is the core one.
func addEventsGroup(s *runtime.Scheme) error {
	if err := eventsv1.AddToScheme(s); err != nil {
		return err
	}
	internal := schema.GroupVersion{Group: eventsv1.GroupName, Version: runtime.APIVersionInternal}
	s.AddKnownTypes(internal, &corev1.Event{}, &corev1.EventList{})
	if err := addEventConversions(s); err != nil {
		return err
	}
	return s.SetVersionPriority(eventsv1.SchemeGroupVersion)
}

// addExtensionsGroup serves extensions/v1beta1, where workloads lived before there was a group
// apps, from the storage of apps/v1.
func addExtensionsGroup(s *runtime.Scheme) error {
	if err := extensionsv1beta1.AddToScheme(s); err != nil {
		return err
	}
	internal := schema.GroupVersion{Group: extensionsv1beta1.GroupName, Version: runtime.APIVersionInternal}
	s.AddKnownTypes(internal, &appsv1.DaemonSet{}, &appsv1.DaemonSetList{}, &appsv1.Deployment{}, &appsv1.DeploymentList{},
		&appsv1.ReplicaSet{}, &appsv1.ReplicaSetList{})
	if err := addExtensionsConversions(s); err != nil {
		return err
	}
	return s.SetVersionPriority(extensionsv1beta1.SchemeGroupVersion)
}
