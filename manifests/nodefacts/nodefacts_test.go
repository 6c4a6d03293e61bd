package nodefacts_test

import (
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"skiff/manifests/nodefacts"
)

func TestInternalIP(t *testing.T) {
	for name, c := range map[string]struct {
		addresses []corev1.NodeAddress
		want      netip.Addr
	}{
		"none told":         {nil, netip.Addr{}},
		"a name only":       {[]corev1.NodeAddress{{Type: corev1.NodeHostName, Address: "10.0.0.1"}}, netip.Addr{}},
		"the first that is": {[]corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "?"}, {Type: corev1.NodeInternalIP, Address: "10.0.0.2"}}, netip.MustParseAddr("10.0.0.2")},
	} {
		t.Run(name, func(t *testing.T) {
			n := &corev1.Node{Status: corev1.NodeStatus{Addresses: c.addresses}}
			if got := nodefacts.InternalIP(n); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}
