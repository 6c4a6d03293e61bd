package endpointslices

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/cluster/backends"
	"skiff/orchestrator/internal/testbed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// service is one that selects app=kubia, with ports "name=target", where the target is a number or
// the name of a container's port.
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

// pod makes a pod on the node "node" of a line of words.
func pod(line string) *corev1.Pod {
	words := strings.Fields(line)
	p := testbed.Pod("default", words[0], map[string]string{"app": "kubia"})
	p.UID, p.Spec.NodeName = types.UID(words[0]), "node"
	condition := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "ip":
			p.Status.PodIP, p.Status.PodIPs = value, []corev1.PodIP{{IP: value}}
		case "on":
			p.Spec.NodeName = value
		case "uid":
			p.UID = types.UID(value)
		case "ready":
			condition.Status = corev1.ConditionTrue
			seconds, _ := strconv.Atoi(value)
			condition.LastTransitionTime = metav1.NewTime(now.Add(time.Duration(seconds) * time.Second))
		case "deleted":
			p.DeletionTimestamp = &metav1.Time{Time: now}
		case "phase":
			p.Status.Phase = corev1.PodPhase(value)
		case "host":
			p.Spec.Hostname, p.Spec.Subdomain, _ = strings.Cut(value, ".")
		case "port", "sidecar":
			name, number, _ := strings.Cut(value, ":")
			n, _ := strconv.Atoi(number)
			c := corev1.Container{Name: key, Ports: []corev1.ContainerPort{{Name: name, ContainerPort: int32(n), Protocol: corev1.ProtocolTCP}}}
			if key == "sidecar" {
				c.RestartPolicy = ptr.To(corev1.ContainerRestartPolicyAlways)
				p.Spec.InitContainers = append(p.Spec.InitContainers, c)
			} else {
				p.Spec.Containers = append(p.Spec.Containers, c)
			}
		default:
			panic(w)
		}
	}
	p.Status.Conditions = []corev1.PodCondition{condition}
	return p
}

func pods(lines ...string) []*corev1.Pod {
	var all []*corev1.Pod
	for _, line := range lines {
		all = append(all, pod(line))
	}
	return all
}

// many are ready pods p000 to p(n-1) with addresses.
func many(n int) []*corev1.Pod {
	var all []*corev1.Pod
	for i := range n {
		all = append(all, pod(fmt.Sprintf("p%03d ip=10.0.%d.%d ready=1", i, i/200, 1+i%200)))
	}
	return all
}

// play carries out steps on the slices of a snapshot.
func play(s *snapshot, steps []backends.Step) { s.slices = testbed.PlaySlices(s.slices, steps) }

// moment is a change of a story, and the plan that follows.
type moment struct {
	what   string
	change func(s *snapshot)
	want   string
}

// TestPlan tells stories: after each change the plan is compared, and carried out.
func TestPlan(t *testing.T) {
	for name, story := range stories {
		t.Run(name, func(t *testing.T) {
			s := snapshot{service: service("web=8080"), zones: map[string]string{"node": ""}}
			for _, m := range story {
				m.change(&s)
				steps := makePlan(s)
				if got := backends.Text(steps); got != m.want {
					t.Errorf("%s:\n%s\nwant\n%s", m.what, got, m.want)
				}
				play(&s, steps)
				if again := backends.Text(makePlan(s)); again != "" {
					t.Errorf("%s: and then\n%s", m.what, again)
				}
			}
		})
	}
}

func arePods(lines ...string) func(s *snapshot) { return func(s *snapshot) { s.pods = pods(lines...) } }

var stories = map[string][]moment{
	"the life of a pod": {
		{"none yet", arePods(), "create slice IPv4 without ports []: no endpoints"},
		{"without an address", arePods("a"), ""},
		{"with an address", arePods("a ip=10.0.0.1"), "update slice kubia-1 to IPv4 web:8080/TCP [a=10.0.0.1-unready]: 1 new"},
		{"ready", arePods("a ip=10.0.0.1 ready=1"), "update slice kubia-1 to IPv4 web:8080/TCP [a=10.0.0.1]: 1 changed"},
		{"ready since later", arePods("a ip=10.0.0.1 ready=2"), ""},
		{"it is deleted and serves on", arePods("a ip=10.0.0.1 ready=2 deleted"),
			"update slice kubia-1 to IPv4 web:8080/TCP [a=10.0.0.1-unready-terminating-serving]: 1 changed"},
		{"it serves no more", arePods("a ip=10.0.0.1 deleted"),
			"update slice kubia-1 to IPv4 web:8080/TCP [a=10.0.0.1-unready-terminating]: 1 changed"},
		{"it has ended", arePods("a ip=10.0.0.1 deleted phase=Succeeded"), "update slice kubia-1 to IPv4 without ports []: no endpoints"},
		{"it is gone", arePods(), ""},
	},
	"another pod takes name and address": {
		{"one", arePods("a ip=10.0.0.1 ready=1"), "create slice IPv4 web:8080/TCP [a=10.0.0.1]: 1 new"},
		{"another", arePods("a ip=10.0.0.1 ready=1 uid=b"), "update slice kubia-1 to IPv4 web:8080/TCP [a=10.0.0.1]: 1 changed"},
		{"another address", arePods("a ip=10.0.0.2 ready=1 uid=b"), "update slice kubia-1 to IPv4 web:8080/TCP [a=10.0.0.2]: 1 new, 1 gone"},
		{"a name beneath the service", arePods("a ip=10.0.0.2 ready=1 uid=b host=a.kubia"),
			"update slice kubia-1 to IPv4 web:8080/TCP [a=10.0.0.2]: 1 new, 1 gone"},
		{"the name is another service's", arePods("a ip=10.0.0.2 ready=1 uid=b host=a.other"),
			"update slice kubia-1 to IPv4 web:8080/TCP [a=10.0.0.2]: 1 new, 1 gone"},
	},
	"what is not ready is published": {
		{"it is", func(s *snapshot) {
			s.service.Spec.PublishNotReadyAddresses = true
			s.pods = pods("a ip=10.0.0.1", "b ip=10.0.0.2 ready=1 deleted", "c ip=10.0.0.3 on=lost", "d ip=10.0.0.4 phase=Failed", "e")
		}, "create slice IPv4 web:8080/TCP [a=10.0.0.1 b=10.0.0.2-terminating-serving c=10.0.0.3]: 3 new"},
		{"and not any more", func(s *snapshot) { s.service.Spec.PublishNotReadyAddresses = false },
			"update slice kubia-1 to IPv4 web:8080/TCP [a=10.0.0.1-unready b=10.0.0.2-unready-terminating-serving]: 1 gone, 2 changed"},
	},
	"ports by name": {
		{"two numbers and none", func(s *snapshot) {
			s.service = service("web=http", "adm=9000")
			s.pods = pods("a ip=10.0.0.1 ready=1 port=http:3000", "b ip=10.0.0.2 ready=1 port=http:3001", "c ip=10.0.0.3 ready=1",
				"d ip=10.0.0.4 ready=1 sidecar=http:3000")
		}, `create slice IPv4 web:3000/TCP,adm:9000/TCP [a=10.0.0.1 d=10.0.0.4]: 2 new
create slice IPv4 web:3001/TCP,adm:9000/TCP [b=10.0.0.2]: 1 new
create slice IPv4 adm:9000/TCP [c=10.0.0.3]: 1 new`},
		{"one goes", func(s *snapshot) { s.pods = slices.Delete(s.pods, 1, 2) }, "delete slice kubia-2: no pod has these ports any more"},
		{"all by number", func(s *snapshot) { s.service = service("web=3000", "adm=9000") },
			`update slice kubia-1 to IPv4 web:3000/TCP,adm:9000/TCP [a=10.0.0.1 d=10.0.0.4 c=10.0.0.3]: 1 new
delete slice kubia-3: no pod has these ports any more`},
		{"in another order", func(s *snapshot) { s.service = service("adm=9000", "web=3000") }, ""},
		{"of another protocol", func(s *snapshot) {
			s.service = service("web=http")
			s.service.Spec.Ports[0].Protocol = corev1.ProtocolUDP
		},
			"update slice kubia-1 to IPv4 without ports [a=10.0.0.1 c=10.0.0.3 d=10.0.0.4]: 3 new"},
	},
	"headless without ports": {
		{"two pods", func(s *snapshot) {
			s.service = service()
			s.service.Spec.ClusterIP = corev1.ClusterIPNone
			s.pods = pods("a ip=10.0.0.1 ready=1", "b ip=10.0.0.2 ready=1")
		}, "create slice IPv4 without ports [a=10.0.0.1 b=10.0.0.2]: 2 new"},
	},
	"a node that is not there": {
		{"lost", arePods("a ip=10.0.0.1 ready=1 on=lost", "b ip=10.0.0.2 ready=1"), "create slice IPv4 web:8080/TCP [b=10.0.0.2]: 1 new"},
		{"found", func(s *snapshot) { s.zones["lost"] = "" }, "update slice kubia-1 to IPv4 web:8080/TCP [b=10.0.0.2 a=10.0.0.1]: 1 new"},
	},
	"the service leads elsewhere": {
		{"one", arePods("a ip=10.0.0.1 ready=1"), "create slice IPv4 web:8080/TCP [a=10.0.0.1]: 1 new"},
		{"labels", func(s *snapshot) { s.service.Labels = map[string]string{"tier": "front"} },
			"update slice kubia-1 to IPv4 web:8080/TCP [a=10.0.0.1]: labels"},
		{"labels that are not its own to set", func(s *snapshot) {
			s.service.Labels = map[string]string{"tier": "front", corev1.IsHeadlessService: "", discoveryv1.LabelManagedBy: "me"}
		}, ""},
		{"ports", func(s *snapshot) { s.service.Spec.Ports[0].TargetPort = intstr.FromInt32(9090) },
			"update slice kubia-1 to IPv4 web:9090/TCP [a=10.0.0.1]: 1 new"},
		{"no selector", func(s *snapshot) { s.service.Spec.Selector, s.pods = nil, nil },
			"delete slice kubia-1: the service selects no pods"},
		{"a selector", func(s *snapshot) { s.service.Spec.Selector = map[string]string{"app": "kubia"} },
			"create slice IPv4 without ports []: no endpoints"},
		{"a name outside", func(s *snapshot) { s.service.Spec.Type = corev1.ServiceTypeExternalName },
			"delete slice kubia-1: the service is an external name"},
	},
	"another service of the name": {
		{"one", arePods("a ip=10.0.0.1 ready=1"), "create slice IPv4 web:8080/TCP [a=10.0.0.1]: 1 new"},
		{"another", func(s *snapshot) { s.service.UID = "another" },
			"delete slice kubia-1: of an earlier service of this name\ncreate slice IPv4 web:8080/TCP [a=10.0.0.1]: 1 new"},
		{"without a selector", func(s *snapshot) { s.service.UID, s.service.Spec.Selector = "third", nil }, ""},
	},
	"the service is being deleted": {
		{"one", arePods("a ip=10.0.0.1 ready=1"), "create slice IPv4 web:8080/TCP [a=10.0.0.1]: 1 new"},
		{"it goes", func(s *snapshot) { s.service.DeletionTimestamp = &metav1.Time{Time: now}; s.pods = nil },
			"update slice kubia-1 to IPv4 without ports []: no endpoints"},
		{"its slice is collected", func(s *snapshot) { s.slices = nil; s.service.DeletionTimestamp = nil }, "create slice IPv4 without ports []: no endpoints"},
	},
}

// TestNothingIsCreatedForAServiceThatGoes: the garbage collector would have to delete it at once.
func TestNothingIsCreatedForAServiceThatGoes(t *testing.T) {
	s := snapshot{service: service("web=8080"), zones: map[string]string{"node": ""}, pods: pods("a ip=10.0.0.1 ready=1")}
	s.service.DeletionTimestamp = &metav1.Time{Time: now}
	if got := backends.Text(makePlan(s)); got != "" {
		t.Errorf("plan %s", got)
	}
}

// TestPacking: as few slices as possible are written.
func TestPacking(t *testing.T) {
	s := snapshot{service: service("web=8080"), zones: map[string]string{"node": ""}}
	all := many(402)
	for _, m := range []struct {
		what string
		pods []*corev1.Pod
		want string
	}{
		{"three and a bit", all[:310], "create 100 new, create 100 new, create 100 new, create 10 new"},
		{"more fit into the last", all[:330], "update kubia-4 20 new"},
		{"not all fit into it", all[:401], "create 71 new"},
		{"one goes", all[1:401], "update kubia-1 1 gone"},
		{"one goes and one comes", slices.Concat(all[1:100], all[101:402]), "update kubia-2 1 new, 1 gone"},
		{"gaps alone are not worth a move", slices.Concat(all[2:100], all[101:402]), "update kubia-1 1 gone"},
		{"what comes fits best beside the most", slices.Concat(all[1:100], all[101:402]), "update kubia-1 1 new"},
		{"a slice is emptied", all[101:402], "delete kubia-1 no endpoint is left in it"},
		{"one is emptied and one comes", slices.Concat(all[:1], all[200:401]), "update kubia-2 1 new, 100 gone"},
	} {
		s.pods = m.pods
		steps := makePlan(s)
		var got []string
		for _, step := range steps {
			words := strings.Fields(step.String())
			name := ""
			if step.Seen != nil {
				name = " " + step.Seen.Name
			}
			got = append(got, words[0]+name+" "+step.Cause)
		}
		if text := strings.Join(got, ", "); text != m.want {
			t.Errorf("%s: %s\nwant %s", m.what, text, m.want)
		}
		play(&s, steps)
	}
}

// TestFields compares what plans do not tell.
func TestFields(t *testing.T) {
	s := snapshot{
		service: service("web=8080"), zones: map[string]string{"node": "zone", "plain": ""},
		pods: pods("a ip=10.0.0.1 ready=7 host=a.kubia", "b ip=10.0.0.2 on=plain ready=3", "c ip=10.0.0.3"),
	}
	s.service.Spec.ClusterIP = corev1.ClusterIPNone
	s.service.Spec.Ports[0].AppProtocol = ptr.To("http")
	hints := func() string {
		var all []string
		for _, e := range s.slices[0].Endpoints {
			h := ptr.Deref(e.Hints, discoveryv1.EndpointHints{})
			all = append(all, fmt.Sprint(e.TargetRef.Name, h.ForZones, h.ForNodes))
		}
		return strings.Join(all, " ")
	}
	play(&s, makePlan(s))
	made := s.slices[0]
	for what, c := range map[string]struct{ got, want any }{
		"labels": {made.Labels, map[string]string{"kubernetes.io/service-name": "kubia",
			"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io", "service.kubernetes.io/headless": ""}},
		"owner": {made.OwnerReferences[0].String(), metav1.NewControllerRef(s.service, corev1.SchemeGroupVersion.WithKind("Service")).String()},
		"name":  {made.GenerateName, "kubia-"},
		"port":  {*made.Ports[0].AppProtocol, "http"},
		"host":  {*made.Endpoints[0].Hostname, "a"},
		"zone":  {*made.Endpoints[0].Zone, "zone"},
		"none":  {made.Endpoints[1].Zone == nil && made.Endpoints[1].Hostname == nil, true},
		"node":  {*made.Endpoints[1].NodeName, "plain"},
		"pod":   {*made.Endpoints[0].TargetRef, corev1.ObjectReference{Kind: "Pod", Namespace: "default", Name: "a", UID: "a"}},
		"since": {made.Annotations, map[string]string{"endpoints.kubernetes.io/last-change-trigger-time": "2026-01-02T03:04:05Z"}},
		"hints": {hints(), "a[] [] b[] [] c[] []"},
	} {
		if fmt.Sprint(c.got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %v, want %v", what, c.got, c.want)
		}
	}
	for _, c := range []struct{ preference, want string }{
		{"PreferSameZone", "a[{zone}] [] b[] [] c[] []"},
		{"PreferSameNode", "a[{zone}] [{node}] b[] [{plain}] c[] []"},
		{"PreferClose", "a[{zone}] [] b[] [] c[] []"},
		{"", "a[] [] b[] [] c[] []"},
	} {
		s.service.Spec.TrafficDistribution = &c.preference
		play(&s, makePlan(s))
		if got := hints(); got != c.want {
			t.Errorf("%s: %s, want %s", c.preference, got, c.want)
		}
	}
}

// TestTriggerTime: a slice says when that happened which it was written for.
func TestTriggerTime(t *testing.T) {
	s := snapshot{service: service("web=8080"), zones: map[string]string{"node": ""}}
	for _, m := range []struct {
		what string
		pods []*corev1.Pod
		want string
	}{
		{"a new service", pods("a ip=10.0.0.1 ready=1"), "2026-01-02T03:04:05Z"},
		{"two pods more", pods("a ip=10.0.0.1 ready=1", "b ip=10.0.0.2 ready=9", "c ip=10.0.0.3 ready=8"), "2026-01-02T03:04:13Z"},
		{"nobody knows when it went", pods("a ip=10.0.0.1 ready=1", "b ip=10.0.0.2 ready=9"), ""},
		{"nor when it was deleted", pods("a ip=10.0.0.1 ready=1 deleted", "b ip=10.0.0.2 ready=9"), ""},
	} {
		s.pods = m.pods
		play(&s, makePlan(s))
		if got := s.slices[0].Annotations[corev1.EndpointsLastChangeTriggerTime]; got != m.want {
			t.Errorf("%s: %q, want %q", m.what, got, m.want)
		}
	}
}
