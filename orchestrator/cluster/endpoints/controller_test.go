package endpoints

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"skiff/orchestrator/internal/testbed"
)

// bed is a testbed on which the controller runs.
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
		steps(b)
	})
}

// create makes a Service that selects app=kubia, and a pod that is ready.
func (b bed) create(namespace string) {
	testbed.Create(b.Bed, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "kubia"},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "kubia"},
			Ports:    []corev1.ServicePort{{Name: "web", Port: 80, TargetPort: intstr.FromInt32(8080), Protocol: corev1.ProtocolTCP}},
		},
	})
	p := testbed.Pod(namespace, "a", map[string]string{"app": "kubia"})
	p.Spec.NodeName = "node"
	testbed.Create(b.Bed, p)
	testbed.UpdateStatus(b.Bed, namespace, "a", func(p *corev1.Pod) {
		p.Status.PodIP, p.Status.PodIPs = "10.0.0.1", []corev1.PodIP{{IP: "10.0.0.1"}}
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	})
}

// want compares the Endpoints kubia of a namespace, "none" if there are none.
func (b bed) want(when, namespace, want string) {
	b.Helper()
	synctest.Wait()
	got := "none"
	if e, ok := testbed.Get[*corev1.Endpoints](b.Bed, namespace, "kubia"); ok {
		got = ""
		for i := range e.Subsets {
			got += describe(&e.Subsets[i])
		}
	}
	if got != want {
		b.Errorf("%s: %q, want %q", when, got, want)
	}
}

func TestPodsComeAndGo(t *testing.T) {
	run(t, func(b bed) {
		b.create("default")
		b.want("a pod", "default", "web:8080/TCP 10.0.0.1")
		testbed.UpdateStatus(b.Bed, "default", "a", func(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionFalse })
		b.want("not ready", "default", "web:8080/TCP 10.0.0.1-unready")
		testbed.Delete[*corev1.Endpoints](b.Bed, "default", "kubia")
		b.want("they were deleted", "default", "web:8080/TCP 10.0.0.1-unready")
		testbed.Delete[*corev1.Pod](b.Bed, "default", "a")
		b.want("it terminates", "default", "")
		testbed.Delete[*corev1.Service](b.Bed, "default", "kubia")
		b.want("the service is gone", "default", "none")
	})
}

// TestEndpointsOfOthersStay: Endpoints without a Service are somebody's own, and those of a Service
// without a selector are, as long as there is the Service.
func TestEndpointsOfOthersStay(t *testing.T) {
	run(t, func(b bed) {
		own := &corev1.Endpoints{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubia"},
			Subsets:    []corev1.EndpointSubset{{Addresses: []corev1.EndpointAddress{{IP: "10.9.9.9"}}}},
		}
		testbed.Create(b.Bed, own)
		testbed.Update(b.Bed, "default", "kubia", func(e *corev1.Endpoints) { e.Subsets[0].Addresses[0].IP = "10.9.9.8" })
		b.want("without a service", "default", "without ports 10.9.9.8")
		testbed.Create(b.Bed, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubia"},
			Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}}},
		})
		b.want("without a selector", "default", "without ports 10.9.9.8")
		testbed.Delete[*corev1.Service](b.Bed, "default", "kubia")
		b.want("the service is gone", "default", "none")
	})
}

// TestLeftovers: what a crash has left behind of a Service that is gone goes at the next start.
func TestLeftovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bed{testbed.New(t), t, nil}
		testbed.Create(b.Bed, &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: "kubia", Labels: map[string]string{LabelManagedBy: ManagedBy},
		}})
		b.Bed.Run(New(Options{Env: b.Env()}).Run)
		b.want("started", "default", "none")
	})
}

// TestNamespaceGoes: what can not be created in a namespace that is being deleted is not tried for
// ever.
func TestNamespaceGoes(t *testing.T) {
	run(t, func(b bed) {
		testbed.Create(b.Bed, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}})
		b.create("shop")
		b.want("before", "shop", "web:8080/TCP 10.0.0.1")
		testbed.Delete[*corev1.Namespace](b.Bed, "", "shop")
		testbed.Delete[*corev1.Endpoints](b.Bed, "shop", "kubia")
		b.want("while it goes", "shop", "none")
		if _, err := b.controller.reconcile(t.Context(), key{Namespace: "shop", Name: "kubia"}); err != nil {
			t.Error(err)
		}
	})
}

// TestRest: what is as it should be is not written, whatever pods report otherwise.
func TestRest(t *testing.T) {
	run(t, func(b bed) {
		b.create("default")
		synctest.Wait()
		before, _ := testbed.Get[*corev1.Endpoints](b.Bed, "default", "kubia")
		testbed.UpdateStatus(b.Bed, "default", "a", func(p *corev1.Pod) { p.Status.Message = "alive" })
		testbed.Update(b.Bed, "default", "a", func(p *corev1.Pod) { p.Labels["more"] = "labels" })
		testbed.Update(b.Bed, "default", "kubia", func(s *corev1.Service) { s.Annotations = map[string]string{"a": "b"} })
		time.Sleep(time.Hour)
		synctest.Wait()
		after, _ := testbed.Get[*corev1.Endpoints](b.Bed, "default", "kubia")
		if before.ResourceVersion != after.ResourceVersion {
			t.Error("the Endpoints were written")
		}
	})
}

// TestNothingIsMissed holds that whatever is done, once nothing happens any more there is nothing to
// do for any Service.
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
			var keys []key
			for _, s := range testbed.List[*corev1.Service](b.Bed, "") {
				keys = append(keys, key{Namespace: s.Namespace, Name: s.Name})
			}
			for _, e := range testbed.List[*corev1.Endpoints](b.Bed, "") {
				keys = append(keys, key{Namespace: e.Namespace, Name: e.Name})
			}
			for _, k := range keys {
				s, err := b.controller.observe(k)
				if p := makePlan(s); err != nil || p.verb != "" {
					fault = fmt.Sprintf("there is to do\n%s (%v)", p, err)
				}
			}
		})
		if fault != "" {
			r.Fatalf("%v (settle %v): %s", acts, settle, fault)
		}
	})
}
