package ingress

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"skiff/network/protocol"
)

// read makes objects of a kind from "namespace/name: {spec}" lines of YAML, in the order of their age.
func read[T any](t *testing.T, text string, set func(meta metav1.ObjectMeta, spec []byte) *T) []*T {
	t.Helper()
	var out []*T
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		name, spec, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok {
			continue
		}
		namespace, name, _ := strings.Cut(name, "/")
		out = append(out, set(metav1.ObjectMeta{
			Namespace: namespace, Name: name, UID: types.UID(fmt.Sprint(namespace, name)), CreationTimestamp: metav1.NewTime(time.Unix(int64(i), 0)),
		}, []byte(spec)))
	}
	return out
}

func into(t *testing.T, raw []byte, spec any) {
	t.Helper()
	if err := yaml.UnmarshalStrict(raw, spec); err != nil {
		t.Fatal(err)
	}
}

func TestPlan(t *testing.T) {
	classes := []*networkingv1.IngressClass{
		{ObjectMeta: metav1.ObjectMeta{Name: "skiff"}, Spec: networkingv1.IngressClassSpec{Controller: Controller}},
		{ObjectMeta: metav1.ObjectMeta{Name: "other"}, Spec: networkingv1.IngressClassSpec{Controller: "example.org/other"}},
	}
	const web = "default/web: {clusterIP: 10.9.0.7, ports: [{name: http, port: 80}]}"
	const serviceRule = `rules: [{host: shop.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]`
	const own = "web.default.localhost prefix / -> default/web: [10.9.0.7:80]\nweb.localhost prefix / -> default/web: [10.9.0.7:80]"
	for _, c := range []struct{ name, services, ingresses, want string }{
		{"services by name", web + "\nshop/api: {clusterIP: 10.9.0.8, ports: [{name: metrics, port: 9090}, {name: grpc, port: 50051}]}\nkube-system/kube-dns: {clusterIP: 10.9.0.10, ports: [{port: 53}]}", "", `
api.localhost prefix / -> shop/api: [10.9.0.8:50051] h2c
api.shop.localhost prefix / -> shop/api: [10.9.0.8:50051] h2c
` + own},
		{"one name in two namespaces", "a/web: {clusterIP: 10.9.0.7, ports: [{port: 8080}]}\nb/web: {clusterIP: 10.9.0.8, ports: [{port: 8443}]}", "", `
web.a.localhost prefix / -> a/web: [10.9.0.7:8080]
web.b.localhost prefix / -> b/web: [10.9.0.8:8443] https`},
		{"not for HTTP", "default/dns: {clusterIP: 10.9.0.7, ports: [{port: 53, protocol: UDP}]}\ndefault/alias: {type: ExternalName, externalName: a.example, ports: [{port: 80}]}", "", ""},
		{"headless", "default/db: {clusterIP: None, ports: [{name: http, port: 80}]}", "", `
db.default.localhost prefix / -> default/db: [10.9.1.2:80]
db.localhost prefix / -> default/db: [10.9.1.2:80]`},
		{"an Ingress", web, "default/shop: {ingressClassName: skiff, " + serviceRule + "}", `
shop.example prefix / -> default/web: [10.9.0.7:80]
` + own},
		{"another class", web, "default/shop: {ingressClassName: other, " + serviceRule + "}", own},
		{"a class that is nobody's", web, "default/shop: {ingressClassName: nginx, " + serviceRule + "}", own + "\ndefault/shop: nobody's"},
		{"the elder wins", web, "default/one: {ingressClassName: skiff, " + serviceRule + "}\ndefault/two: {ingressClassName: skiff, rules: [{host: Shop.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: gone, port: {number: 1}}}}, {path: /x/, pathType: Prefix, backend: {service: {name: web, port: {name: http}}}}, {path: /x, pathType: Exact, backend: {service: {name: web, port: {name: http}}}}]}}]}", `
shop.example prefix / -> default/web: [10.9.0.7:80]
shop.example prefix /x -> default/web: [10.9.0.7:80]
shop.example exact /x -> default/web: [10.9.0.7:80]
` + own + `
default/two: BackendNotFound: service default/gone does not exist`},
		{"wrong port, and a default", web, "default/shop: {ingressClassName: skiff, defaultBackend: {service: {name: web, port: {number: 80}}}, rules: [{host: web.localhost, http: {paths: [{path: /a, pathType: Prefix, backend: {service: {name: web, port: {name: admin}}}}]}}]}", `
* prefix / -> default/web: [10.9.0.7:80]
web.default.localhost prefix / -> default/web: [10.9.0.7:80]
web.localhost prefix /a -> default/web: 503 service default/web has no port admin
web.localhost prefix / -> default/web: [10.9.0.7:80]
default/shop: BackendNotFound: service default/web has no port admin`},
		{"a secret that is not there", web, "default/shop: {ingressClassName: skiff, tls: [{hosts: [shop.example], secretName: none}], " + serviceRule + "}", `
shop.example prefix / -> default/web: [10.9.0.7:80]
` + own + `
default/shop: CertificateInvalid: secret default/none: does not exist: skiff's own authority issues the certificate`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var issued []string
			p, err := makePlan(snapshot{
				classes: classes,
				services: read(t, c.services, func(meta metav1.ObjectMeta, spec []byte) *corev1.Service {
					s := &corev1.Service{ObjectMeta: meta}
					into(t, spec, &s.Spec)
					return s
				}),
				ingresses: read(t, c.ingresses, func(meta metav1.ObjectMeta, spec []byte) *networkingv1.Ingress {
					i := &networkingv1.Ingress{ObjectMeta: meta}
					into(t, spec, &i.Spec)
					return i
				}),
				endpoints: func(_ *corev1.Service, p *corev1.ServicePort) []netip.AddrPort {
					return []netip.AddrPort{netip.AddrPortFrom(netip.MustParseAddr("10.9.1.2"), uint16(p.Port))}
				},
				secret: func(string, string) *corev1.Secret { return nil },
				issue: func(names []string) (protocol.Certificate, error) {
					issued = append(issued, names...)
					return protocol.Certificate{}, nil
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := p.String(); got != strings.TrimSpace(c.want) {
				t.Errorf("got\n%s\nwant%s", got, c.want)
			}
			if strings.Contains(c.ingresses, "tls") != strings.Contains(fmt.Sprint(issued), "shop.example") {
				t.Errorf("issued for %v", issued)
			}
		})
	}
}

// TestCertificateNames: single names under localhost stand in certificates themselves, for a wildcard
// there is taken by no browser; and no certificate has too many names.
func TestCertificateNames(t *testing.T) {
	var services []*corev1.Service
	for i := range 450 {
		namespace := corev1.NamespaceDefault
		if i >= 440 {
			namespace = "shop"
		}
		s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("web-%03d", i)}}
		s.Spec.ClusterIP, s.Spec.Ports = "10.9.0.7", []corev1.ServicePort{{Port: 80}}
		services = append(services, s)
	}
	var issued [][]string
	_, err := makePlan(snapshot{services: services, issue: func(names []string) (protocol.Certificate, error) {
		issued = append(issued, names)
		return protocol.Certificate{}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, names := range issued {
		if len(names) > certificateNames {
			t.Errorf("%d names in a certificate", len(names))
		}
		all = append(all, names...)
	}
	if len(all) != 450+3 {
		t.Errorf("%d names in certificates, want the services' and three more", len(all))
	}
	for _, want := range []string{"localhost", "*.default.localhost", "*.shop.localhost", "web-000.localhost", "web-449.localhost"} {
		if !slices.Contains(all, want) {
			t.Errorf("%s is missing", want)
		}
	}
}
