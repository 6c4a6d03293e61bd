package registry_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"skiff/manifests/registry"
	"skiff/manifests/serviceip"
)

// setRange sets the default range, and returns the moves as text.
func (f fixture) setRange(to string, avoid func(netip.Addr) bool) string {
	f.t.Helper()
	moves, err := f.Services().SetRange(f.ctx, netip.MustParsePrefix(to), avoid)
	if err != nil {
		f.t.Fatal(err)
	}
	var lines []string
	for _, m := range moves {
		lines = append(lines, fmt.Sprintf("%s: %s to %s", m.Service.Name, m.From, m.To))
		if got := m.Service.Spec; got.ClusterIP != m.To.String() || !slices.Equal(got.ClusterIPs, []string{m.To.String()}) {
			f.t.Errorf("%s is stored with %s %v", m.Service.Name, got.ClusterIP, got.ClusterIPs)
		}
	}
	return strings.Join(lines, "\n")
}

// addRange makes a ServiceCIDR and says whether it is ready.
func (f fixture) addRange(name, cidr string, ready metav1.ConditionStatus) {
	f.t.Helper()
	f.create(&networkingv1.ServiceCIDR{
		ObjectMeta: metav1.ObjectMeta{Name: name, Finalizers: []string{serviceip.Finalizer}},
		Spec:       networkingv1.ServiceCIDRSpec{CIDRs: []string{cidr}},
	})
	_, err := registry.For[*networkingv1.ServiceCIDR](f.Registry).UpdateStatus(f.ctx, "", name, func(c *networkingv1.ServiceCIDR) error {
		c.Status.Conditions = []metav1.Condition{{Type: networkingv1.ServiceCIDRConditionReady, Status: ready}}
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

// keep makes an IPAddress that belongs to no service.
func keep(address string) *networkingv1.IPAddress {
	return &networkingv1.IPAddress{
		ObjectMeta: metav1.ObjectMeta{Name: address},
		Spec:       networkingv1.IPAddressSpec{ParentRef: &networkingv1.ParentReference{Resource: "gadgets", Name: "g"}},
	}
}

func (f fixture) clusterIP(name string) string {
	f.t.Helper()
	s, err := registry.For[*corev1.Service](f.Registry).Get("default", name)
	if err != nil {
		f.t.Fatal(err)
	}
	return s.Spec.ClusterIP
}

func TestRangesOfServices(t *testing.T) {
	f := open(t)
	f.setRange("10.0.0.0/29", nil)
	got := func(name string, change ...func(*corev1.ServiceSpec)) string {
		created, err := f.tryCreate(service(name, change...))
		if err != nil {
			_, reason, _ := strings.Cut(err.Error(), "failed to allocate ")
			return reason
		}
		return created.(*corev1.Service).Spec.ClusterIP
	}
	for i := range 5 {
		got(fmt.Sprint("s", i))
	}
	full := func(name string) string { return fmt.Sprintf("a serviceIP for Service %q: range is full", name) }
	for _, step := range []struct {
		name string
		do   func()
		got  func() string
		want string
	}{
		{"full", func() {}, func() string { return got("a") }, full("a")},
		{"a range that pods do not reach", func() { f.addRange("far", "10.0.1.0/28", metav1.ConditionTrue) }, func() string { return got("a") }, full("a")},
		{"an address that pods do not reach", func() {}, func() string { return got("a", address("10.0.1.1")) },
			"IP 10.0.1.1: the provided network does not match the current range"},
		{"room again", func() { f.setRange("10.0.0.0/24", nil) }, func() string { return got("a") }, "10.0.0.17"},
		{"the next one", func() {}, func() string { return got("b") }, "10.0.0.18"},
		{"one that is asked for", func() {}, func() string { return got("c", address("10.0.0.19")) }, "10.0.0.19"},
		{"behind it", func() {}, func() string { return got("d") }, "10.0.0.20"},
		{"an address that is kept", func() { f.create(keep("10.0.0.21")) }, func() string { return got("e") }, "10.0.0.22"},
		{"asked for", func() {}, func() string { return got("f", address("10.0.0.21")) }, "IP 10.0.0.21: provided IP is already allocated"},
		{"not ready", func() { f.status("kubernetes", metav1.ConditionFalse) }, func() string { return got("g") }, full("g")},
		{"a second range", func() { f.addRange("near", "10.0.0.128/28", metav1.ConditionTrue) }, func() string { return got("g") }, "10.0.0.130"},
		{"the second range is not ready", func() { f.status("near", metav1.ConditionFalse) }, func() string { return got("h") }, full("h")},
		{"ready again", func() { f.status("near", metav1.ConditionTrue) }, func() string { return got("h") }, "10.0.0.131"},
		{"the second range is being deleted", func() { f.remove("servicecidrs.networking.k8s.io", "", "near") }, func() string { return got("i") }, full("i")},
		{"headless all the same", func() {}, func() string { return got("j", address("None")) }, "None"},
	} {
		step.do()
		if got := step.got(); got != step.want {
			t.Errorf("%s: got %s, want %s", step.name, got, step.want)
		}
	}
}

// status sets a ServiceCIDR's condition.
func (f fixture) status(name string, ready metav1.ConditionStatus) {
	f.t.Helper()
	_, err := registry.For[*networkingv1.ServiceCIDR](f.Registry).UpdateStatus(f.ctx, "", name, func(c *networkingv1.ServiceCIDR) error {
		c.Status.Conditions[0].Status = ready
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

// TestServiceAddressesOfOthers: an IPAddress of somebody else's can not be made for what a service
// has, and that of a service which is gone keeps nobody from its address.
func TestServiceAddressesOfOthers(t *testing.T) {
	f := open(t)
	f.create(service("s"))
	_, err := f.tryCreate(keep("10.96.1.1"))
	wantError(t, err, `ipaddresses.networking.k8s.io "10.96.1.1" already exists`)
	follows := keep("10.96.1.1")
	follows.Labels = map[string]string{networkingv1.LabelManagedBy: serviceip.Manager}
	f.create(follows)
	f.remove("services", "default", "s")
	if got := f.create(service("t", address("10.96.1.1"))).(*corev1.Service).Spec.ClusterIP; got != "10.96.1.1" {
		t.Error(got)
	}
}

// An old data directory: its services have addresses of a range that is no more.
func TestSetRange(t *testing.T) {
	f := open(t)
	f.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system"}})
	f.create(service("kubernetes", address("10.96.0.1")))
	dns := service("kube-dns", address("10.96.0.10"))
	dns.Namespace = "kube-system"
	f.create(dns)
	f.create(service("a", nodePort))
	f.create(service("b", address("10.96.7.7")))
	f.create(service("none", address("None")))
	f.create(service("elsewhere", func(s *corev1.ServiceSpec) {
		*s = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "example.com"}
	}))
	f.create(keep("10.244.49.2"))
	avoid := func(a netip.Addr) bool { return a.String() == "10.244.49.1" }
	want := "kubernetes: 10.96.0.1 to 10.244.48.1\nkube-dns: 10.96.0.10 to 10.244.48.10\na: 10.96.1.1 to 10.244.49.3\nb: 10.96.7.7 to 10.244.49.4"
	if got := f.setRange("10.244.48.0/20", avoid); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if s, _ := registry.For[*corev1.Service](f.Registry).Get("default", "a"); describe(s) != "10.244.49.3 [10.244.49.3] SingleStack [IPv4] http:30086" {
		t.Errorf("%s", describe(s))
	}
	before := f.revision()
	if got := f.setRange("10.244.48.0/20", avoid); got != "" || f.revision() != before {
		t.Errorf("again: %d writes, %s", f.revision()-before, got)
	}
	// A part of it: those in it stay.
	want = "kubernetes: 10.244.48.1 to 10.244.49.1\nkube-dns: 10.244.48.10 to 10.244.49.10"
	if got := f.setRange("10.244.49.0/24", nil); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestSetRangeThatIsTooSmall(t *testing.T) {
	f := open(t)
	for i := range 4 {
		f.create(service(fmt.Sprint("s", i)))
	}
	moves, err := f.Services().SetRange(f.ctx, netip.MustParsePrefix("10.0.0.0/30"), nil)
	if err != nil || len(moves) != 4 || moves[3].Service.Name != "s3" || moves[3].To.IsValid() || f.clusterIP("s1") != "10.0.0.2" || f.clusterIP("s3") != "10.96.1.4" {
		t.Errorf("%v, %v, s1 has %s, s3 has %s", err, moves, f.clusterIP("s1"), f.clusterIP("s3"))
	}
	for _, bad := range []string{"10.0.0.0/31", "fd00::/112"} {
		_, err = f.Services().SetRange(f.ctx, netip.MustParsePrefix(bad), nil)
		wantError(t, err, "setting the range of services: "+bad+" is not an IPv4 range with addresses for services")
	}
}

// TestSetRangeReplacesWhatIsBeingDeleted: the default range can be deleted, but there is another one
// at once.
func TestSetRangeReplacesWhatIsBeingDeleted(t *testing.T) {
	f := open(t)
	cidrs := registry.For[*networkingv1.ServiceCIDR](f.Registry)
	before, _ := cidrs.Get("", "kubernetes")
	f.remove("servicecidrs.networking.k8s.io", "", "kubernetes")
	if c, err := cidrs.Get("", "kubernetes"); err != nil || c.DeletionTimestamp == nil {
		t.Fatalf("%v %v", c, err)
	}
	f.setRange(services.String(), nil)
	after, err := cidrs.Get("", "kubernetes")
	if err != nil || after.UID == before.UID || after.DeletionTimestamp != nil || !serviceip.Ready(after) {
		t.Errorf("%v %v", after, err)
	}
	_, err = cidrs.Update(f.ctx, "", "kubernetes", func(c *networkingv1.ServiceCIDR) error {
		c.Spec.CIDRs = []string{"10.0.0.0/24"}
		return nil
	})
	wantError(t, err, `ServiceCIDR.networking.k8s.io "kubernetes" is invalid: spec.cidrs[0]: Invalid value: "10.0.0.0/24": field is immutable`)
}

// TestServicesWhileTheRangeChanges: whoever is created while ranges change and addresses are kept
// gets an address of the range of the end, and nobody that of another.
func TestServicesWhileTheRangeChanges(t *testing.T) {
	f := open(t)
	client := registry.For[*corev1.Service](f.Registry)
	rapid.Check(t, func(t *rapid.T) {
		var writers sync.WaitGroup
		ranges := []string{"10.96.0.0/16", "10.244.48.0/20", "10.244.0.0/24", "10.0.0.0/26"}
		for _, to := range rapid.SliceOfN(rapid.SampledFrom(ranges), 1, 3).Draw(t, "ranges") {
			writers.Go(func() { f.setRange(to, nil) })
		}
		for i := range rapid.IntRange(1, 20).Draw(t, "services") {
			writers.Go(func() {
				s := service(fmt.Sprint("s", i))
				if _, err := client.Create(f.ctx, s); err != nil && !apierrors.IsAlreadyExists(err) {
					t.Error(err)
				}
			})
		}
		writers.Wait()
		cidr, _ := registry.For[*networkingv1.ServiceCIDR](f.Registry).Get("", "kubernetes")
		in, _ := serviceip.IPv4(cidr)
		seen := map[string]string{}
		for _, s := range client.List("", nil) {
			ip := s.Spec.ClusterIP
			if !serviceip.Contains(in, netip.MustParseAddr(ip)) || seen[ip] != "" {
				t.Errorf("%s has %s of %s, as has %q", s.Name, ip, in, seen[ip])
			}
			seen[ip] = s.Name
		}
		for _, s := range client.List("", nil) {
			if rapid.Bool().Draw(t, "goes") {
				f.remove("services", s.Namespace, s.Name)
			}
		}
	})
}
