package backends_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"skiff/manifests/registry"
	"skiff/orchestrator/cluster/backends"
	"skiff/orchestrator/internal/testbed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// labels are written "app=kubia,tier=front".
func labels(text string) map[string]string {
	var all map[string]string
	for _, pair := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' }) {
		if all == nil {
			all = map[string]string{}
		}
		key, value, _ := strings.Cut(pair, "=")
		all[key] = value
	}
	return all
}

func service(namespace, name, selector string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.ServiceSpec{
			Selector: labels(selector),
			Ports:    []corev1.ServicePort{{Name: "web", Port: 80, TargetPort: intstr.FromInt32(80), Protocol: corev1.ProtocolTCP}},
		},
	}
}

// TestSelection: Services find their pods and pods their Services, and none of another namespace.
func TestSelection(t *testing.T) {
	b := testbed.New(t)
	testbed.Create(b, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "other"}})
	for name, with := range map[string]string{
		"a": "app=kubia", "b": "app=kubia,tier=front", "c": "app=foo,tier=front", "d": "", "e": "app=kubia,tier=back,x=",
	} {
		testbed.Create(b, testbed.Pod("default", name, labels(with)))
	}
	testbed.Create(b, testbed.Pod("other", "f", labels("app=kubia,tier=front")))
	for name, selector := range map[string]string{
		"all": "app=kubia", "front": "app=kubia,tier=front", "any": "tier=front", "none": "", "odd": "x=", "nobody": "app=bar",
	} {
		testbed.Create(b, service("default", name, selector))
	}
	testbed.Create(b, service("other", "all", "app=kubia"))
	pods, services := registry.For[*corev1.Pod](b.Registry), registry.For[*corev1.Service](b.Registry)
	for name, want := range map[string]string{"all": "a b e", "front": "b", "any": "b c", "none": "", "odd": "e", "nobody": ""} {
		s, _ := testbed.Get[*corev1.Service](b, "default", name)
		var got []string
		for _, p := range backends.Selected(pods, s) {
			got = append(got, p.Name)
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s selects %q, want %q", name, text, want)
		}
	}
	for name, want := range map[string]string{
		"a": "default/all", "b": "default/all default/any default/front", "c": "default/any", "d": "", "e": "default/all default/odd",
	} {
		p, _ := testbed.Get[*corev1.Pod](b, "default", name)
		if got := keys(func(add func(types.NamespacedName)) { backends.Selecting(services, p, add) }); got != want {
			t.Errorf("%s is selected by %q, want %q", name, got, want)
		}
	}
}

// TestARareLabelFindsPods: that many bear another label of the selector does not matter.
func TestARareLabelFindsPods(t *testing.T) {
	b := testbed.New(t)
	for i := range 70 {
		testbed.Create(b, testbed.Pod("default", fmt.Sprintf("p%02d", i), map[string]string{"app": "kubia", "n": fmt.Sprint(i % 35)}))
	}
	found := backends.Selected(registry.For[*corev1.Pod](b.Registry), service("default", "kubia", "app=kubia,n=7"))
	if len(found) != 2 || found[0].Name != "p07" || found[1].Name != "p42" {
		t.Errorf("found %d pods", len(found))
	}
}

func keys(ask func(add func(types.NamespacedName))) string {
	var all []string
	ask(func(k types.NamespacedName) { all = append(all, k.String()) })
	slices.Sort(all)
	return strings.Join(all, " ")
}

// fixed are Services that are found whatever is asked for.
type fixed []*corev1.Service

func (f fixed) ByIndex(_, value string) []*corev1.Service {
	if !strings.Contains(value, "app=") {
		return nil
	}
	return f
}

func TestConcerns(t *testing.T) {
	services := fixed{service("default", "kubia", "app=kubia"), service("default", "foo", "app=foo")}
	pod := func(change func(p *corev1.Pod)) *corev1.Pod {
		p := testbed.Pod("default", "a", labels("app=kubia"))
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		change(p)
		return p
	}
	as := func(*corev1.Pod) {}
	for _, c := range []struct {
		what        string
		before, now *corev1.Pod
		want        string
	}{
		{"new", nil, pod(as), "default/kubia"},
		{"gone", pod(as), nil, "default/kubia"},
		{"the same", pod(as), pod(as), ""},
		{"a heartbeat", pod(as), pod(func(p *corev1.Pod) { p.Status.Message = "alive"; p.Status.Phase = corev1.PodRunning }), ""},
		{"ready since another time", pod(as), pod(func(p *corev1.Pod) { p.Status.Conditions[0].LastTransitionTime = metav1.NewTime(time.Unix(1, 0)) }), ""},
		{"not ready", pod(as), pod(func(p *corev1.Pod) { p.Status.Conditions = nil }), "default/kubia"},
		{"an address", pod(as), pod(func(p *corev1.Pod) { p.Status.PodIPs = []corev1.PodIP{{IP: "10.0.0.1"}} }), "default/kubia"},
		{"a node", pod(as), pod(func(p *corev1.Pod) { p.Spec.NodeName = "node" }), "default/kubia"},
		{"deleted", pod(as), pod(func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{} }), "default/kubia"},
		{"ended", pod(as), pod(func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }), "default/kubia"},
		{"a hostname", pod(as), pod(func(p *corev1.Pod) { p.Spec.Hostname = "a" }), "default/kubia"},
		{"other labels", pod(as), pod(func(p *corev1.Pod) { p.Labels = labels("app=foo") }), "default/foo default/kubia"},
		{"a label more", pod(as), pod(func(p *corev1.Pod) { p.Labels = labels("app=kubia,x=y") }), "default/kubia default/kubia"},
	} {
		if got := keys(func(add func(types.NamespacedName)) { backends.Concerns(services, c.now, c.before, add) }); got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}

func TestPort(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	tcp := func(name string, n int32) []corev1.ContainerPort {
		return []corev1.ContainerPort{{Name: name, ContainerPort: n, Protocol: corev1.ProtocolTCP}}
	}
	p := &corev1.Pod{Spec: corev1.PodSpec{
		Containers: []corev1.Container{{}, {Ports: tcp("http", 8080)}},
		InitContainers: []corev1.Container{
			{Ports: tcp("early", 1)}, {Ports: tcp("side", 2), RestartPolicy: &always},
		},
	}}
	for _, c := range []struct {
		target   intstr.IntOrString
		protocol corev1.Protocol
		want     string
	}{
		{intstr.FromInt32(9), corev1.ProtocolTCP, "9 true"},
		{intstr.FromString("http"), corev1.ProtocolTCP, "8080 true"},
		{intstr.FromString("http"), corev1.ProtocolUDP, "0 false"},
		{intstr.FromString("side"), corev1.ProtocolTCP, "2 true"},
		{intstr.FromString("early"), corev1.ProtocolTCP, "0 false"},
	} {
		if got := fmt.Sprint(backends.Port(p, &corev1.ServicePort{TargetPort: c.target, Protocol: c.protocol})); got != c.want {
			t.Errorf("%s/%s: %s, want %s", c.target.String(), c.protocol, got, c.want)
		}
	}
}

func TestAddress(t *testing.T) {
	p := &corev1.Pod{Status: corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: "?"}, {IP: "FD00:0::1"}, {IP: "10.0.0.1"}, {IP: "10.0.0.2"}}}}
	for family, want := range map[corev1.IPFamily]string{corev1.IPv4Protocol: "10.0.0.1 true", corev1.IPv6Protocol: "fd00::1 true"} {
		if ip, ok := backends.Address(p, family); fmt.Sprint(ip, " ", ok) != want {
			t.Errorf("%s: %s %t, want %s", family, ip, ok, want)
		}
	}
	if ip, ok := backends.Address(&corev1.Pod{}, corev1.IPv4Protocol); ok {
		t.Errorf("a pod without addresses has %q", ip)
	}
}
