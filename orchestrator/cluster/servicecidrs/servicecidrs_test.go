package servicecidrs

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"skiff/manifests/registry"
	"skiff/manifests/serviceip"
	"skiff/orchestrator/cluster"
	"skiff/orchestrator/internal/testbed"
	"skiff/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func service(name string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
	}
}

// settled waits until nobody has anything left to do: what was overtaken is tried again in time.
func settled() {
	time.Sleep(time.Minute)
	synctest.Wait()
}

// addresses are the IPAddresses with whom they belong to.
func addresses(b *testbed.Bed) string {
	var lines []string
	for _, a := range testbed.List[*networkingv1.IPAddress](b, "") {
		line := a.Name + " " + referred(a)
		if !serviceip.Managed(a) || a.Labels[networkingv1.LabelIPAddressFamily] != "IPv4" {
			line += fmt.Sprint(" ", a.Labels)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func TestAddressesFollowServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := testbed.New(t)
		testbed.Create(b, service("before"))
		b.Run(New(Options{Env: b.Env(), Workers: 4}).Run)
		settled()
		always := "10.244.48.1 services default/kubernetes\n10.244.48.10 services kube-system/kube-dns"
		want := func(when, lines string) {
			t.Helper()
			settled()
			if got := addresses(b); got != strings.TrimSpace(always+"\n"+lines) {
				t.Errorf("%s: got\n%s\nwant\n%s\n%s", when, got, always, lines)
			}
		}
		want("at the start", "10.244.49.1 services default/before")
		testbed.Create(b, service("after"))
		want("a service more", "10.244.49.1 services default/before\n10.244.49.2 services default/after")
		testbed.Delete[*corev1.Service](b, "default", "before")
		want("a service less", "10.244.49.2 services default/after")
		testbed.Update(b, "default", "after", func(s *corev1.Service) {
			s.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "example.com"}
		})
		want("an external name", "")
		testbed.Delete[*networkingv1.IPAddress](b, "", "10.244.48.10")
		testbed.Update(b, "", "10.244.48.1", func(a *networkingv1.IPAddress) { a.Labels = nil })
		want("somebody has meddled", "")
		testbed.Create(b, &networkingv1.IPAddress{ObjectMeta: metav1.ObjectMeta{Name: "255.255.255.255"}, Spec: networkingv1.IPAddressSpec{
			ParentRef: &networkingv1.ParentReference{Group: "mygroup", Resource: "myresources", Namespace: "foo", Name: "bar"}}})
		want("somebody else's", "255.255.255.255 myresources.mygroup foo/bar map[]")
		if err := cluster.SetServiceRange(t.Context(), b.Registry, b.Recorder, netip.MustParsePrefix("10.0.0.0/24"), nil); err != nil {
			t.Fatal(err)
		}
		always = "10.0.0.1 services default/kubernetes\n10.0.0.10 services kube-system/kube-dns"
		want("another range", "255.255.255.255 myresources.mygroup foo/bar map[]")
	})
}

// state is a ServiceCIDR's condition and whether it is protected.
func state(b *testbed.Bed, name string) string {
	c, ok := testbed.Get[*networkingv1.ServiceCIDR](b, "", name)
	if !ok {
		return "gone"
	}
	text := "unprotected"
	if slices.Contains(c.Finalizers, serviceip.Finalizer) {
		text = "protected"
	}
	for _, c := range c.Status.Conditions {
		text += strings.TrimRight(fmt.Sprintf(" %s=%s %s", c.Type, c.Status, c.Reason), " ")
	}
	return text
}

func TestServiceCIDRs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := testbed.New(t)
		b.Run(New(Options{Env: b.Env(), Workers: 4}).Run)
		want := func(when, name, text string) {
			t.Helper()
			settled()
			if got := state(b, name); got != text {
				t.Errorf("%s: %s is %s, want %s", when, name, got, text)
			}
		}
		make := func(name, cidr string) {
			testbed.Create(b, &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{cidr}}})
		}
		make("near", "10.244.50.0/24")
		make("far", "192.0.2.0/24")
		want("new", "kubernetes", "protected Ready=True")
		want("new", "near", "protected Ready=True")
		want("new", "far", "protected Ready=False Unreachable")
		testbed.UpdateStatus(b, "", "far", func(c *networkingv1.ServiceCIDR) { c.Status.Conditions[0].Status = metav1.ConditionTrue })
		want("said to be ready", "far", "protected Ready=False Unreachable")

		// The range moves: what is in reach is another one. The services go along.
		if err := cluster.SetServiceRange(t.Context(), b.Registry, b.Recorder, netip.MustParsePrefix("192.0.0.0/16"), nil); err != nil {
			t.Fatal(err)
		}
		want("moved", "near", "protected Ready=False Unreachable")
		want("moved", "far", "protected Ready=True")
		testbed.Delete[*networkingv1.ServiceCIDR](b, "", "near")
		want("deleted", "near", "gone")

		before, _ := testbed.Get[*networkingv1.ServiceCIDR](b, "", "kubernetes")
		testbed.Delete[*networkingv1.ServiceCIDR](b, "", "kubernetes")
		want("deleted", "kubernetes", "protected Ready=True")
		if after, _ := testbed.Get[*networkingv1.ServiceCIDR](b, "", "kubernetes"); after.UID == before.UID || after.Spec.CIDRs[0] != "192.0.0.0/16" {
			t.Errorf("it is %v, and was %v", after, before)
		}
	})
}

// TestACIDRStaysWhileItIsUsed: a ServiceCIDR whose addresses no other one contains goes with the last
// service that has one.
func TestACIDRStaysWhileItIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := testbed.New(t)
		b.Run(New(Options{Env: b.Env(), Workers: 4}).Run)
		testbed.Create(b, &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "mine"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.244.50.0/24"}}})
		settled()
		s := service("s")
		s.Spec.ClusterIP = "10.244.50.1"
		testbed.Create(b, s)
		settled()
		// With the default range as it is all addresses are contained twice.
		shrink(t, b, "10.244.60.0/24")
		testbed.Delete[*networkingv1.ServiceCIDR](b, "", "mine")
		settled()
		if got := state(b, "mine"); got != "protected Ready=False Terminating" {
			t.Errorf("in use, it is %s", got)
		}
		testbed.Delete[*corev1.Service](b, "default", "s")
		settled()
		if got := state(b, "mine"); got != "gone" {
			t.Errorf("unused, it is %s", got)
		}
	})
}

// TestEveryAddressHasItsObject: whatever becomes of services, of ranges and of the objects
// themselves, in the end each address of a service has its IPAddress, and there is none beside.
func TestEveryAddressHasItsObject(t *testing.T) {
	b := testbed.New(t)
	b.Run(New(Options{Env: b.Env(), Workers: 4}).Run)
	services, ips := registry.For[*corev1.Service](b.Registry), registry.For[*networkingv1.IPAddress](b.Registry)
	ranges := []string{"10.244.48.0/20", "10.0.0.0/24", "10.0.0.0/26"}
	rapid.Check(t, func(rt *rapid.T) {
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			name := fmt.Sprint("s", rapid.IntRange(0, 5).Draw(rt, "service"))
			var err error
			switch rapid.IntRange(0, 4).Draw(rt, "what") {
			case 0, 1:
				_, err = services.Create(t.Context(), service(name))
			case 2:
				err = services.Delete(t.Context(), "default", name, metav1.DeleteOptions{})
			case 3:
				if all := ips.List("", nil); len(all) > 0 {
					err = ips.Delete(t.Context(), "", rapid.SampledFrom(all).Draw(rt, "address").Name, metav1.DeleteOptions{})
				}
			case 4:
				err = cluster.SetServiceRange(t.Context(), b.Registry, b.Recorder, netip.MustParsePrefix(rapid.SampledFrom(ranges).Draw(rt, "range")), nil)
			}
			if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsAlreadyExists(err) {
				rt.Fatal(err)
			}
		}
		var want, got []string
		for _, s := range services.List("", nil) {
			want = append(want, s.Spec.ClusterIP+" "+s.Name)
		}
		slices.Sort(want)
		for wait := time.After(10 * time.Second); ; {
			got = nil
			for _, a := range ips.List("", nil) {
				got = append(got, a.Name+" "+a.Spec.ParentRef.Name)
			}
			slices.Sort(got)
			if slices.Equal(got, want) {
				return
			}
			select {
			case <-wait:
				rt.Fatalf("got\n%q\nwant\n%q", got, want)
			case <-time.After(time.Millisecond):
			}
		}
	})
}

// shrink writes another range into the default ServiceCIDR, and moves no service.
func shrink(t *testing.T, b *testbed.Bed, to string) {
	t.Helper()
	stored, _ := testbed.Get[*networkingv1.ServiceCIDR](b, "", "kubernetes")
	c := stored.DeepCopy()
	c.Spec.CIDRs = []string{to}
	revision, err := strconv.ParseUint(stored.ResourceVersion, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	key := store.Key{Resource: "servicecidrs.networking.k8s.io", Name: c.Name}
	if _, err := b.Store.Commit(t.Context(), store.Change{Key: key, Expect: revision, Object: c}); err != nil {
		t.Fatal(err)
	}
}
