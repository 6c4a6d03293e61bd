// Package podtest holds what the tests of the node agent's packages share: a pod as the API would
// have it, objects that pods refer to, and statuses as text.
package podtest

import (
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"
)

// UID is that of every pod made here.
const UID = "3f2a9c1e-0000-4000-8000-000000000001"

// Now and IP are the time and the pod's address in tests that fix them.
var (
	Now = time.Date(2030, 4, 1, 12, 0, 0, 0, time.UTC)
	IP  = netip.MustParseAddr("172.30.0.9")
)

// Pod is pod kubia on node here, with labels and annotations, made from a spec in YAML.
func Pod(t *testing.T, spec string) *corev1.Pod {
	t.Helper()
	pod := Bare(t, spec)
	pod.Labels = map[string]string{"app": "kubia", "tier": `a"b`}
	pod.Annotations = map[string]string{"example.com/note": "x"}
	return pod
}

// Bare is Pod without labels and annotations.
func Bare(t *testing.T, spec string) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "kubia", Namespace: "default", UID: UID, Generation: 1}}
	if err := yaml.UnmarshalStrict([]byte(spec), &pod.Spec); err != nil {
		t.Fatalf("pod: %v", err)
	}
	setDefaults(&pod.Spec)
	return pod
}

// setDefaults sets what the API would have set.
func setDefaults(spec *corev1.PodSpec) {
	spec.NodeName = "here"
	if spec.RestartPolicy == "" {
		spec.RestartPolicy = corev1.RestartPolicyAlways
	}
	if spec.TerminationGracePeriodSeconds == nil {
		spec.TerminationGracePeriodSeconds = ptr.To[int64](30)
	}
	for i := range spec.InitContainers {
		setPullPolicy(&spec.InitContainers[i].ImagePullPolicy)
	}
	for i := range spec.Containers {
		setPullPolicy(&spec.Containers[i].ImagePullPolicy)
	}
	for i := range spec.EphemeralContainers {
		setPullPolicy(&spec.EphemeralContainers[i].ImagePullPolicy)
	}
}

func setPullPolicy(p *corev1.PullPolicy) {
	if *p == "" {
		*p = corev1.PullIfNotPresent
	}
}
