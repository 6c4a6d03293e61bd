package spec

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/manifests/podfacts"
)

func TestWithGateway(t *testing.T) {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{podfacts.GatewayAnnotation: "host.docker.internal, machine,"}}}
	p.Spec.HostAliases = []corev1.HostAlias{{IP: "10.0.0.1", Hostnames: []string{"db"}}}
	const want = "\n# Entries added by HostAliases.\n10.0.0.1\tdb\n172.30.0.1\thost.docker.internal\tmachine\n"
	if got := AliasLines(WithGateway(p, "172.30.0.1")); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(p.Spec.HostAliases) != 1 {
		t.Error("the pod itself has been changed")
	}
	if WithGateway(p, "") != p || WithGateway(&corev1.Pod{}, "172.30.0.1").Spec.HostAliases != nil {
		t.Error("aliases without an address, or without names")
	}
}
