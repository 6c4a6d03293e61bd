package ownservices

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/orchestrator/cluster/backends"
	"skiff/orchestrator/cluster/endpoints"
	"skiff/orchestrator/cluster/endpointslicemirroring"
	"skiff/orchestrator/cluster/endpointslices"
	"skiff/orchestrator/internal/testbed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var address = netip.MustParseAddrPort("10.201.0.1:6443")

func TestPlan(t *testing.T) {
	there := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "kube-dns"}}
	s := snapshot{backend: DNS(), told: true}
	for _, m := range []struct {
		what   string
		change func()
		want   string
	}{
		{"no service", func() {}, ""},
		{"a service", func() { s.service = there },
			"create Endpoints: the service has none, where it leads is not known\ncreate slice: the service has none, where it leads is not known"},
		{"an address", func() { s.at = address }, "update Endpoints: it leads to 10.201.0.1:6443\nupdate slice: it leads to 10.201.0.1:6443"},
		{"somebody else wrote", func() { s.slice.Endpoints = nil }, "update slice: it leads to 10.201.0.1:6443"},
		{"another family", func() { s.at = netip.MustParseAddrPort("[fd00::1]:53") },
			"update Endpoints: it leads to [fd00::1]:53\ndelete slice: of another family, it leads to [fd00::1]:53"},
		{"and its slice", func() {}, "create slice: the service has none, it leads to [fd00::1]:53"},
		{"a selector", func() {
			s.service = there.DeepCopy()
			s.service.Spec.Selector = map[string]string{"app": "coredns"}
		}, "delete slice: the service selects pods"},
		{"none", func() { s.service = there }, "create slice: the service has none, it leads to [fd00::1]:53"},
		{"somebody else's slice", func() { s.slice.Labels["mine"] = ""; s.service = nil }, ""},
		{"ours", func() { delete(s.slice.Labels, "mine") }, "delete slice: there is no such service"},
	} {
		m.change()
		p := makePlan(s)
		if got := p.String(); got != m.want {
			t.Errorf("%s:\n%s\nwant\n%s", m.what, got, m.want)
		}
		if p.endpoints.verb != "" {
			s.endpoints = p.endpoints.want.DeepCopy()
		}
		if p.slice.verb != "" {
			s.slice = p.slice.want.DeepCopy()
		}
	}
}

// bed is a testbed on which all controllers of endpoints run.
type bed struct {
	*testbed.Bed
	*testing.T
}

// want compares the Endpoints of a Service and all its slices.
func (b bed) want(when, namespace, name, want string) {
	b.Helper()
	synctest.Wait()
	got := "no Endpoints"
	if e, ok := testbed.Get[*corev1.Endpoints](b.Bed, namespace, name); ok {
		got = fmt.Sprint(e.Labels)
		for _, s := range e.Subsets {
			got += fmt.Sprint(" ", s.Addresses[0].IP)
			for _, p := range s.Ports {
				got += fmt.Sprintf(" %s:%d/%s", p.Name, p.Port, p.Protocol)
			}
		}
	}
	for _, s := range testbed.List[*discoveryv1.EndpointSlice](b.Bed, namespace) {
		got += fmt.Sprint("; ", s.Labels, " ", backends.Step{Seen: s, Want: s})
	}
	if got != want {
		b.Errorf("%s:\n%s\nwant\n%s", when, got, want)
	}
}

func TestBackends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bed{testbed.New(t), t}
		testbed.Delete[*corev1.Service](b.Bed, "kube-system", "kube-dns")
		api, dns := API(), DNS()
		start := func() (stop func()) {
			return b.Bed.Run(New(Options{Env: b.Env(), Backends: []*Backend{api, dns}}).Run)
		}
		stop := start()
		b.Bed.Run(endpoints.New(endpoints.Options{Env: b.Env()}).Run)
		b.Bed.Run(endpointslices.New(endpointslices.Options{Env: b.Env()}).Run)
		b.Bed.Run(endpointslicemirroring.New(endpointslicemirroring.Options{Env: b.Env()}).Run)
		const marked = "map[endpointslice.kubernetes.io/skip-mirror:true]"
		const slice = "; map[kubernetes.io/service-name:kubernetes] update slice kubernetes to IPv4 "
		b.want("not known", "default", "kubernetes", marked+slice+"without ports []: ")
		api.Set(address)
		const led = marked + " 10.201.0.1 https:6443/TCP" + slice + "https:6443/TCP [10.201.0.1]: "
		b.want("known", "default", "kubernetes", led)
		testbed.Delete[*corev1.Endpoints](b.Bed, "default", "kubernetes")
		testbed.Delete[*discoveryv1.EndpointSlice](b.Bed, "default", "kubernetes")
		b.want("deleted", "default", "kubernetes", led)
		stop()
		api.Set(netip.MustParseAddrPort("[::ffff:10.201.0.2]:6443"))
		b.want("stopped", "default", "kubernetes", led)
		stop = start()
		b.want("started", "default", "kubernetes", marked+" 10.201.0.2 https:6443/TCP"+slice+"https:6443/TCP [10.201.0.2]: ")
		stop()
		led2 := marked + " 10.201.0.2 https:6443/TCP" + slice + "https:6443/TCP [10.201.0.2]: "
		api = API()
		stop = start()
		b.want("another daemon, which does not know yet", "default", "kubernetes", led2)
		api.Set(netip.AddrPort{})
		b.want("not known any more", "default", "kubernetes", marked+slice+"without ports []: ")

		dns.Set(netip.MustParseAddrPort("10.201.0.1:53"))
		b.want("no DNS", "kube-system", "kube-dns", "no Endpoints")
		testbed.Create(b.Bed, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-dns"},
			Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{
				{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP}, {Name: "dns-tcp", Port: 53, Protocol: corev1.ProtocolTCP},
			}},
		})
		b.want("DNS", "kube-system", "kube-dns", marked+" 10.201.0.1 dns:53/UDP dns-tcp:53/TCP; map[kubernetes.io/service-name:kube-dns] "+
			"update slice kube-dns to IPv4 dns:53/UDP,dns-tcp:53/TCP [10.201.0.1]: ")
		testbed.Delete[*corev1.Service](b.Bed, "kube-system", "kube-dns")
		b.want("no DNS any more", "kube-system", "kube-dns", "no Endpoints")
		stop()
	})
}
