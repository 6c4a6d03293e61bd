package endpointslicemirroring

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"skiff/orchestrator/cluster/backends"
	"skiff/orchestrator/cluster/endpoints"
	"skiff/orchestrator/cluster/garbage"
	"skiff/orchestrator/internal/testbed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// endpointsOf has subsets, each "name=port addresses, and those that are not ready".
func endpointsOf(subsets ...string) *corev1.Endpoints {
	e := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubia", UID: "endpoints"}}
	for _, text := range subsets {
		ready, unready, _ := strings.Cut(text, ",")
		words := strings.Fields(ready)
		p := corev1.EndpointPort{Protocol: corev1.ProtocolTCP}
		_, err := fmt.Sscanf(strings.Replace(words[0], "=", " ", 1), "%s %d", &p.Name, &p.Port)
		if err != nil {
			panic(err)
		}
		s := corev1.EndpointSubset{Ports: []corev1.EndpointPort{p}}
		for _, ip := range words[1:] {
			s.Addresses = append(s.Addresses, corev1.EndpointAddress{IP: ip})
		}
		for _, ip := range strings.Fields(unready) {
			s.NotReadyAddresses = append(s.NotReadyAddresses, corev1.EndpointAddress{IP: ip})
		}
		e.Subsets = append(e.Subsets, s)
	}
	return e
}

// TestPlan tells stories: after each change the plan is compared, and carried out.
func TestPlan(t *testing.T) {
	are := func(subsets ...string) func(*snapshot) {
		return func(s *snapshot) { s.endpoints = endpointsOf(subsets...) }
	}
	for name, story := range map[string][]struct {
		what   string
		change func(s *snapshot)
		want   string
	}{
		"the life of Endpoints": {
			{"an address", are("web=80 10.1.2.3"), "create slice IPv4 web:80/TCP [10.1.2.3]: not mirrored yet"},
			{"another", are("web=80 10.2.3.4"), "update slice kubia-1 to IPv4 web:80/TCP [10.2.3.4]: addresses"},
			{"one that is not ready", are("web=80 10.2.3.4, 10.2.3.5"), "update slice kubia-1 to IPv4 web:80/TCP [10.2.3.4 10.2.3.5-unready]: addresses"},
			{"another family", are("web=80 10.2.3.4 fd00::1"),
				"update slice kubia-1 to IPv4 web:80/TCP [10.2.3.4]: addresses\ncreate slice IPv6 web:80/TCP [fd00::1]: not mirrored yet"},
			{"alone", are("web=80 fd00::1"), "delete slice kubia-1: no address has these ports any more"},
			{"two ports of an address", are("web=80 10.2.3.4", "tls=443 10.2.3.4"),
				"create slice IPv4 web:80/TCP,tls:443/TCP [10.2.3.4]: not mirrored yet\ndelete slice kubia-2: no address has these ports any more"},
			{"another port", are("web=81 10.2.3.4"), "update slice kubia-1 to IPv4 web:81/TCP [10.2.3.4]: not mirrored yet"},
			{"nothing", are(), "delete slice kubia-1: no address has these ports any more"},
			{"something", are("web=81 10.2.3.4"), "create slice IPv4 web:81/TCP [10.2.3.4]: not mirrored yet"},
			{"gone", func(s *snapshot) { s.endpoints = nil }, "delete slice kubia-1: the Endpoints are gone"},
		},
		"what is written on them": {
			{"labels and annotations", func(s *snapshot) {
				s.endpoints.Labels = map[string]string{"tier": "front", discoveryv1.LabelManagedBy: "me"}
				s.endpoints.Annotations = map[string]string{"a": "b", corev1.EndpointsLastChangeTriggerTime: "now", corev1.LastAppliedConfigAnnotation: "{}"}
			}, "create slice IPv4 web:80/TCP [10.1.2.3]: not mirrored yet"},
			{"others", func(s *snapshot) { s.endpoints.Labels, s.endpoints.Annotations = nil, nil },
				"update slice kubia-1 to IPv4 web:80/TCP [10.1.2.3]: labels, annotations"},
			{"not to be mirrored", func(s *snapshot) { s.endpoints.Labels = map[string]string{discoveryv1.LabelSkipMirror: "true"} },
				"delete slice kubia-1: the Endpoints are not to be mirrored"},
			{"to be mirrored", func(s *snapshot) { s.endpoints.Labels = map[string]string{discoveryv1.LabelSkipMirror: "false"} },
				"create slice IPv4 web:80/TCP [10.1.2.3]: not mirrored yet"},
			{"a lock", func(s *snapshot) { s.endpoints.Annotations = map[string]string{leader: "{}"} },
				"delete slice kubia-1: the Endpoints are not to be mirrored"},
		},
		"others that matter": {
			{"mirrored", func(*snapshot) {}, "create slice IPv4 web:80/TCP [10.1.2.3]: not mirrored yet"},
			{"others of the name", func(s *snapshot) { s.endpoints.UID = "others" },
				"delete slice kubia-1: of earlier Endpoints of this name\ncreate slice IPv4 web:80/TCP [10.1.2.3]: not mirrored yet"},
			{"a second slice", func(s *snapshot) {
				second := s.slices[0].DeepCopy()
				second.Name = "second"
				s.slices = append(s.slices, second)
			}, "delete slice second: a second one with these ports"},
			{"a selector", func(s *snapshot) { s.service.Spec.Selector = map[string]string{"app": "kubia"} },
				"delete slice kubia-1: the service has a selector"},
			{"none", func(s *snapshot) { s.service.Spec.Selector = nil }, "create slice IPv4 web:80/TCP [10.1.2.3]: not mirrored yet"},
			{"no service", func(s *snapshot) { s.service = nil }, "delete slice kubia-1: there is no service"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := snapshot{endpoints: endpointsOf("web=80 10.1.2.3"), service: &corev1.Service{}}
			for _, m := range story {
				m.change(&s)
				p := makePlan(s)
				if got := backends.Text(p.steps); got != m.want {
					t.Errorf("%s:\n%s\nwant\n%s", m.what, got, m.want)
				}
				s.slices = testbed.PlaySlices(s.slices, p.steps)
				if again := backends.Text(makePlan(s).steps); again != "" {
					t.Errorf("%s: and then\n%s", m.what, again)
				}
			}
		})
	}
}

func TestFields(t *testing.T) {
	s := snapshot{endpoints: endpointsOf("web=80 10.1.2.3"), service: &corev1.Service{}}
	node := "node"
	s.endpoints.Labels, s.endpoints.Annotations = map[string]string{"tier": "front"}, map[string]string{"a": "b"}
	s.endpoints.Subsets[0].Addresses[0].Hostname, s.endpoints.Subsets[0].Addresses[0].NodeName = "a", &node
	made := makePlan(s).steps[0].Want
	for what, c := range map[string]struct{ got, want any }{
		"labels": {made.Labels, map[string]string{"tier": "front", "kubernetes.io/service-name": "kubia",
			"endpointslice.kubernetes.io/managed-by": "endpointslicemirroring-controller.k8s.io"}},
		"annotations": {made.Annotations, map[string]string{"a": "b"}},
		"owner":       {made.OwnerReferences[0].Kind, "Endpoints"},
		"host":        {*made.Endpoints[0].Hostname + " " + *made.Endpoints[0].NodeName, "a node"},
	} {
		if fmt.Sprint(c.got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %v, want %v", what, c.got, c.want)
		}
	}
}

func TestTooMany(t *testing.T) {
	var ready, unready []string
	for i := range 700 {
		ready = append(ready, fmt.Sprintf("10.0.%d.%d", i/200, 1+i%200))
		unready = append(unready, fmt.Sprintf("10.1.%d.%d", i/200, 1+i%200))
	}
	s := snapshot{endpoints: endpointsOf("web=80 " + strings.Join(ready, " ") + "," + strings.Join(unready, " ")), service: &corev1.Service{}}
	p := makePlan(s)
	if n := len(p.steps[0].Want.Endpoints); len(p.steps) != 1 || n != 1000 || p.skipped != 400 {
		t.Errorf("%d slices, the first of %d endpoints, %d skipped", len(p.steps), n, p.skipped)
	}
}

// bed is a testbed on which the controller runs, and those that it has to do with.
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
		b.Bed.Run(endpoints.New(endpoints.Options{Env: b.Env(), Workers: 4}).Run)
		b.Bed.Run(garbage.New(garbage.Options{Env: b.Env(), Workers: 4}).Run)
		steps(b)
	})
}

// want compares the slices of the namespace default.
func (b bed) want(when string, want ...string) {
	b.Helper()
	synctest.Wait()
	var got []string
	for _, s := range testbed.List[*discoveryv1.EndpointSlice](b.Bed, "default") {
		_, text, _ := strings.Cut(backends.Step{Seen: s, Want: s}.String(), " to ")
		got = append(got, strings.TrimSuffix(text, ": "))
	}
	if !slices.Equal(got, want) {
		b.Errorf("%s: %q, want %q", when, got, want)
	}
}

func TestMirroring(t *testing.T) {
	run(t, func(b bed) {
		testbed.Create(b.Bed, endpointsOf("web=80 10.1.2.3"))
		b.want("without a service")
		testbed.Create(b.Bed, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubia"},
			Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "web", Port: 80, Protocol: corev1.ProtocolTCP}}},
		})
		b.want("with one", "IPv4 web:80/TCP [10.1.2.3]")
		testbed.Update(b.Bed, "default", "kubia", func(e *corev1.Endpoints) { e.Subsets[0].Addresses[0].IP = "10.2.3.4" })
		b.want("changed", "IPv4 web:80/TCP [10.2.3.4]")
		for _, s := range testbed.List[*discoveryv1.EndpointSlice](b.Bed, "default") {
			testbed.Delete[*discoveryv1.EndpointSlice](b.Bed, "default", s.Name)
		}
		b.want("its slice was deleted", "IPv4 web:80/TCP [10.2.3.4]")
		testbed.Update(b.Bed, "default", "kubia", func(e *corev1.Endpoints) { e.Labels = map[string]string{discoveryv1.LabelSkipMirror: "true"} })
		b.want("not to be mirrored")
		testbed.Update(b.Bed, "default", "kubia", func(e *corev1.Endpoints) { e.Labels = nil })
		b.want("to be mirrored", "IPv4 web:80/TCP [10.2.3.4]")
		testbed.Update(b.Bed, "default", "kubia", func(s *corev1.Service) { s.Spec.Selector = map[string]string{"app": "kubia"} })
		b.want("with a selector")
		testbed.Update(b.Bed, "default", "kubia", func(s *corev1.Service) { s.Spec.Selector = nil })
		testbed.Update(b.Bed, "default", "kubia", func(e *corev1.Endpoints) { e.Subsets = endpointsOf("web=80 10.1.2.3").Subsets })
		b.want("without", "IPv4 web:80/TCP [10.1.2.3]")
		testbed.Delete[*corev1.Endpoints](b.Bed, "default", "kubia")
		b.want("the Endpoints are gone")
		testbed.Create(b.Bed, endpointsOf("web=80 10.1.2.3"))
		b.want("there are others", "IPv4 web:80/TCP [10.1.2.3]")
		testbed.Delete[*corev1.Service](b.Bed, "default", "kubia")
		b.want("the service is gone")
	})
}

// TestNothingIsMissed holds that whatever is done, once nothing happens any more there is nothing to
// do for any Endpoints.
func TestNothingIsMissed(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		acts, settle := testbed.Churns().Draw(r, "acts"), rapid.Bool().Draw(r, "settle")
		var fault string
		run(t, func(b bed) {
			testbed.Stock(b.Bed)
			for _, a := range append([]testbed.Churn{{Verb: "selectless", Number: 1}, {Verb: "selectless", Number: 2}}, acts...) {
				a.Act(b.Bed)
				if settle {
					synctest.Wait()
				}
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			for n := range 4 {
				s, err := b.controller.observe(key{Namespace: "default", Name: fmt.Sprint("service-", n)})
				if p := makePlan(s); err != nil || len(p.steps) > 0 {
					fault = fmt.Sprintf("for service-%d there is to do\n%s (%v)", n, backends.Text(p.steps), err)
				}
			}
		})
		if fault != "" {
			r.Fatalf("%v (settle %v): %s", acts, settle, fault)
		}
	})
}
