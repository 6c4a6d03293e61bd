package servicecidrs

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

var now = metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))

// cidr makes a ServiceCIDR of a line of words: its name, its ranges, and what is so of it.
func cidr(line string) *networkingv1.ServiceCIDR {
	words := strings.Fields(line)
	c := &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: words[0], Finalizers: []string{serviceip.Finalizer}}}
	for _, w := range words[1:] {
		switch w {
		case "ready":
			c.Status.Conditions = []metav1.Condition{serviceip.IsReady(now)}
		case "deleted":
			c.DeletionTimestamp = &now
		case "bare":
			c.Finalizers = nil
		case "held":
			c.Finalizers = []string{"example.com/hold"}
		default:
			c.Spec.CIDRs = append(c.Spec.CIDRs, w)
		}
	}
	return c
}

func TestPlanOfACIDR(t *testing.T) {
	const terminating = "set ServiceCIDR a Ready=False Terminating: " +
		"There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR"
	for _, c := range []struct {
		name string
		cidr string
		all  string // the others, one a line
		used string
		want string
	}{
		{"the default one", "kubernetes 10.0.0.0/24 ready", "", "", ""},
		{"a new one", "a 10.0.0.0/25 bare", "kubernetes 10.0.0.0/24 ready", "",
			"protect ServiceCIDR a: services may get its addresses\nset ServiceCIDR a Ready=True: Kubernetes Service CIDR is ready"},
		{"the same range", "a 10.0.0.0/24", "kubernetes 10.0.0.0/24", "", "set ServiceCIDR a Ready=True: Kubernetes Service CIDR is ready"},
		{"elsewhere", "a 10.0.1.0/25", "kubernetes 10.0.0.0/24 ready", "",
			"set ServiceCIDR a Ready=False Unreachable: Pods reach services only at addresses in 10.0.0.0/24: 10.0.1.0/25 does not lie in it"},
		{"too large", "a 10.0.0.0/16 ready", "kubernetes 10.0.0.0/24 ready", "",
			"set ServiceCIDR a Ready=False Unreachable: Pods reach services only at addresses in 10.0.0.0/24: 10.0.0.0/16 does not lie in it"},
		{"another family", "a fd00::/112", "kubernetes 10.0.0.0/24 ready", "",
			"set ServiceCIDR a Ready=False Unreachable: Pods reach services only at addresses in 10.0.0.0/24: fd00::/112 does not lie in it"},
		{"one of two families", "a 10.0.0.0/25 fd00::/112", "kubernetes 10.0.0.0/24 ready", "",
			"set ServiceCIDR a Ready=False Unreachable: Pods reach services only at addresses in 10.0.0.0/24: fd00::/112 does not lie in it"},
		{"no default to measure by", "a 10.0.0.0/25 ready", "", "", ""},
		{"deleted and free", "a 10.0.0.0/25 deleted", "kubernetes 10.1.0.0/24", "10.1.0.1 10.0.0.128",
			"release ServiceCIDR a: it is being deleted, and no service has an address of it alone"},
		{"deleted and in use", "a 10.0.0.0/25 ready deleted", "kubernetes 10.1.0.0/24", "10.1.0.1 10.0.0.1", terminating},
		{"what is in use is another's too", "a 10.0.0.0/25 deleted", "kubernetes 10.0.0.0/24", "10.0.0.1",
			"release ServiceCIDR a: it is being deleted, and no service has an address of it alone"},
		{"the other goes as well", "a 10.0.0.0/25 deleted", "b 10.0.0.0/24 deleted", "10.0.0.1", terminating},
		{"the other does not give that address away", "a 10.0.0.0/24 deleted", "b 10.0.0.128/25", "10.0.0.128", terminating},
		{"somebody else holds it", "a 10.0.0.0/25 deleted held", "", "10.0.0.1", ""},
		{"the default one is deleted", "kubernetes 10.0.0.0/24 deleted", "b 10.0.0.0/24", "",
			"replace ServiceCIDR kubernetes: it is being deleted, and services need it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := cidrSnapshot{cidr: cidr(c.cidr), now: now}
			s.all = append(s.all, s.cidr)
			for line := range strings.Lines(c.all) {
				s.all = append(s.all, cidr(line))
			}
			for _, text := range strings.Fields(c.used) {
				s.used = append(s.used, netip.MustParseAddr(text))
			}
			p := planCIDR(s)
			if got := p.String(); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestPlanOfAnAddress(t *testing.T) {
	managed := map[string]string{networkingv1.LabelManagedBy: serviceip.Manager, networkingv1.LabelIPAddressFamily: "IPv4"}
	stored := func(labels map[string]string, ref networkingv1.ParentReference) *networkingv1.IPAddress {
		return &networkingv1.IPAddress{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: networkingv1.IPAddressSpec{ParentRef: &ref}}
	}
	web := networkingv1.ParentReference{Resource: "services", Namespace: "default", Name: "web"}
	gadget := networkingv1.ParentReference{Group: "example.com", Resource: "gadgets", Name: "g"}
	deleted := stored(managed, web)
	deleted.DeletionTimestamp = &now
	for _, c := range []struct {
		name    string
		service string
		stored  *networkingv1.IPAddress
		want    string
	}{
		{"nobody's", "", nil, ""},
		{"a new service's", "web", nil, "create IPAddress 10.0.0.1: Service default/web has it"},
		{"as it should be", "web", stored(managed, web), ""},
		{"a service that is gone", "", stored(managed, web), "delete IPAddress 10.0.0.1: no service has it"},
		{"somebody else's", "", stored(nil, gadget), ""},
		{"a service that is no more called so", "web", stored(managed, networkingv1.ParentReference{Resource: "services", Namespace: "default", Name: "old"}),
			"delete IPAddress 10.0.0.1: it refers to services default/old, but Service default/web has it"},
		{"no service", "web", stored(managed, gadget), "delete IPAddress 10.0.0.1: it refers to gadgets.example.com g, but Service default/web has it"},
		{"unlabelled", "web", stored(nil, web), "label IPAddress 10.0.0.1: it follows Service default/web"},
		{"on its way out", "web", deleted, ""},
		{"on its way out, and rightly so", "", deleted, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := addressSnapshot{address: netip.MustParseAddr("10.0.0.1"), stored: c.stored}
			if c.service != "" {
				s.services = []*corev1.Service{{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: c.service}}}
			}
			if got := planAddress(s).String(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
