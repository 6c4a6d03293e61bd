package endpointslices

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"skiff/orchestrator/cluster/backends"
	"skiff/orchestrator/cluster/garbage"
	"skiff/orchestrator/cluster/namespaces"
	"skiff/orchestrator/internal/testbed"
)

// bed is a testbed on which the controller runs, and the garbage collector.
type bed struct {
	*testbed.Bed
	*testing.T
	controller *Controller
}

func run(t *testing.T, steps func(b bed)) {
	synctest.Test(t, func(t *testing.T) {
		b := bed{testbed.New(t), t, nil}
		b.controller = New(Options{Env: b.Env(), Workers: 4})
		b.Bed.Run(b.controller.Run)
		b.Bed.Run(garbage.New(garbage.Options{Env: b.Env(), Workers: 4}).Run)
		testbed.Create(b.Bed, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node"}})
		steps(b)
	})
}

// create makes a Service that selects app=kubia.
func (b bed) create(namespace, name string) {
	testbed.Create(b.Bed, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "kubia"},
			Ports:    []corev1.ServicePort{{Name: "web", Port: 80, TargetPort: intstr.FromInt32(8080), Protocol: corev1.ProtocolTCP}},
		},
	})
}

// start makes a pod that runs and is ready.
func (b bed) start(namespace, name, ip string) {
	testbed.Create(b.Bed, testbed.Pod(namespace, name, map[string]string{"app": "kubia"}))
	if err := b.Bind(b.Context(), namespace, name, "node"); err != nil {
		b.Fatal(err)
	}
	testbed.UpdateStatus(b.Bed, namespace, name, func(p *corev1.Pod) {
		p.Status.Phase, p.Status.PodIP, p.Status.PodIPs = corev1.PodRunning, ip, []corev1.PodIP{{IP: ip}}
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	})
}

// want compares the slices of a namespace: service, ports, and endpoints.
func (b bed) want(when, namespace string, want ...string) {
	b.Helper()
	synctest.Wait()
	var got []string
	for _, s := range testbed.List[*discoveryv1.EndpointSlice](b.Bed, namespace) {
		_, text, _ := strings.Cut(backends.Step{Seen: s, Want: s}.String(), " to ")
		got = append(got, s.Labels[discoveryv1.LabelServiceName]+" "+strings.TrimSuffix(text, ": "))
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		b.Errorf("%s: %q, want %q", when, got, want)
	}
}

func TestPodsComeAndGo(t *testing.T) {
	run(t, func(b bed) {
		b.create("default", "kubia")
		b.want("a service alone", "default", "kubia IPv4 without ports []")
		b.start("default", "a", "10.0.0.1")
		b.start("default", "b", "10.0.0.2")
		b.want("two pods", "default", "kubia IPv4 web:8080/TCP [a=10.0.0.1 b=10.0.0.2]")
		testbed.Delete[*corev1.Pod](b.Bed, "default", "a")
		b.want("one terminates", "default", "kubia IPv4 web:8080/TCP [a=10.0.0.1-unready-terminating-serving b=10.0.0.2]")
		testbed.Kill[*corev1.Pod](b.Bed, "default", "a")
		b.want("and is gone", "default", "kubia IPv4 web:8080/TCP [b=10.0.0.2]")
		testbed.Update(b.Bed, "default", "b", func(p *corev1.Pod) { p.Labels["app"] = "foo" })
		b.want("the other is not selected", "default", "kubia IPv4 without ports []")
		testbed.Update(b.Bed, "default", "kubia", func(s *corev1.Service) { s.Spec.Selector["app"] = "foo" })
		b.want("and is again", "default", "kubia IPv4 web:8080/TCP [b=10.0.0.2]")
		for _, s := range testbed.List[*discoveryv1.EndpointSlice](b.Bed, "default") {
			testbed.Delete[*discoveryv1.EndpointSlice](b.Bed, "default", s.Name)
		}
		b.want("its slice was deleted", "default", "kubia IPv4 web:8080/TCP [b=10.0.0.2]")
		testbed.Delete[*corev1.Service](b.Bed, "default", "kubia")
		b.want("the service is gone", "default")
	})
}

func TestNodesComeAndGo(t *testing.T) {
	run(t, func(b bed) {
		b.create("default", "kubia")
		b.start("default", "a", "10.0.0.1")
		b.want("with its node", "default", "kubia IPv4 web:8080/TCP [a=10.0.0.1]")
		testbed.Delete[*corev1.Node](b.Bed, "", "node")
		b.want("without", "default", "kubia IPv4 without ports []")
		testbed.Create(b.Bed, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node", Labels: map[string]string{corev1.LabelTopologyZone: "z"}}})
		b.want("with it again", "default", "kubia IPv4 web:8080/TCP [a=10.0.0.1]")
		testbed.Update(b.Bed, "", "node", func(n *corev1.Node) { n.Labels[corev1.LabelTopologyZone] = "y" })
		synctest.Wait()
		if zone := testbed.List[*discoveryv1.EndpointSlice](b.Bed, "default")[0].Endpoints[0].Zone; *zone != "y" {
			t.Errorf("zone %s", *zone)
		}
	})
}

// TestSlicesOfOthersStay: what somebody else makes for a Service is his.
func TestSlicesOfOthersStay(t *testing.T) {
	run(t, func(b bed) {
		testbed.Create(b.Bed, &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: "mine", Labels: map[string]string{discoveryv1.LabelServiceName: "kubia"}},
			AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.9.9.9"}}},
		})
		b.create("default", "kubia")
		b.want("beside it", "default", "kubia IPv4 without ports [10.9.9.9]", "kubia IPv4 without ports []")
		testbed.Update(b.Bed, "default", "kubia", func(s *corev1.Service) { s.Spec.Selector = nil })
		b.want("alone", "default", "kubia IPv4 without ports [10.9.9.9]")
	})
}

// TestNamespaceGoes: what can not be created in a namespace that is being deleted is not tried for
// ever, and nothing stays behind.
func TestNamespaceGoes(t *testing.T) {
	run(t, func(b bed) {
		testbed.Create(b.Bed, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}})
		b.create("shop", "kubia")
		b.start("shop", "a", "10.0.0.1")
		b.want("before", "shop", "kubia IPv4 web:8080/TCP [a=10.0.0.1]")
		testbed.Delete[*corev1.Namespace](b.Bed, "", "shop")
		for _, s := range testbed.List[*discoveryv1.EndpointSlice](b.Bed, "shop") {
			testbed.Delete[*discoveryv1.EndpointSlice](b.Bed, "shop", s.Name)
		}
		b.want("while it goes", "shop")
		for range 10 {
			if _, err := b.controller.reconcile(t.Context(), key{Namespace: "shop", Name: "kubia"}); err != nil {
				t.Error(err)
			}
		}
		b.Bed.Run(namespaces.NewDeletion(namespaces.Options{Env: b.Env()}).Run)
		synctest.Wait()
		testbed.Kill[*corev1.Pod](b.Bed, "shop", "a")
		time.Sleep(time.Minute)
		synctest.Wait()
		if _, exists := testbed.Get[*corev1.Namespace](b.Bed, "", "shop"); exists {
			t.Error("the namespace is still there")
		}
	})
}

// TestRest: what is as it should be is not written, whatever pods report otherwise.
func TestRest(t *testing.T) {
	run(t, func(b bed) {
		b.create("default", "kubia")
		b.start("default", "a", "10.0.0.1")
		synctest.Wait()
		before := testbed.List[*discoveryv1.EndpointSlice](b.Bed, "default")[0].ResourceVersion
		testbed.UpdateStatus(b.Bed, "default", "a", func(p *corev1.Pod) { p.Status.Message = "alive" })
		testbed.Update(b.Bed, "default", "a", func(p *corev1.Pod) { p.Labels["more"] = "labels" })
		testbed.Update(b.Bed, "default", "kubia", func(s *corev1.Service) { s.Annotations = map[string]string{"a": "b"} })
		testbed.Update(b.Bed, "", "node", func(n *corev1.Node) { n.Annotations = map[string]string{"a": "b"} })
		time.Sleep(time.Hour)
		synctest.Wait()
		if after := testbed.List[*discoveryv1.EndpointSlice](b.Bed, "default")[0].ResourceVersion; after != before {
			t.Error("the slice was written")
		}
	})
}

// TestNothingIsMissed holds that whatever is done, once nothing happens any more there is nothing to
// do for any Service. What a plan then is, TestAnySequenceOfChanges holds.
func TestNothingIsMissed(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		acts, settle := testbed.Churns().Draw(r, "acts"), rapid.Bool().Draw(r, "settle")
		var fault string
		run(t, func(b bed) {
			testbed.Stock(b.Bed)
			for _, a := range acts {
				a.Act(b.Bed)
				if settle {
					synctest.Wait()
				}
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			for _, s := range testbed.List[*corev1.Service](b.Bed, "") {
				if steps := makePlan(b.controller.observe(s)); len(steps) > 0 {
					fault = fmt.Sprintf("for Service %s there is to do\n%s", s.Name, backends.Text(steps))
				}
			}
			for _, s := range testbed.List[*discoveryv1.EndpointSlice](b.Bed, "") {
				if _, exists := testbed.Get[*corev1.Service](b.Bed, s.Namespace, s.Labels[discoveryv1.LabelServiceName]); !exists {
					fault = fmt.Sprintf("slice %s has outlived its Service", s.Name)
				}
			}
		})
		if fault != "" {
			r.Fatalf("%v (settle %v): %s", acts, settle, fault)
		}
	})
}
