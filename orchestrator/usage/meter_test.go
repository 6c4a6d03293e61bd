package usage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"

	"skiff/docker"
	"skiff/manifests/nodefacts"
	"skiff/manifests/podfacts"
)

// engine is a Source whose containers use a fixed share of a processor.
type engine struct {
	began   time.Time
	cores   map[string]float64
	machine float64
	reads   int
	fails   error
}

func (e *engine) counter(cores float64) docker.Usage {
	now := time.Now()
	return docker.Usage{At: now, CPU: time.Duration(cores * float64(now.Sub(e.began))), Memory: 64 << 20}
}

func (e *engine) Usage(_ context.Context, ids []string) (map[string]docker.Usage, error) {
	out := map[string]docker.Usage{}
	for _, id := range ids {
		if cores, ok := e.cores[id]; ok {
			e.reads++
			out[id] = e.counter(cores)
		}
	}
	return out, e.fails
}

func (e *engine) MachineUsage(context.Context) (docker.Usage, bool) {
	return e.counter(e.machine), e.machine > 0
}

func pod(node, name string, containers ...string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: corev1.PodSpec{NodeName: node}, Status: corev1.PodStatus{Phase: corev1.PodRunning}}
	for _, c := range containers {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: c, Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("32Mi")},
		}})
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: c, ContainerID: "docker://" + name + "." + c, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
		})
	}
	return p
}

func text(list corev1.ResourceList) string {
	return fmt.Sprintf("cpu %dm memory %dMi", list.Cpu().MilliValue(), list.Memory().Value()>>20)
}

func podsText(pods []metricsv1beta1.PodMetrics) string {
	var lines []string
	for _, p := range pods {
		for _, c := range p.Containers {
			lines = append(lines, fmt.Sprintf("%s/%s %s over %s", p.Name, c.Name, text(c.Usage), p.Window.Duration))
		}
	}
	return strings.Join(lines, "\n")
}

// world is a meter of three nodes: the machine's, a virtual and a simulated one.
func world(e *engine, pods ...*corev1.Pod) *Meter {
	e.began = time.Now()
	nodes := map[string]*corev1.Node{"own": {}, "virtual": {}, "simulated": {}}
	nodes["virtual"].Labels = map[string]string{nodefacts.LabelVirtual: "true"}
	nodes["simulated"].Labels = map[string]string{nodefacts.LabelVirtual: "true", nodefacts.LabelSimulated: "true"}
	return New(Options{
		Source: e, Own: "own", Simulated: func(name string) bool { return nodes[name] != nil && nodefacts.Simulated(nodes[name]) },
		Pods: func(node string) (out []*corev1.Pod) {
			return slices.DeleteFunc(slices.Clone(pods), func(p *corev1.Pod) bool { return p.Spec.NodeName != node })
		},
	})
}

func TestPods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &engine{cores: map[string]float64{"a.web": 0.25, "a.side": 0.01, "b.web": 1.5}}
		a, b := pod("own", "a", "web", "side"), pod("virtual", "b", "web")
		pending, ended := pod("own", "pending", "web"), pod("own", "ended", "web")
		pending.Status.Phase = corev1.PodPending
		said := pod("simulated", "said", "web")
		said.Annotations = map[string]string{podfacts.UsageAnnotation: "cpu=2"}
		wrong := pod("simulated", "wrong", "web")
		wrong.Annotations = map[string]string{podfacts.UsageAnnotation: "disk=2"}
		all := []*corev1.Pod{a, b, pending, ended, pod("simulated", "requests", "web"), said, wrong}
		m := world(e, all...)
		ask := func(want string) {
			t.Helper()
			got, err := m.Pods(t.Context(), all)
			if err != nil || podsText(got) != want {
				t.Errorf("got %v\n%s\nwant\n%s", err, podsText(got), want)
			}
		}
		shown := func(window string) string {
			return "a/web cpu 250m memory 64Mi over " + window + "\na/side cpu 10m memory 64Mi over " + window + "\nb/web cpu 1500m memory 64Mi over " + window +
				"\nrequests/web cpu 100m memory 32Mi over 15s\nsaid/web cpu 2000m memory 32Mi over 15s"
		}
		began := time.Now()
		ask(shown("500ms"))
		if took := time.Since(began); took != pause {
			t.Errorf("the first answer took %s", took)
		}
		before := e.reads
		ask(shown("500ms")) // at once, of what was read
		if e.reads != before {
			t.Errorf("%d readings for a question that was just answered", e.reads-before)
		}
		time.Sleep(2 * time.Second)
		ask(shown("2.5s"))
		time.Sleep(20 * time.Second)
		ask(shown("20s"))
		time.Sleep(time.Second)
		ask(shown("21s"))        // the latest of those that are old enough
		e.cores["b.web"] = 0.001 // started anew: its counter runs backwards
		time.Sleep(time.Second)
		if got, _ := m.Pods(t.Context(), []*corev1.Pod{b}); podsText(got) != "b/web cpu 1m memory 64Mi over 500ms" {
			t.Errorf("after a restart by hand: %s", podsText(got))
		}
		time.Sleep(time.Hour)
		ask(strings.Replace(shown("500ms"), "1500m", "1m", 1))
	})
}

func TestNothingIsKeptForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &engine{cores: map[string]float64{"a.web": 0.25, "b.web": 1}}
		m := world(e)
		for range 100 {
			if _, err := m.Pods(t.Context(), []*corev1.Pod{pod("own", "a", "web")}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(fresh)
		}
		if n := len(m.counters.readings["a.web"]); n > 1+int(window/fresh)+1 {
			t.Errorf("%d readings kept", n)
		}
		time.Sleep(expiry)
		if _, err := m.Pods(t.Context(), []*corev1.Pod{pod("own", "b", "web")}); err != nil || len(m.counters.readings) != 1 {
			t.Errorf("%v, kept %v", err, m.counters.readings)
		}
	})
}

func TestNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &engine{cores: map[string]float64{"a.web": 0.25, "b.web": 1.5}, machine: 3}
		m := world(e, pod("own", "a", "web"), pod("virtual", "b", "web"), pod("simulated", "c", "web"))
		var nodes []*corev1.Node
		for _, name := range []string{"own", "virtual", "simulated", "off"} {
			nodes = append(nodes, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}})
		}
		nodes[3].Annotations = map[string]string{nodefacts.AnnotationPower: "off"}
		ask := func(want string) {
			t.Helper()
			got, err := m.Nodes(t.Context(), nodes)
			var lines []string
			for _, n := range got {
				lines = append(lines, fmt.Sprintf("%s %s over %s", n.Name, text(n.Usage), n.Window.Duration))
			}
			if text := strings.Join(lines, "\n"); err != nil || text != want {
				t.Errorf("got %v\n%s\nwant\n%s", err, text, want)
			}
		}
		ask("own cpu 3000m memory 64Mi over 500ms\nvirtual cpu 1500m memory 64Mi over 500ms\nsimulated cpu 100m memory 32Mi over 15s")
		time.Sleep(time.Hour)
		e.machine = 0 // it does not tell
		ask("own cpu 250m memory 64Mi over 500ms\nvirtual cpu 1500m memory 64Mi over 500ms\nsimulated cpu 100m memory 32Mi over 15s")
	})
}

func TestAnEngineThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := world(&engine{cores: map[string]float64{"a.web": 1}, fails: docker.ErrUnavailable})
		if _, err := m.Pods(t.Context(), []*corev1.Pod{pod("own", "a", "web")}); !errors.Is(err, docker.ErrUnavailable) {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		m.counters.turn <- struct{}{} // somebody reads
		if _, err := m.Pods(ctx, nil); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
