package servicefacts

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func TestWebPort(t *testing.T) {
	for _, c := range []struct {
		ports string
		port  int32
		how   string
	}{
		{"[{port: 9090, name: metrics}, {port: 9000, name: http-admin}]", 9000, ""},
		{"[{port: 9090, name: metrics}, {port: 8080}]", 8080, ""},
		{"[{port: 8080}, {port: 9000, appProtocol: kubernetes.io/h2c}]", 9000, HTTP2},
		{"[{port: 8443}]", 8443, HTTPS},
		{"[{port: 5432}, {port: 5433}]", 5432, ""},
		{"[{port: 1, protocol: UDP}, {port: 2}]", 2, ""},
		{"[{port: 1}, {port: 2, targetPort: http}]", 2, ""},
		{"[{port: 1}, {port: 2, targetPort: grpc}]", 2, HTTP2},
		{"[{port: 1}, {port: 2, name: raw, targetPort: http}]", 1, ""}, // its own name says otherwise
		{"[{port: 1, protocol: UDP}]", 0, ""},
	} {
		s := &corev1.Service{}
		if err := yaml.UnmarshalStrict([]byte(c.ports), &s.Spec.Ports); err != nil {
			t.Fatal(err)
		}
		p, ok := WebPort(s)
		if !ok {
			p = &corev1.ServicePort{}
		}
		if p.Port != c.port || ok != (c.port != 0) || ok && Speaks(p) != c.how {
			t.Errorf("%s: got port %d, spoken to in %q, want %d in %q", c.ports, p.Port, Speaks(p), c.port, c.how)
		}
	}
}
