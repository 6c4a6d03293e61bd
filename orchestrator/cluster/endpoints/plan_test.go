package endpoints

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"skiff/orchestrator/internal/testbed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// service is one that selects pods, with ports "name=target", where the target is a number or the
// name of a container's port.
func service(ports ...string) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubia", UID: "kubia-uid", CreationTimestamp: metav1.NewTime(now)},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "kubia"}, ClusterIP: "10.96.0.7", IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
		},
	}
	for _, p := range ports {
		name, target, _ := strings.Cut(p, "=")
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{
			Name: name, Port: 80, TargetPort: intstr.Parse(target), Protocol: corev1.ProtocolTCP,
		})
	}
	return s
}

// pods makes pods of lines of words: the name, and what is so.
func pods(lines ...string) []*corev1.Pod {
	var all []*corev1.Pod
	for i, line := range lines {
		words := strings.Fields(line)
		p := testbed.Pod("default", words[0], map[string]string{"app": "kubia"})
		p.UID, p.Spec.NodeName = types.UID(words[0]), "node"
		ip := fmt.Sprintf("10.0.%d.%d", i/200, 1+i%200)
		condition := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse}
		for _, w := range words[1:] {
			key, value, _ := strings.Cut(w, "=")
			switch key {
			case "nowhere":
				ip = ""
			case "ready":
				seconds, _ := strconv.Atoi(value)
				condition.Status, condition.LastTransitionTime = corev1.ConditionTrue, metav1.NewTime(now.Add(time.Duration(seconds)*time.Second))
			case "deleted":
				p.DeletionTimestamp = &metav1.Time{Time: now}
			case "ended":
				p.Status.Phase = corev1.PodSucceeded
			case "host":
				p.Spec.Hostname, p.Spec.Subdomain = value, "kubia"
			case "port":
				n, _ := strconv.Atoi(value)
				p.Spec.Containers[0].Ports = []corev1.ContainerPort{{Name: "http", ContainerPort: int32(n), Protocol: corev1.ProtocolTCP}}
			default:
				panic(w)
			}
		}
		if ip != "" {
			p.Status.PodIP, p.Status.PodIPs = ip, []corev1.PodIP{{IP: ip}}
		}
		p.Status.Conditions = []corev1.PodCondition{condition}
		all = append(all, p)
	}
	return all
}

// play carries out a plan on a snapshot.
func play(s *snapshot, p plan) {
	switch p.verb {
	case create, update:
		s.endpoints = p.want.DeepCopy()
	case remove:
		s.endpoints = nil
	}
}

// TestPlan tells stories: after each change the plan is compared, and carried out.
func TestPlan(t *testing.T) {
	arePods := func(lines ...string) func(*snapshot) { return func(s *snapshot) { s.pods = pods(lines...) } }
	for name, story := range map[string][]struct {
		what   string
		change func(s *snapshot)
		want   string
	}{
		"pods come and go": {
			{"none", arePods(), "create Endpoints kubia: the service has none"},
			{"one without an address, one not ready", arePods("a nowhere", "b"),
				"update Endpoints kubia: addresses\n  web:8080/TCP 10.0.0.2-unready"},
			{"both ready", arePods("a ready", "b ready"), "update Endpoints kubia: addresses\n  web:8080/TCP 10.0.0.1 10.0.0.2"},
			{"one is deleted", arePods("a ready deleted", "b ready"), "update Endpoints kubia: addresses\n  web:8080/TCP 10.0.0.2"},
			{"the other has ended", arePods("a ready deleted", "b ready ended"), "update Endpoints kubia: addresses"},
			{"they are gone", arePods(), ""},
			{"the service is gone", func(s *snapshot) { s.service = nil }, "delete Endpoints kubia: the service is gone"},
		},
		"what is not ready is published": {
			{"it is", func(s *snapshot) {
				s.service.Spec.PublishNotReadyAddresses = true
				s.pods = pods("a", "b ready deleted", "c ended", "d nowhere")
			}, "create Endpoints kubia: the service has none\n  web:8080/TCP 10.0.0.1 10.0.0.2"},
		},
		"ports by name": {
			{"two numbers and none", func(s *snapshot) {
				s.service = service("web=http", "adm=9000")
				s.pods = pods("a ready port=3000", "b ready port=3001", "c ready", "d port=3000")
			}, `create Endpoints kubia: the service has none
  web:3000/TCP 10.0.0.1 10.0.0.4-unready
  web:3001/TCP 10.0.0.2
  adm:9000/TCP 10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4-unready`},
			{"the same everywhere", func(s *snapshot) { s.pods = pods("a ready port=3000", "b ready port=3000") },
				"update Endpoints kubia: addresses\n  web:3000/TCP,adm:9000/TCP 10.0.0.1 10.0.0.2"},
			{"nobody has it", func(s *snapshot) { s.service = service("web=http"); s.pods = pods("a ready", "b ready") },
				"update Endpoints kubia: addresses"},
		},
		"headless": {
			{"without ports", func(s *snapshot) {
				s.service = service()
				s.service.Spec.ClusterIP = corev1.ClusterIPNone
				s.pods = pods("a ready", "b")
			}, "create Endpoints kubia: the service has none\n  without ports 10.0.0.1 10.0.0.2-unready"},
		},
		"the service leads elsewhere": {
			{"one", arePods("a ready"), "create Endpoints kubia: the service has none\n  web:8080/TCP 10.0.0.1"},
			{"labels", func(s *snapshot) { s.service.Labels = map[string]string{"tier": "front"} },
				"update Endpoints kubia: labels\n  web:8080/TCP 10.0.0.1"},
			{"somebody else wrote", func(s *snapshot) { s.endpoints.Subsets, s.endpoints.Labels = nil, nil },
				"update Endpoints kubia: addresses, labels\n  web:8080/TCP 10.0.0.1"},
			{"no selector", func(s *snapshot) { s.service.Spec.Selector, s.pods = nil, nil }, ""},
			{"a name outside", func(s *snapshot) { s.service.Spec.Type = corev1.ServiceTypeExternalName },
				"delete Endpoints kubia: the service is an external name"},
			{"somebody's own", func(s *snapshot) { s.endpoints = &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: "kubia"}} }, ""},
			{"of a service that is gone", func(s *snapshot) { s.service = nil }, "delete Endpoints kubia: the service is gone"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := snapshot{service: service("web=8080")}
			for _, m := range story {
				m.change(&s)
				p := makePlan(s)
				if got := p.String(); got != m.want {
					t.Errorf("%s:\n%s\nwant\n%s", m.what, got, m.want)
				}
				play(&s, p)
				if again := makePlan(s).String(); again != "" {
					t.Errorf("%s: and then\n%s", m.what, again)
				}
			}
		})
	}
}

// TestFields compares what plans do not tell.
func TestFields(t *testing.T) {
	s := snapshot{service: service("web=8080"), pods: pods("a ready=4 host=a", "b")}
	s.service.Spec.ClusterIP = corev1.ClusterIPNone
	s.service.Labels = map[string]string{"tier": "front"}
	play(&s, makePlan(s))
	address := s.endpoints.Subsets[0].Addresses[0]
	for what, c := range map[string]struct{ got, want any }{
		"labels": {s.endpoints.Labels, map[string]string{
			"tier": "front", "service.kubernetes.io/headless": "", "endpoints.kubernetes.io/managed-by": "endpoint-controller"}},
		"since": {s.endpoints.Annotations, map[string]string{"endpoints.kubernetes.io/last-change-trigger-time": "2026-01-02T03:04:05Z"}},
		"host":  {address.Hostname, "a"},
		"node":  {*address.NodeName, "node"},
		"pod":   {*address.TargetRef, corev1.ObjectReference{Kind: "Pod", Namespace: "default", Name: "a", UID: "a"}},
	} {
		if fmt.Sprint(c.got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %v, want %v", what, c.got, c.want)
		}
	}
	s.endpoints.Annotations["somebody"] = "else"
	for _, m := range []struct {
		what string
		pods []*corev1.Pod
		want string
	}{
		{"one became ready", pods("a ready=4 host=a", "b ready=6"), "2026-01-02T03:04:11Z"},
		{"one goes", pods("a ready=4 host=a"), ""},
	} {
		s.pods = m.pods
		play(&s, makePlan(s))
		if got := s.endpoints.Annotations[corev1.EndpointsLastChangeTriggerTime]; got != m.want || s.endpoints.Annotations["somebody"] != "else" {
			t.Errorf("%s: %v, want %q", m.what, s.endpoints.Annotations, m.want)
		}
	}
}

// TestTooMany: what is ready has precedence, and ports have their share.
func TestTooMany(t *testing.T) {
	lines := func(ready, unready int) []*corev1.Pod {
		var all []string
		for i := range ready + unready {
			state := " ready"
			if i >= ready {
				state = ""
			}
			all = append(all, fmt.Sprintf("p%04d port=%d%s", i, 3000+min(i%4, 1), state))
		}
		return pods(all...)
	}
	for _, c := range []struct {
		ready, unready int
		want           string
		truncated      bool
	}{
		{900, 100, "225+25 675+75", false},
		{900, 200, "225+25 675+75", true},
		{1000, 4, "250+0 750+0", true},
		{1200, 100, "250+0 750+0", true},
		{1001, 0, "251+0 749+0", true},
	} {
		s := snapshot{service: service("web=http"), pods: lines(c.ready, c.unready)}
		play(&s, makePlan(s))
		var got []string
		for _, subset := range s.endpoints.Subsets {
			got = append(got, fmt.Sprintf("%d+%d", len(subset.Addresses), len(subset.NotReadyAddresses)))
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%d and %d: %s, want %s", c.ready, c.unready, text, c.want)
		}
		if _, marked := s.endpoints.Annotations[corev1.EndpointsOverCapacity]; marked != c.truncated {
			t.Errorf("%d and %d: annotations %v", c.ready, c.unready, s.endpoints.Annotations)
		}
		if again := makePlan(s).String(); again != "" {
			t.Errorf("%d and %d: and then\n%s", c.ready, c.unready, again)
		}
		s.pods = s.pods[:10]
		play(&s, makePlan(s))
		if _, marked := s.endpoints.Annotations[corev1.EndpointsOverCapacity]; marked {
			t.Error("what fits is marked as too much")
		}
	}
}

func TestRepack(t *testing.T) {
	address := func(ip, uid string) corev1.EndpointAddress {
		a := corev1.EndpointAddress{IP: ip}
		if uid != "" {
			a.TargetRef = &corev1.ObjectReference{UID: types.UID(uid)}
		}
		return a
	}
	port := func(name string, n int32) corev1.EndpointPort {
		return corev1.EndpointPort{Name: name, Port: n, Protocol: corev1.ProtocolTCP}
	}
	addresses := func(all ...corev1.EndpointAddress) []corev1.EndpointAddress { return all }
	ports := func(all ...corev1.EndpointPort) []corev1.EndpointPort { return all }
	for _, c := range []struct {
		what    string
		subsets []corev1.EndpointSubset
		want    string
	}{
		{"none", nil, ""},
		{"one of no address", []corev1.EndpointSubset{{Ports: ports(port("a", 1))}}, ""},
		{"the same ports", []corev1.EndpointSubset{
			{Addresses: addresses(address("10.0.0.2", "")), Ports: ports(port("a", 1), port("b", 2))},
			{Addresses: addresses(address("10.0.0.1", "")), Ports: ports(port("b", 2), port("a", 1))},
		}, "a:1/TCP,b:2/TCP 10.0.0.1 10.0.0.2"},
		{"the same addresses", []corev1.EndpointSubset{
			{Addresses: addresses(address("10.0.0.1", "")), Ports: ports(port("b", 2))},
			{Addresses: addresses(address("10.0.0.1", "")), Ports: ports(port("a", 1))},
		}, "a:1/TCP,b:2/TCP 10.0.0.1"},
		{"ports in part", []corev1.EndpointSubset{
			{Addresses: addresses(address("10.0.0.1", ""), address("10.0.0.2", "")), Ports: ports(port("a", 1))},
			{Addresses: addresses(address("10.0.0.2", "")), Ports: ports(port("b", 2))},
		}, "a:1/TCP 10.0.0.1 10.0.0.2\nb:2/TCP 10.0.0.2"},
		{"ready and not", []corev1.EndpointSubset{
			{Addresses: addresses(address("10.0.0.1", "")), Ports: ports(port("a", 1))},
			{NotReadyAddresses: addresses(address("10.0.0.1", "")), Ports: ports(port("a", 1))},
		}, "a:1/TCP 10.0.0.1-unready"},
		{"two pods of one address", []corev1.EndpointSubset{
			{Addresses: addresses(address("10.0.0.1", "b"), address("10.0.0.1", "a"), address("10.0.0.1", "a"))},
		}, "without ports 10.0.0.1 10.0.0.1"},
	} {
		var lines []string
		for _, s := range Repack(c.subsets) {
			lines = append(lines, describe(&s))
		}
		if got := strings.Join(lines, "\n"); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.what, got, c.want)
		}
	}
}
