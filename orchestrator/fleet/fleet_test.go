package fleet

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/docker"
	"skiff/manifests/nodefacts"
	"skiff/manifests/registry"
)

func TestPlan(t *testing.T) {
	on := &corev1.Node{ObjectMeta: metav1.ObjectMeta{UID: "1"}}
	power := &corev1.Node{ObjectMeta: metav1.ObjectMeta{UID: "1", Annotations: map[string]string{nodefacts.AnnotationPower: "off"}}}
	small := &corev1.Node{ObjectMeta: metav1.ObjectMeta{UID: "1", Annotations: map[string]string{nodefacts.AnnotationCapacity: "pods=1"}}}
	next := &corev1.Node{ObjectMeta: metav1.ObjectMeta{UID: "2"}}
	for _, c := range []struct {
		name string
		snapshot
		want string
	}{
		{"new", snapshot{node: on, exists: true}, "start agent: its power is on"},
		{"runs", snapshot{node: on, exists: true, uid: "1", running: true}, ""},
		{"new, and off", snapshot{node: power, exists: true}, "kill containers: its power is off"},
		{"switched off", snapshot{node: power, exists: true, uid: "1", running: true}, "stop agent: its power is off\nkill containers: its power is off"},
		{"could not be halted", snapshot{node: power, exists: true, uid: "1"}, "kill containers: its power is off"},
		{"is off", snapshot{node: power, exists: true, uid: "1", killed: true}, ""},
		{"switched on", snapshot{node: on, exists: true, uid: "1", killed: true}, "start agent: its power is on"},
		{"smaller", snapshot{node: small, exists: true, uid: "1", running: true}, "stop agent: its capacity has changed\nstart agent: its power is on"},
		{"gone", snapshot{uid: "1", running: true}, "stop agent: the node is gone\ndestroy: the node is gone"},
		{"gone while it was off", snapshot{uid: "1", killed: true}, "destroy: the node is gone"},
		{"another of its name", snapshot{node: next, exists: true, uid: "1", running: true},
			"stop agent: another node has its name\ndestroy: another node has its name\nstart agent: its power is on"},
		{"no longer ours", snapshot{exists: true, uid: "1", running: true}, "stop agent: the node is not skiff's to run\nrelease: the node is not skiff's to run"},
		{"never ours", snapshot{exists: true}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := makePlan(c.snapshot).String(); got != c.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, c.want)
			}
		})
	}
}

func TestCapacity(t *testing.T) {
	for text, want := range map[string]string{
		"":                "map[]",
		"pods=3,cpu=500m": "map[cpu:500m pods:3]",
		"pods":            "annotation skiff/capacity of node n: \"pods\" is not a resource and its quantity, as pods=110",
		"pods=-1":         "annotation skiff/capacity of node n: \"pods=-1\" is not a resource and its quantity, as pods=110",
	} {
		list, err := capacity(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", Annotations: map[string]string{nodefacts.AnnotationCapacity: text}}})
		var words []string
		for _, name := range []corev1.ResourceName{"cpu", "pods"} {
			if q, ok := list[name]; ok {
				words = append(words, string(name)+":"+q.String())
			}
		}
		got := "map[" + strings.Join(words, " ") + "]"
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

// pass lets time pass.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (w *world) expect(what, got, want string) {
	w.Helper()
	if got != want {
		w.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func TestNodeFailsAndReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.seconds = 30
		w.restart() // with the shorter toleration
		w.add("a")
		w.add("b")
		pass(2 * time.Second)
		w.expect("a is ready", w.ready("a"), "True")
		w.replicas("kubia", 4, map[string]string{nodefacts.LabelVirtual: "true"}, func(s *corev1.PodSpec) { s.TerminationGracePeriodSeconds = nil })
		pass(2 * time.Second)
		w.expect("pods", w.readyOn(), "a=2 b=2")
		w.expect("containers", w.containers(), "a:running a:running b:running b:running")

		w.power("b", "off")
		pass(time.Second)
		w.expect("containers", w.containers(), "a:running a:running b:exited b:exited")
		w.expect("nobody has noticed: pods", w.readyOn(), "a=2 b=2")
		w.expect("b is ready", w.ready("b"), "True")
		if w.fleet.Agent("b") != nil {
			t.Error("an agent runs on b")
		}
		pass(w.grace)
		w.expect("b is ready", w.ready("b"), "Unknown")
		w.expect("pods", w.readyOn(), "a=2")
		pass(31 * time.Second)
		w.expect("replaced: pods", w.readyOn(), "a=4")
		if n := len(w.pods()); n != 6 {
			t.Errorf("%d pods, want those on b terminating", n)
		}

		w.power("b", "on")
		pass(5 * time.Second)
		w.expect("b is ready", w.ready("b"), "True")
		w.expect("what was left is gone: containers", w.containers(), "a:running a:running a:running a:running")
		if n := len(w.pods()); n != 4 {
			t.Errorf("%d pods, want 4", n)
		}
		n, _ := registry.For[*corev1.Node](w.registry).Get("", "b")
		if len(n.Spec.Taints) > 0 {
			t.Errorf("taints stay: %v", n.Spec.Taints)
		}
	})
}

// TestShortFailure holds that a node that is back before its pods are evicted restarts them.
func TestShortFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.add("a")
		w.replicas("kubia", 1, map[string]string{nodefacts.LabelVirtual: "true"})
		pass(2 * time.Second)
		before := w.pods()[0]
		w.power("a", "off")
		pass(time.Minute)
		w.power("a", "on")
		pass(5 * time.Second)
		w.expect("pods", w.readyOn(), "a=1")
		after := w.pods()[0]
		if after.UID != before.UID || after.Status.PodIP != before.Status.PodIP || after.Status.ContainerStatuses[0].RestartCount != 1 {
			t.Errorf("pod %s at %s, restarts %+v; before: %s at %s", after.Name, after.Status.PodIP, after.Status.ContainerStatuses, before.Name, before.Status.PodIP)
		}
	})
}

func TestRemovedNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.add("a")
		w.add("b")
		pass(time.Second)
		w.replicas("kubia", 2, map[string]string{nodefacts.LabelVirtual: "true"})
		pass(2 * time.Second)
		w.expect("pods", w.readyOn(), "a=1 b=1")
		w.remove("b")
		pass(time.Second)
		w.expect("b", w.ready("b"), "gone")
		w.expect("containers", w.containers(), "a:running a:running")
		w.expect("pods", w.readyOn(), "a=2")
		if !w.kept("a") || w.kept("b") {
			t.Error("the volumes of a are gone, or those of b are kept")
		}
		pass(time.Minute)
		w.expect("b stays away", w.ready("b"), "gone")
	})
}

// TestSameNameAgain holds that a node that is created again under its old name has nothing of the
// old one.
func TestSameNameAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.add("a")
		pass(time.Second)
		w.replicas("kubia", 1, map[string]string{nodefacts.LabelVirtual: "true"})
		pass(time.Second)
		w.remove("a")
		w.add("a")
		pass(3 * time.Second)
		w.expect("a is ready", w.ready("a"), "True")
		w.expect("pods", w.readyOn(), "a=1")
		w.expect("containers", w.containers(), "a:running")
	})
}

func TestDaemonRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.add("a")
		w.add("b", "off")
		w.add("c")
		pass(time.Second)
		w.replicas("kubia", 2, map[string]string{nodefacts.LabelVirtual: "true"})
		pass(2 * time.Second)
		w.expect("pods", w.readyOn(), "a=1 c=1")
		before := w.pods()
		w.stop()
		pass(time.Hour)
		w.start()
		pass(2 * time.Second)
		w.expect("pods", w.readyOn(), "a=1 c=1")
		for i, p := range w.pods() {
			if p.UID != before[i].UID || p.Status.ContainerStatuses[0].RestartCount != 0 || p.Status.PodIP != before[i].Status.PodIP {
				t.Errorf("pod %s was not taken over: %+v", p.Name, p.Status)
			}
		}
		if w.fleet.Agent("b") != nil {
			t.Error("b was switched on")
		}

		// What is removed while no daemon runs goes when one runs again.
		w.stop()
		w.start()
		w.remove("c")
		w.stop()
		w.start()
		pass(time.Second)
		w.expect("containers", w.containers(), "a:running a:running")
		w.expect("pods", w.readyOn(), "a=2")
	})
}

// TestEngineOutage holds that what could not be done during an outage is done when the engine is
// back.
func TestEngineOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.add("a")
		w.add("b")
		pass(time.Second)
		w.replicas("kubia", 2, map[string]string{nodefacts.LabelVirtual: "true"})
		pass(2 * time.Second)
		w.engine.Outage(docker.ErrUnavailable)
		w.power("a", "off")
		w.remove("b")
		pass(10 * time.Second)
		w.engine.Recover()
		pass(40 * time.Second)
		w.expect("containers", w.containers(), "a:exited")
	})
}

func TestMachinesOwnNodeIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		pass(time.Second)
		_, err := registry.For[*corev1.Node](w.registry).Update(context.Background(), "", own, func(n *corev1.Node) error {
			n.Labels[nodefacts.LabelVirtual] = "true"
			n.Annotations = map[string]string{nodefacts.AnnotationPower: "off"}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		w.expect("ready", w.ready(own), "True")
		// Deleting its object is an accident: it registers itself again, before its pods are given
		// up.
		w.remove(own)
		pass(11 * time.Second)
		w.expect("ready", w.ready(own), "True")
	})
}

func TestSimulatedNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.add("s", "simulated", "capacity=pods=3")
		w.replicas("kubia", 4, map[string]string{nodefacts.LabelSimulated: "true"}, func(s *corev1.PodSpec) {
			s.Containers[0].ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"false"}}}}
		})
		pass(3 * time.Second)
		w.expect("pods", w.readyOn(), "s=3")
		w.expect("nothing runs on the engine", w.containers(), "")
		if ip := podOn(w, "s").Status.PodIP; !strings.HasPrefix(ip, "198.18.") {
			t.Errorf("pod IP %s", ip)
		}
		before := podOn(w, "s")
		w.add("t", "simulated", "pair=yes")
		w.replicas("pair", 1, map[string]string{"pair": "yes"}, func(s *corev1.PodSpec) {
			s.Containers = append(s.Containers, corev1.Container{Name: "ends", Image: "kubia", Command: []string{"sleep", "60"}})
		})
		pass(3 * time.Second)
		w.expect("pods", w.readyOn(), "s=3 t=2")
		w.restart()
		pass(3 * time.Second)
		w.expect("after a restart: pods", w.readyOn(), "s=3 t=2")
		pair := podOf(w, "pair")
		for _, c := range pair.Status.ContainerStatuses {
			if c.RestartCount != 0 {
				t.Errorf("container %s was restarted: %+v", c.Name, c)
			}
		}
		began := pair.Status.ContainerStatuses[0].State.Running.StartedAt
		pass(time.Minute)
		c := podOf(w, "pair").Status.ContainerStatuses[0]
		if end := c.LastTerminationState.Terminated; c.RestartCount != 1 || end == nil || end.ExitCode != 0 || !end.StartedAt.Equal(&began) || end.FinishedAt.Sub(began.Time) != time.Minute {
			t.Errorf("the container did not end as it would have: %+v", c)
		}
		w.remove("t")
		after, _ := registry.For[*corev1.Pod](w.registry).Get("default", before.Name)
		if c := after.Status.ContainerStatuses[0]; c.RestartCount != 0 || after.Status.PodIP != before.Status.PodIP {
			t.Errorf("the pod was not taken over: %s, %+v", after.Status.PodIP, c)
		}
		w.power("s", "off")
		pass(time.Second)
		w.power("s", "on")
		pass(3 * time.Second)
		after, _ = registry.For[*corev1.Pod](w.registry).Get("default", before.Name)
		if c := after.Status.ContainerStatuses[0]; c.RestartCount != 1 {
			t.Errorf("the pod was not restarted: %+v", c)
		}
		w.remove("s")
		pass(time.Second)
		w.expect("pods", w.readyOn(), "")
	})
}

func podOn(w *world, name string) *corev1.Pod {
	for _, p := range w.pods() {
		if p.Spec.NodeName == name {
			return p
		}
	}
	w.Fatalf("no pod on %s", name)
	return nil
}

func podOf(w *world, app string) *corev1.Pod {
	for _, p := range w.pods() {
		if p.Labels["app"] == app {
			return p
		}
	}
	w.Fatalf("no pod of %s", app)
	return nil
}

// TestStoppedNodeKeepsItsAddresses holds that a pod of a node that was off keeps its address, which
// nobody else gets meanwhile, through a restart of the daemon too.
func TestStoppedNodeKeepsItsAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.add("a", "on=a")
		w.add("b", "on=b")
		pass(time.Second)
		w.replicas("first", 1, map[string]string{"on": "a"})
		pass(time.Second)
		before := podOf(w, "first")
		w.power("a", "off")
		pass(time.Second)
		w.restart()
		pass(3 * time.Second)
		w.replicas("second", 5, map[string]string{"on": "b"})
		pass(2 * time.Second)
		w.expect("pods", w.readyOn(), "a=1 b=5")
		w.power("a", "on")
		pass(5 * time.Second)
		after := podOf(w, "first")
		if after.UID != before.UID || after.Status.PodIP != before.Status.PodIP || after.Status.ContainerStatuses[0].RestartCount != 1 {
			t.Errorf("pod at %s, before at %s: %+v", after.Status.PodIP, before.Status.PodIP, after.Status.ContainerStatuses)
		}
	})
}
