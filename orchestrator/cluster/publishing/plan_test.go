package publishing

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"skiff/network/publish"
)

func TestPlan(t *testing.T) {
	loopback, inside, node := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("10.9.24.2")
	for _, c := range []struct {
		name, spec   string
		inside, node netip.Addr
		want         string
	}{
		{"within the cluster", `{type: ClusterIP, clusterIP: 10.9.48.7, ports: [{port: 80}]}`, netip.Addr{}, node, ""},
		{"headless", `{clusterIP: None, ports: [{port: 80}]}`, netip.Addr{}, node, ""},
		{"an alias", `{type: ExternalName, externalName: a.example}`, netip.Addr{}, node, ""},
		{"node port", `{type: NodePort, clusterIP: 10.9.48.7, ports: [{port: 80, protocol: TCP, nodePort: 30080}, {port: 53, protocol: UDP, nodePort: 30053}]}`, netip.Addr{}, node, `
tcp 127.0.0.1:30080 -> 10.9.24.2:30080
udp 127.0.0.1:30053 -> 10.9.24.2:30053`},
		{"node port, the network is not known", `{type: NodePort, clusterIP: 10.9.48.7, ports: [{port: 80, protocol: TCP, nodePort: 30080}]}`, netip.Addr{}, netip.Addr{}, `
tcp 127.0.0.1:30080 -> 10.9.48.7:80`},
		{"load balancer", `{type: LoadBalancer, clusterIP: 10.9.48.7, ports: [{port: 80, protocol: TCP, nodePort: 30080}]}`, netip.Addr{}, node, `
tcp 127.0.0.1:30080 -> 10.9.24.2:30080
tcp 127.0.0.1:80 -> 10.9.24.2:30080`},
		{"load balancer without node ports", `{type: LoadBalancer, clusterIP: 10.9.48.7, ports: [{port: 80, protocol: TCP}]}`, netip.Addr{}, node, `
tcp 127.0.0.1:80 -> 10.9.48.7:80`},
		{"another's load balancer", `{type: LoadBalancer, loadBalancerClass: metal.example/lb, clusterIP: 10.9.48.7, ports: [{port: 80, protocol: TCP, nodePort: 30080}]}`, netip.Addr{}, node, `
tcp 127.0.0.1:30080 -> 10.9.24.2:30080`},
		{"found by pods", `{type: LoadBalancer, clusterIP: 10.9.48.7, externalTrafficPolicy: Local, healthCheckNodePort: 31000, ports: [{port: 80, protocol: TCP, nodePort: 30080}]}`, inside, node, `
tcp 127.0.0.1:30080 -> 10.9.24.2:30080
tcp 10.9.0.1:30080 -> 10.9.24.2:30080
tcp 127.0.0.1:80 -> 10.9.24.2:30080
tcp 127.0.0.1:31000 -> 10.9.24.2:31000
tcp 10.9.0.1:31000 -> 10.9.24.2:31000`},
		{"its own node port", `{type: LoadBalancer, clusterIP: 10.9.48.7, ports: [{port: 30080, protocol: TCP, nodePort: 30080}]}`, netip.Addr{}, node, `
tcp 127.0.0.1:30080 -> 10.9.24.2:30080`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s corev1.Service
			if err := yaml.UnmarshalStrict([]byte(c.spec), &s.Spec); err != nil {
				t.Fatal(err)
			}
			if got := makePlan(snapshot{&s, loopback, c.inside, c.node}).String(); got != strings.TrimSpace(c.want) {
				t.Errorf("got\n%s\nwant%s", got, c.want)
			}
		})
	}
}

func TestBalancerStatus(t *testing.T) {
	var s corev1.Service
	if err := yaml.UnmarshalStrict([]byte(`{type: LoadBalancer, clusterIP: 10.9.48.7, ports: [{port: 80, protocol: TCP}, {port: 81, protocol: TCP}, {port: 82, protocol: SCTP}]}`), &s.Spec); err != nil {
		t.Fatal(err)
	}
	loopback := netip.MustParseAddr("127.0.0.1")
	ports := makePlan(snapshot{service: &s, at: loopback})
	for _, c := range []struct {
		name          string
		first, second error
		want          string
	}{
		{"all open", nil, nil, `{"ingress":[{"ip":"127.0.0.1","ipMode":"Proxy","ports":[{"port":80,"protocol":"TCP"},{"port":81,"protocol":"TCP"},{"port":82,"protocol":"SCTP","error":"SCTPNotSupported"}]}]}`},
		{"one is taken", nil, publish.ErrTaken, `{"ingress":[{"ip":"127.0.0.1","ipMode":"Proxy","ports":[{"port":80,"protocol":"TCP"},{"port":81,"protocol":"TCP","error":"PortNotPublished"},{"port":82,"protocol":"SCTP","error":"SCTPNotSupported"}]}]}`},
		{"none is open", publish.ErrTaken, errors.New("x"), `{}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := json.Marshal(balancerStatus(&s, loopback, []publish.Result{{Port: ports[0], Err: c.first}, {Port: ports[1], Err: c.second}}))
			if err != nil || string(got) != c.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, c.want)
			}
		})
	}
}
