package registry_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"skiff/manifests"
	"skiff/manifests/registry"
	"skiff/store"
)

func service(name string, change ...func(*corev1.ServiceSpec)) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "kubia"},
			Ports:    []corev1.ServicePort{{Name: "http", Port: 80}},
		},
	}
	for _, c := range change {
		c(&s.Spec)
	}
	return s
}

func nodePort(s *corev1.ServiceSpec) { s.Type = corev1.ServiceTypeNodePort }

func address(ip string) func(*corev1.ServiceSpec) {
	return func(s *corev1.ServiceSpec) { s.ClusterIP = ip }
}

func port(number int32) func(*corev1.ServiceSpec) {
	return func(s *corev1.ServiceSpec) { s.Ports[0].NodePort = number }
}

// describe is what was allocated for a service.
func describe(s *corev1.Service) string {
	var text []string
	if len(s.Spec.ClusterIPs) > 0 || s.Spec.ClusterIP != "" {
		text = append(text, s.Spec.ClusterIP, fmt.Sprint(s.Spec.ClusterIPs))
	}
	if s.Spec.IPFamilyPolicy != nil {
		text = append(text, string(*s.Spec.IPFamilyPolicy), fmt.Sprint(s.Spec.IPFamilies))
	}
	for _, p := range s.Spec.Ports {
		if p.NodePort != 0 {
			text = append(text, fmt.Sprintf("%s:%d", p.Name, p.NodePort))
		}
	}
	if s.Spec.HealthCheckNodePort != 0 {
		text = append(text, fmt.Sprintf("health:%d", s.Spec.HealthCheckNodePort))
	}
	return strings.Join(text, " ")
}

func TestServiceAllocation(t *testing.T) {
	for _, test := range []struct {
		name    string
		service *corev1.Service
		want    string
	}{
		{"address", service("s"), "10.96.1.2 [10.96.1.2] SingleStack [IPv4]"},
		{"address asked for", service("s", address("10.96.0.10")), "10.96.0.10 [10.96.0.10] SingleStack [IPv4]"},
		{"node port", service("s", nodePort), "10.96.1.2 [10.96.1.2] SingleStack [IPv4] http:30087"},
		{"node port asked for", service("s", nodePort, port(31000)), "10.96.1.2 [10.96.1.2] SingleStack [IPv4] http:31000"},
		{"one node port for two protocols", service("s", nodePort, func(s *corev1.ServiceSpec) {
			s.Ports = append(s.Ports, corev1.ServicePort{Name: "quic", Port: 80, Protocol: corev1.ProtocolUDP}, corev1.ServicePort{Name: "other", Port: 81})
		}), "10.96.1.2 [10.96.1.2] SingleStack [IPv4] http:30087 quic:30087 other:30088"},
		{"load balancer", service("s", func(s *corev1.ServiceSpec) {
			s.Type, s.ExternalTrafficPolicy = corev1.ServiceTypeLoadBalancer, corev1.ServiceExternalTrafficPolicyLocal
		}), "10.96.1.2 [10.96.1.2] SingleStack [IPv4] http:30087 health:30088"},
		{"load balancer without node ports", service("s", func(s *corev1.ServiceSpec) {
			s.Type, s.AllocateLoadBalancerNodePorts = corev1.ServiceTypeLoadBalancer, ptr.To(false)
		}), "10.96.1.2 [10.96.1.2] SingleStack [IPv4]"},
		{"headless", service("s", address("None")), "None [None] SingleStack [IPv4]"},
		{"headless without a selector", service("s", address("None"), func(s *corev1.ServiceSpec) { s.Selector = nil }), "None [None] RequireDualStack [IPv4 IPv6]"},
		{"prefers two families", service("s", func(s *corev1.ServiceSpec) { s.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicyPreferDualStack) }), "10.96.1.2 [10.96.1.2] PreferDualStack [IPv4]"},
		{"external name", service("s", func(s *corev1.ServiceSpec) {
			*s = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "example.com"}
		}), ""},
		{"address taken", service("s", address("10.96.1.1")), `Service "s" is invalid: spec.clusterIPs: Invalid value: ["10.96.1.1"]: failed to allocate IP 10.96.1.1: provided IP is already allocated`},
		{"address elsewhere", service("s", address("10.1.0.1")), `Service "s" is invalid: spec.clusterIPs: Invalid value: ["10.1.0.1"]: failed to allocate IP 10.1.0.1: the provided network does not match the current range`},
		{"the network's address", service("s", address("10.96.0.0")), `Service "s" is invalid: spec.clusterIPs: Invalid value: ["10.96.0.0"]: failed to allocate IP 10.96.0.0: the provided network does not match the current range`},
		{"the broadcast address", service("s", address("10.96.255.255")), `Service "s" is invalid: spec.clusterIPs: Invalid value: ["10.96.255.255"]: failed to allocate IP 10.96.255.255: the provided network does not match the current range`},
		{"node port taken", service("s", nodePort, port(30086)), `Service "s" is invalid: spec.ports[0].nodePort: Invalid value: 30086: provided port is already allocated`},
		{"node port elsewhere", service("s", nodePort, port(80)), `Service "s" is invalid: spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767`},
		{"requires two families", service("s", func(s *corev1.ServiceSpec) { s.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicyRequireDualStack) }), `Service "s" is invalid: spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services`},
		{"the other family", service("s", func(s *corev1.ServiceSpec) { s.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol} }), `Service "s" is invalid: spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster`},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := open(t)
			f.create(service("taken", address("10.96.1.1"), nodePort, port(30086)))
			created, err := f.tryCreate(test.service)
			if err != nil {
				wantError(t, err, test.want)
				return
			}
			if got := describe(created.(*corev1.Service)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestServiceUpdates(t *testing.T) {
	f := open(t)
	f.create(service("s", nodePort))
	bare := func(change ...func(*corev1.ServiceSpec)) registry.ChangeFunc {
		return func(store.Object) (store.Object, error) {
			s := service("s", change...)
			manifests.Scheme().Default(s)
			return s, nil
		}
	}
	for _, step := range []struct {
		name   string
		change registry.ChangeFunc
		want   string
	}{
		{"the same manifest again", bare(nodePort), "10.96.1.1 [10.96.1.1] SingleStack [IPv4] http:30086"},
		{"a port renamed", bare(nodePort, func(s *corev1.ServiceSpec) { s.Ports[0].Name = "web" }), "10.96.1.1 [10.96.1.1] SingleStack [IPv4] web:30086"},
		{"a further port", bare(nodePort, func(s *corev1.ServiceSpec) {
			s.Ports[0].Name = "web"
			s.Ports = append(s.Ports, corev1.ServicePort{Name: "b", Port: 81})
		}), "10.96.1.1 [10.96.1.1] SingleStack [IPv4] web:30086 b:30087"},
		{"another address", bare(nodePort, address("10.96.0.77")), `Service "s" is invalid: spec.clusterIPs[0]: Invalid value: ["10.96.0.77"]: may not change once set`},
		{"no node ports any more", bare(), "10.96.1.1 [10.96.1.1] SingleStack [IPv4]"},
		{"an external name", bare(func(s *corev1.ServiceSpec) {
			*s = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "example.com"}
		}), ""},
		{"an address again", bare(), "10.96.1.2 [10.96.1.2] SingleStack [IPv4]"},
	} {
		got, _, err := f.resource("services").Update(f.ctx, "default", "s", step.change, registry.UpdateOptions{})
		if err != nil {
			wantError(t, err, step.want)
			continue
		}
		if text := describe(got.(*corev1.Service)); text != step.want {
			t.Errorf("%s:\n got %q\nwant %q", step.name, text, step.want)
		}
	}
}

func TestServicesGetDifferentAddressesAtOnce(t *testing.T) {
	f := open(t)
	var writers sync.WaitGroup
	for i := range 30 {
		writers.Go(func() {
			if _, err := f.tryCreate(service(fmt.Sprint("s", i), nodePort)); err != nil {
				t.Error(err)
			}
		})
	}
	writers.Wait()
	seen := map[any]bool{}
	for _, s := range registry.For[*corev1.Service](f.Registry).List("", nil) {
		seen[s.Spec.ClusterIP], seen[s.Spec.Ports[0].NodePort] = true, true
	}
	if len(seen) != 60 {
		t.Errorf("%d addresses and ports for 30 services", len(seen))
	}
}

func TestAddressesRunOut(t *testing.T) {
	f := open(t)
	f.setRange("10.0.0.0/29", nil)
	for i := range 5 {
		if got := f.create(service(fmt.Sprint("s", i))).(*corev1.Service).Spec.ClusterIP; got != fmt.Sprintf("10.0.0.%d", i+2) {
			t.Errorf("service %d got %s", i, got)
		}
	}
	_, err := f.tryCreate(service("more"))
	wantError(t, err, `Internal error occurred: failed to allocate a serviceIP for Service "more": range is full`)
	f.remove("services", "default", "s2")
	if got := f.create(service("again")).(*corev1.Service).Spec.ClusterIP; got != "10.0.0.4" {
		t.Errorf("the address that was given up: %s", got)
	}
}
