package scheduling

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"

	"skiff/manifests"
	"skiff/manifests/registry"
	"skiff/orchestrator/internal/testbed"
)

// bed is a testbed where the scheduler runs.
type bed struct {
	*testbed.Bed
	t *testing.T
	s *Scheduler
}

func newBed(t *testing.T) *bed {
	b := &bed{Bed: testbed.New(t), t: t}
	b.start()
	return b
}

func (b *bed) start() (stop func()) {
	b.s = New(Options{
		Pods: registry.For[*corev1.Pod](b.Registry), Nodes: registry.For[*corev1.Node](b.Registry), Binder: b.Registry.Pods(),
		Env: b.Env(), Workers: 8,
	})
	return b.Run(b.s.Run)
}

func (b *bed) node(line string) {
	b.t.Helper()
	testbed.Create(b.Bed, makeNode(line))
	b.nodeStatus(line)
}

func (b *bed) nodeStatus(line string) {
	b.t.Helper()
	n := makeNode(line)
	testbed.UpdateStatus(b.Bed, "", n.Name, func(stored *corev1.Node) { stored.Status = n.Status })
}

func (b *bed) pod(line string) {
	b.t.Helper()
	p := makePod(line)
	p.UID = ""
	p.Spec.Containers[0].Image = "kubia"
	for i := range p.Spec.Containers[0].Ports {
		p.Spec.Containers[0].Ports[i].ContainerPort = 80
	}
	manifests.Scheme().Default(p)
	testbed.Create(b.Bed, p)
}

// expect compares which pod is where.
func (b *bed) expect(what, want string) {
	b.t.Helper()
	synctest.Wait()
	var got []string
	for _, p := range testbed.List[*corev1.Pod](b.Bed, "default") {
		got = append(got, p.Name+":"+p.Spec.NodeName)
	}
	slices.Sort(got)
	if s := strings.Join(got, " "); s != want {
		b.t.Errorf("%s: %s, want %s", what, s, want)
	}
}

func (b *bed) scheduled(name string) string {
	p, _ := testbed.Get[*corev1.Pod](b.Bed, "default", name)
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled {
			return strings.TrimSpace(fmt.Sprintf("%s %s %s", c.Status, c.Reason, c.Message))
		}
	}
	return ""
}

func TestPodIsBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.node("n")
		b.pod("p")
		b.expect("bound", "p:n")
		if got, want := b.Recorder.Take(), "Normal Scheduled p: Successfully assigned default/p to n"; got != want {
			t.Errorf("events %s, want %s", got, want)
		}
		if got := b.scheduled("p"); got != "True" {
			t.Errorf("PodScheduled %s, want True", got)
		}
	})
}

func TestPodThatFitsNowhereSaysWhyAndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.node("n")
		b.pod("p select=disk:ssd")
		b.expect("not bound", "p:")
		message := "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector." +
			" preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
		if got, want := b.scheduled("p"), "False Unschedulable "+message; got != want {
			t.Errorf("PodScheduled\n%s\nwant\n%s", got, want)
		}
		if got, want := b.Recorder.Take(), "Warning FailedScheduling p: "+message; got != want {
			t.Errorf("events\n%s\nwant\n%s", got, want)
		}
		time.Sleep(time.Hour)
		testbed.UpdateStatus(b.Bed, "", "n", func(n *corev1.Node) { n.Status.NodeInfo.KernelVersion = "a heartbeat" })
		testbed.UpdateStatus(b.Bed, "default", "p", func(p *corev1.Pod) { p.Status.Message = "nothing to do with it" })
		synctest.Wait()
		if got := b.Recorder.Take(); got != "" {
			t.Errorf("tried again for nothing: %s", got)
		}
		testbed.Update(b.Bed, "", "n", func(n *corev1.Node) { n.Labels["disk"] = "ssd" })
		b.expect("the node has the label now", "p:n")
	})
}

func TestWhatLetsAWaitingPodIn(t *testing.T) {
	for _, c := range []struct {
		name        string
		node, other string
		pod         string
		change      func(b *bed)
	}{
		{"a first node", "", "", "p", func(b *bed) { b.node("n") }},
		{"a node becomes ready", "n ready=False", "", "p", func(b *bed) { b.nodeStatus("n") }},
		{"a node is uncordoned", "n cordoned", "", "p", func(b *bed) {
			testbed.Update(b.Bed, "", "n", func(n *corev1.Node) { n.Spec.Unschedulable = false })
		}},
		{"a taint goes", "n taint=x:NoSchedule", "", "p", func(b *bed) {
			testbed.Update(b.Bed, "", "n", func(n *corev1.Node) { n.Spec.Taints = nil })
		}},
		{"a node grows", "n cpu=1", "", "p cpu=2", func(b *bed) { b.nodeStatus("n cpu=2") }},
		{"a pod is deleted", "n cpu=1", "q cpu=1", "p cpu=1", func(b *bed) { testbed.Kill[*corev1.Pod](b.Bed, "default", "q") }},
		{"a pod ends", "n cpu=1", "q cpu=1", "p cpu=1", func(b *bed) {
			testbed.UpdateStatus(b.Bed, "default", "q", func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded })
		}},
		{"a port is free", "n", "q port=127.0.0.1/80", "p port=127.0.0.1/80", func(b *bed) { testbed.Kill[*corev1.Pod](b.Bed, "default", "q") }},
		{"the pod tolerates more", "n taint=x:NoSchedule", "", "p", func(b *bed) {
			testbed.Update(b.Bed, "default", "p", func(p *corev1.Pod) {
				p.Spec.Tolerations = append(p.Spec.Tolerations, corev1.Toleration{Key: "x", Operator: corev1.TolerationOpExists})
			})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t)
				if c.node != "" {
					b.node(c.node)
				}
				if c.other != "" {
					b.pod(c.other)
				}
				synctest.Wait()
				b.pod(c.pod)
				synctest.Wait()
				if p, _ := testbed.Get[*corev1.Pod](b.Bed, "default", "p"); p.Spec.NodeName != "" {
					t.Fatal("it is let in before")
				}
				c.change(b)
				synctest.Wait()
				if p, _ := testbed.Get[*corev1.Pod](b.Bed, "default", "p"); p.Spec.NodeName != "n" {
					t.Errorf("it is not let in at once: %s", b.scheduled("p"))
				}
			})
		})
	}
}

func TestPodsThatAreNotOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.node("n")
		other := testbed.Pod("default", "other", nil)
		other.Spec.SchedulerName = "mine"
		testbed.Create(b.Bed, other)
		gated := testbed.Pod("default", "gated", nil)
		gated.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/gate"}}
		testbed.Create(b.Bed, gated)
		b.expect("left alone", "gated: other:")
		testbed.Update(b.Bed, "default", "gated", func(p *corev1.Pod) { p.Spec.SchedulingGates = nil })
		b.expect("the gate is open", "gated:n other:")
	})
}

// TestTheSameReasonIsGivenOnce holds that a pod that waits says why once, however
// much happens that does not help it.
func TestTheSameReasonIsGivenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.node("n cpu=2")
		b.pod("q cpu=1")
		b.pod("p cpu=2")
		b.expect("p does not fit beside q", "p: q:n")
		b.Recorder.Take()
		for i := range 10 {
			testbed.Update(b.Bed, "", "n", func(n *corev1.Node) { n.Labels["i"] = fmt.Sprint(i) })
			b.pod(fmt.Sprintf("r%d", i))
			synctest.Wait()
			testbed.Kill[*corev1.Pod](b.Bed, "default", fmt.Sprintf("r%d", i))
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		if got := b.Recorder.Take(); strings.Contains(got, "FailedScheduling") {
			t.Errorf("said again: %s", got)
		}
		b.node("o cordoned")
		testbed.Kill[*corev1.Pod](b.Bed, "default", "q")
		b.expect("q has gone", "p:n")
	})
}

// TestRestartedSchedulerDoesNotRepeatItself holds that what a pod's condition says
// is not said in a second event.
func TestRestartedSchedulerDoesNotRepeatItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bed{Bed: testbed.New(t), t: t}
		stop := b.start()
		b.node("n")
		b.pod("p select=disk:ssd")
		synctest.Wait()
		if got := b.Recorder.Take(); strings.Count(got, "FailedScheduling") != 1 {
			t.Errorf("events %s", got)
		}
		stop()
		b.start()
		synctest.Wait()
		if got := b.Recorder.Take(); got != "" {
			t.Errorf("said again: %s", got)
		}
		b.node("m cordoned")
		time.Sleep(2 * patience)
		synctest.Wait()
		if got := b.Recorder.Take(); !strings.Contains(got, "0/2 nodes are available: 1 node(s) didn't match") {
			t.Errorf("what has changed is not said: %s", got)
		}
	})
}

func TestRestartedSchedulerKnowsWhatIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bed{Bed: testbed.New(t), t: t}
		stop := b.start()
		b.node("n cpu=2")
		b.pod("p cpu=2")
		synctest.Wait()
		stop()
		b.pod("q cpu=1")
		b.start()
		b.expect("full", "p:n q:")
	})
}

// TestNodesAreNeverOverfull holds that no order of pods coming and going puts
// more on a node than it has, and that no pod waits that would fit.
func TestNodesAreNeverOverfull(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		acts := rapid.SliceOfN(rapid.IntRange(0, 99), 1, 60).Draw(r, "acts")
		settle := rapid.Bool().Draw(r, "settle")
		var failure string
		synctest.Test(t, func(t *testing.T) { failure = crowd(t, acts, settle) })
		if failure != "" {
			r.Fatal(failure)
		}
	})
}

func crowd(t *testing.T, acts []int, settle bool) string {
	b := newBed(t)
	cores := map[string]int64{"a": 2, "b": 3, "c": 4}
	for name, n := range cores {
		b.node(fmt.Sprintf("%s cpu=%d pods=5", name, n))
	}
	for i, n := range acts {
		pods := testbed.List[*corev1.Pod](b.Bed, "default")
		switch {
		case n < 70 || len(pods) == 0:
			b.pod(fmt.Sprintf("p%d cpu=%d", i, n%3+1))
		default:
			_ = registry.For[*corev1.Pod](b.Registry).Delete(t.Context(), "default", pods[n%len(pods)].Name, deleteNow)
		}
		if settle {
			synctest.Wait()
		}
	}
	time.Sleep(time.Minute) // the pauses of those that wait
	synctest.Wait()
	used, count := map[string]int64{}, map[string]int{}
	var least int64 = 100
	for _, p := range testbed.List[*corev1.Pod](b.Bed, "default") {
		cpu := p.Spec.Containers[0].Resources.Requests.Cpu().Value()
		if p.Spec.NodeName == "" {
			least = min(least, cpu)
		}
		used[p.Spec.NodeName] += cpu
		count[p.Spec.NodeName]++
	}
	for name, n := range cores {
		if used[name] > n || count[name] > 5 {
			return fmt.Sprintf("node %s: %d pods with %d of %d cores", name, count[name], used[name], n)
		}
		if used[name]+least <= n && count[name] < 5 {
			return fmt.Sprintf("node %s has %d of %d cores free, a pod waits for %d", name, n-used[name], n, least)
		}
		if u := b.s.cache.nodes[name]; u.requests.milliCPU != used[name]*1000 || len(u.pods) != count[name] {
			return fmt.Sprintf("node %s is thought to use %d of %d pods' %d cores", name, u.requests.milliCPU, len(u.pods), used[name])
		}
	}
	return ""
}

var deleteNow = metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}
