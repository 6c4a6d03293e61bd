package registry

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/manifests/serviceip"
)

func TestPlanOfRenumbering(t *testing.T) {
	now := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	cidr := func(change ...func(*networkingv1.ServiceCIDR)) *networkingv1.ServiceCIDR {
		c := &networkingv1.ServiceCIDR{Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.0.0.0/28"}}}
		c.Status.Conditions = []metav1.Condition{serviceip.IsReady(now)}
		for _, f := range change {
			f(c)
		}
		return c
	}
	for _, c := range []struct {
		name     string
		cidr     *networkingv1.ServiceCIDR
		services string // namespace/name=address
		kept     string
		want     string
	}{
		{"nothing to do", cidr(), "default/kubernetes=10.0.0.1 default/a=10.0.0.5 default/b=None", "", ""},
		{"the first start", nil, "", "", "set ServiceCIDR kubernetes to 10.0.0.0/28: there is none"},
		{"another range", cidr(func(c *networkingv1.ServiceCIDR) { c.Spec.CIDRs = []string{"10.1.0.0/24", "fd00::/112"} }), "default/a=10.1.0.1", "",
			"set ServiceCIDR kubernetes to 10.0.0.0/28: it is 10.1.0.0/24, fd00::/112\nmove Service default/a from 10.1.0.1 to 10.0.0.1: it is out of range"},
		{"not ready", cidr(func(c *networkingv1.ServiceCIDR) { c.Status.Conditions = nil }), "", "", "set ServiceCIDR kubernetes to 10.0.0.0/28: it is not ready"},
		{"being deleted", cidr(func(c *networkingv1.ServiceCIDR) { c.DeletionTimestamp = &now }), "", "",
			"set ServiceCIDR kubernetes to 10.0.0.0/28: it is being deleted"},
		{"well-known addresses come first", cidr(), "default/a=10.1.0.1 default/kubernetes=10.1.0.2 kube-system/kube-dns=10.1.0.3", "",
			"move Service default/kubernetes from 10.1.0.2 to 10.0.0.1: it is out of range\n" +
				"move Service kube-system/kube-dns from 10.1.0.3 to 10.0.0.10: it is out of range\n" +
				"move Service default/a from 10.1.0.1 to 10.0.0.2: it is out of range"},
		{"unless they are taken", cidr(), "default/a=10.0.0.1 default/kubernetes=10.1.0.2 kube-system/kube-dns=10.1.0.3", "10.0.0.10 10.0.0.2",
			"move Service default/kubernetes from 10.1.0.2 to 10.0.0.3: it is out of range\n" +
				"move Service kube-system/kube-dns from 10.1.0.3 to 10.0.0.4: it is out of range"},
		{"no address of a host", cidr(), "default/a=10.0.0.0 default/b=10.0.0.15", "",
			"move Service default/a from 10.0.0.0 to 10.0.0.1: it is out of range\nmove Service default/b from 10.0.0.15 to 10.0.0.2: it is out of range"},
		{"full", cidr(), "default/a=10.1.0.0 default/b=10.1.0.15",
			"10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5 10.0.0.6 10.0.0.7 10.0.0.8 10.0.0.9 10.0.0.10 10.0.0.11 10.0.0.12 10.0.0.13",
			"move Service default/a from 10.1.0.0 to 10.0.0.14: it is out of range\nleave Service default/b at 10.1.0.15: the range is full"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := rangeSnapshot{to: netip.MustParsePrefix("10.0.0.0/28"), cidr: c.cidr, kept: func(a netip.Addr) bool {
				return strings.Contains(" "+c.kept+" ", " "+a.String()+" ")
			}}
			for _, line := range strings.Fields(c.services) {
				name, address, _ := strings.Cut(line, "=")
				namespace, name, _ := strings.Cut(name, "/")
				s.services = append(s.services, &corev1.Service{
					ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
					Spec:       corev1.ServiceSpec{ClusterIP: address, ClusterIPs: []string{address}},
				})
			}
			if got := planRenumbering(s).String(); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}
