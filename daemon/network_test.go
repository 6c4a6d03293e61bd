package daemon

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"skiff/docker"
)

func TestNodeAddresses(t *testing.T) {
	layout, err := docker.Divide(netip.MustParsePrefix("10.0.0.0/26")) // the router at .25, nodes from .26 to .31
	if err != nil {
		t.Fatal(err)
	}
	stored := map[string]netip.Addr{"laptop": netip.MustParseAddr("10.0.0.28"), "elsewhere": netip.MustParseAddr("192.0.2.1")}
	e := &networkedEngine{nodeIP: func(name string) netip.Addr { return stored[name] }}
	want := func(name, address string) {
		t.Helper()
		if got := e.NodeAddress(name); got.IsValid() != (address != "") || got.IsValid() && got.String() != address {
			t.Errorf("%s has %s, want %s", name, got, address)
		}
	}
	want("laptop", "") // the network is not known
	e.learn(layout, nil)
	if err := e.pods.Reserve("a pod of before", netip.MustParseAddr("10.0.0.26")); err != nil {
		t.Fatal(err)
	}
	want("laptop", "10.0.0.28") // its object says so
	want("a", "10.0.0.27")
	want("a", "10.0.0.27")
	want("elsewhere", "10.0.0.29")
	stored["a"], stored["b"] = netip.MustParseAddr("10.0.0.27"), netip.MustParseAddr("10.0.0.28")
	want("b", "10.0.0.30") // that is the laptop's
	want("c", "10.0.0.31")
	delete(stored, "elsewhere")
	want("d", "10.0.0.29") // whose node is gone
}

// TestRouterMoves: in a network of before, the router may move. Addresses that pods have stay theirs.
func TestRouterMoves(t *testing.T) {
	layout, err := docker.Divide(netip.MustParsePrefix("10.0.0.0/26"))
	if err != nil {
		t.Fatal(err)
	}
	e := &networkedEngine{nodeIP: func(string) netip.Addr { return netip.Addr{} }}
	e.learn(layout, []docker.Container{
		{IP: netip.MustParseAddr("10.0.0.26")}, {IP: netip.MustParseAddr("10.0.0.5")}, {IP: netip.MustParseAddr("192.0.2.1")}, {},
	})
	if err := e.Reserve("one of shadows", netip.MustParseAddr("10.0.0.40")); err != nil {
		t.Fatal(err)
	}
	had, err := e.Allocate("pod")
	if err != nil {
		t.Fatal(err)
	}
	if got := e.NodeAddress("a").String(); got != "10.0.0.27" { // a pod of before has the one before
		t.Errorf("the node has %s", got)
	}
	layout.Router = netip.MustParseAddr("10.0.0.27")
	e.learn(layout, nil)
	if got := fmt.Sprint(e.Elsewhere()); got != "[10.0.0.26 10.0.0.40]" {
		t.Errorf("elsewhere are %s", got)
	}
	if err := e.Reserve("another", had); !errors.Is(err, docker.ErrConflict) {
		t.Errorf("the address of a pod is given away: %v", err)
	}
	if got := e.NodeAddress("a").String(); got != "10.0.0.25" {
		t.Errorf("the node has %s, want one that is not the router's", got)
	}
}

func TestServiceAddress(t *testing.T) {
	services := netip.MustParsePrefix("10.0.0.48/28")
	for _, test := range []struct{ has, want string }{
		{"10.0.0.58", "10.0.0.58"},
		{"10.0.0.51", "10.0.0.51"},  // the usual one was somebody else's
		{"10.96.0.10", "10.0.0.58"}, // it has not been moved yet
		{"None", "10.0.0.58"},
	} {
		s := &corev1.Service{Spec: corev1.ServiceSpec{ClusterIP: test.has}}
		if got := addressIn(services, s, 10).String(); got != test.want {
			t.Errorf("%s is %s, want %s", test.has, got, test.want)
		}
	}
	if got := addressIn(services, nil, 10).String(); got != "10.0.0.58" {
		t.Errorf("before there is one it is %s", got)
	}
}
