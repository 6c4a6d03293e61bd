package probe

import (
	"context"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// TestNetworkIsDown: a container that can't be reached from here, whatever it does, is not to blame.
func TestNetworkIsDown(t *testing.T) {
	dial := func(context.Context, string, string) (net.Conn, error) {
		return nil, fmt.Errorf("dial: %w", syscall.ENETDOWN)
	}
	port := intstr.FromInt32(80)
	for name, h := range map[string]corev1.ProbeHandler{
		"tcp":   {TCPSocket: &corev1.TCPSocketAction{Port: port}},
		"http":  {HTTPGet: &corev1.HTTPGetAction{Port: port}},
		"https": {HTTPGet: &corev1.HTTPGetAction{Port: port, Scheme: corev1.URISchemeHTTPS}},
	} {
		c := Container{Host: "10.0.0.1", Liveness: &corev1.Probe{ProbeHandler: h}}
		ask, _ := newBuilder("1.37", dial).build(&c, Liveness)
		if got := ask.ask(t.Context(), time.Second); got.outcome != Unknown || got.err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
