package routes

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"
)

// sliceOf reads endpoints, one a word: "10.0.0.2@a", then with "-" not ready, "~" draining, "^a"
// hinted to node a, "%z" to zone z, "=name" of a hostname.
func sliceOf(t *testing.T, ports []corev1.ServicePort, text string) *discoveryv1.EndpointSlice {
	t.Helper()
	s := &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4}
	for _, p := range ports {
		port := p.TargetPort.IntVal
		if port == 0 {
			port = p.Port
		}
		s.Ports = append(s.Ports, discoveryv1.EndpointPort{Name: ptr.To(p.Name), Protocol: ptr.To(protocolOf(&p)), Port: ptr.To(port)})
	}
	for _, word := range strings.Fields(text) {
		e := discoveryv1.Endpoint{Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)}}
		rest := word
		for i := strings.LastIndexAny(rest, "@-~^%="); i >= 0; i = strings.LastIndexAny(rest, "@-~^%=") {
			mark, value := rest[i], rest[i+1:]
			rest = rest[:i]
			switch mark {
			case '@':
				e.NodeName = ptr.To(value)
			case '-':
				e.Conditions = discoveryv1.EndpointConditions{Ready: ptr.To(false), Serving: ptr.To(false), Terminating: ptr.To(false)}
			case '~':
				e.Conditions = discoveryv1.EndpointConditions{Ready: ptr.To(false), Serving: ptr.To(true), Terminating: ptr.To(true)}
			case '^':
				e.Hints = &discoveryv1.EndpointHints{ForNodes: []discoveryv1.ForNode{{Name: value}}}
			case '%':
				e.Hints = &discoveryv1.EndpointHints{ForZones: []discoveryv1.ForZone{{Name: value}}}
			case '=':
				e.Hostname = ptr.To(value)
			}
		}
		e.Addresses = []string{rest}
		s.Endpoints = append(s.Endpoints, e)
	}
	return s
}

// TestNames: a service has the further names that its annotation gives it.
func TestNames(t *testing.T) {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", Annotations: map[string]string{"skiff/names": "My_Web, www,a.b,-x"}}}
	s.Spec.ClusterIP = "10.9.0.7"
	want := `at 10.9.0.7
also my_web
also www
refuse: NameNotServed: annotation skiff/names: "a.b" is not one label of letters, digits, dashes and underscores
refuse: NameNotServed: annotation skiff/names: "-x" is not one label of letters, digits, dashes and underscores`
	if got := makePlan(snapshot{service: s}).String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestPlan(t *testing.T) {
	const web = `{clusterIP: 10.9.0.7, ports: [{name: http, port: 80, targetPort: 8080}]}`
	const two = "10.9.0.2@a 10.9.0.3@b"
	for _, c := range []struct{ name, spec, endpoints, want string }{
		{"plain", web, two, `
at 10.9.0.7
http tcp 80 -> 10.9.0.2:8080 10.9.0.3:8080`},
		{"no endpoints", web, "", `
at 10.9.0.7
http tcp 80 -> nothing`},
		{"not ready", web, "10.9.0.2@a 10.9.0.3-@b", `
at 10.9.0.7
http tcp 80 -> 10.9.0.2:8080`},
		{"one ends", web, "10.9.0.2@a 10.9.0.3~@b", `
at 10.9.0.7
http tcp 80 -> 10.9.0.2:8080`},
		{"all end", web, "10.9.0.2~@a 10.9.0.3~@b", `
at 10.9.0.7
http tcp 80 -> 10.9.0.2:8080 10.9.0.3:8080`},
		{"headless", `{clusterIP: None, ports: [{port: 80}]}`, "10.9.0.3@a=web0 10.9.0.2@b 10.9.0.4-@b", `
headless
host 10.9.0.2
host web0 10.9.0.3
tcp 80 -> 10.9.0.2:80 10.9.0.3:80`},
		{"headless without ports", `{clusterIP: None}`, two, `
headless
host 10.9.0.2
host 10.9.0.3`},
		{"an alias", `{type: ExternalName, externalName: example.org., ports: [{port: 80}]}`, "", `
alias of example.org`},
		{"node port", `{type: NodePort, clusterIP: 10.9.0.7, ports: [{port: 53, protocol: UDP, nodePort: 30053}]}`, two, `
at 10.9.0.7
udp 53 node port 30053 -> 10.9.0.2:53 10.9.0.3:53`},
		{"node port, local", `{type: NodePort, clusterIP: 10.9.0.7, externalTrafficPolicy: Local, ports: [{port: 80, nodePort: 30080}]}`, "10.9.0.2@a 10.9.0.3@a~", `
at 10.9.0.7
tcp 80 node port 30080 -> 10.9.0.2:80; at b -> nothing`},
		{"load balancer, local", `{type: LoadBalancer, clusterIP: 10.9.0.7, externalTrafficPolicy: Local, healthCheckNodePort: 31000, ports: [{port: 80, nodePort: 30080}]}`, "10.9.0.2@a", `
at 10.9.0.7
tcp 80 node port 30080 -> 10.9.0.2:80; at b -> nothing
health check at 31000`},
		{"inside, local", `{clusterIP: 10.9.0.7, internalTrafficPolicy: Local, ports: [{port: 80}]}`, "10.9.0.2@a", `
at 10.9.0.7
tcp 80 -> 10.9.0.2:80; from b -> nothing`},
		{"by hints for nodes", `{clusterIP: 10.9.0.7, ports: [{port: 80}]}`, "10.9.0.2@a^a 10.9.0.3@b^b 10.9.0.4@b^b", `
at 10.9.0.7
tcp 80 -> 10.9.0.2:80 10.9.0.3:80 10.9.0.4:80; from a -> 10.9.0.2:80; from b -> 10.9.0.3:80 10.9.0.4:80`},
		{"hints for some", `{clusterIP: 10.9.0.7, ports: [{port: 80}]}`, "10.9.0.2@a^a 10.9.0.3@b", `
at 10.9.0.7
tcp 80 -> 10.9.0.2:80 10.9.0.3:80`},
		{"hints for zones", `{clusterIP: 10.9.0.7, ports: [{port: 80}]}`, "10.9.0.2@a%east 10.9.0.3@b%east", `
at 10.9.0.7
tcp 80 -> 10.9.0.2:80 10.9.0.3:80`},
		{"affinity", `{clusterIP: 10.9.0.7, sessionAffinity: ClientIP, externalIPs: [192.0.2.1], ports: [{port: 80}]}`, "10.9.0.2@a", `
at 10.9.0.7 192.0.2.1
affinity 3h0m0s
tcp 80 -> 10.9.0.2:80`},
		{"SCTP", `{clusterIP: 10.9.0.7, ports: [{name: a, port: 80}, {name: b, port: 81, protocol: SCTP}]}`, "10.9.0.2@a", `
at 10.9.0.7
a tcp 80 -> 10.9.0.2:80
refuse: SCTPNotSupported: port 81 is of protocol SCTP, which skiff does not forward: only TCP and UDP`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}}
			if err := yaml.UnmarshalStrict([]byte(c.spec), &s.Spec); err != nil {
				t.Fatal(err)
			}
			p := makePlan(snapshot{service: s, slices: []*discoveryv1.EndpointSlice{sliceOf(t, s.Spec.Ports, c.endpoints)}, nodes: []node{{"a", "east"}, {"b", "west"}}, machine: "a"})
			if got := p.String(); got != strings.TrimSpace(c.want) {
				t.Errorf("got\n%s\nwant%s", got, c.want)
			}
		})
	}
}
