package nodelife

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/manifests/nodefacts"
	"skiff/manifests/podfacts"
	"skiff/orchestrator/internal/testbed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// scene is a snapshot made of lines such as
//
//	a Ready=True heard=10s zone=z cordoned taint=key:Effect marked
//
// without Ready the node has never said anything.
func scene(lines ...string) snapshot {
	s := snapshot{
		heard: map[string]time.Time{}, grace: 40 * time.Second, startup: time.Minute, rate: 0.1,
		evicted: map[string]time.Time{}, marked: map[types.UID]bool{}, now: now,
	}
	for _, l := range lines {
		words := strings.Fields(l)
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: words[0], UID: types.UID(words[0]), Labels: map[string]string{}}}
		s.heard[n.Name] = now
		for _, w := range words[1:] {
			key, value, _ := strings.Cut(w, "=")
			switch key {
			case "heard":
				d, _ := time.ParseDuration(value)
				s.heard[n.Name] = now.Add(-d)
			case "zone":
				n.Labels[corev1.LabelTopologyZone] = value
			case "simulated":
				n.Labels[nodefacts.LabelSimulated] = "true"
			case "excluded":
				n.Labels[excluded] = ""
			case "cordoned":
				n.Spec.Unschedulable = true
			case "marked":
				s.marked[n.UID] = true
			case "taint":
				key, effect, _ := strings.Cut(value, ":")
				n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: "node.kubernetes.io/" + key, Effect: corev1.TaintEffect(effect)})
			default:
				n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{
					Type: corev1.NodeConditionType(key), Status: corev1.ConditionStatus(value),
				})
			}
		}
		s.nodes = append(s.nodes, n)
	}
	return s
}

func TestPlan(t *testing.T) {
	for _, c := range []struct {
		name  string
		nodes string
		want  string
	}{
		{"well", "a Ready=True\nb Ready=True heard=39s", "look again in 1s"},
		{"silent", "a Ready=True\nb Ready=True heard=40s", `
mark node b unknown: not heard from for 40s
taint node b node.kubernetes.io/unreachable:NoSchedule: Ready is Unknown
taint node b node.kubernetes.io/unreachable:NoExecute: Ready is Unknown
mark pods on node b not ready: Ready is Unknown
look again in 40s`},
		{"silent already", "a Ready=True\nb Ready=Unknown heard=2h marked taint=unreachable:NoSchedule taint=unreachable:NoExecute", "look again in 40s"},
		{"its pods may not have been marked", "a Ready=True\nb Ready=Unknown heard=2h taint=unreachable:NoSchedule taint=unreachable:NoExecute", `
mark pods on node b not ready: Ready is Unknown
look again in 40s`},
		{"not ready by its own word", "a Ready=True\nb Ready=False", `
taint node b node.kubernetes.io/not-ready:NoSchedule: Ready is False
taint node b node.kubernetes.io/not-ready:NoExecute: Ready is False
look again in 40s`},
		{"not ready, then silent", "a Ready=True\nb Ready=False heard=41s taint=not-ready:NoSchedule taint=not-ready:NoExecute", `
mark node b unknown: not heard from for 41s
taint node b node.kubernetes.io/unreachable:NoSchedule: Ready is Unknown
taint node b node.kubernetes.io/unreachable:NoExecute: Ready is Unknown
untaint node b node.kubernetes.io/not-ready:NoSchedule: Ready is Unknown
untaint node b node.kubernetes.io/not-ready:NoExecute: Ready is Unknown
mark pods on node b not ready: Ready is Unknown
look again in 40s`},
		{"back", "a Ready=True\nb Ready=True taint=unreachable:NoSchedule taint=unreachable:NoExecute taint=mine:NoExecute", `
untaint node b node.kubernetes.io/unreachable:NoSchedule: Ready is True
untaint node b node.kubernetes.io/unreachable:NoExecute: Ready is True
look again in 40s`},
		{"new, and has said nothing yet", "a Ready=True\nb heard=59s", "look again in 1s"},
		{"has never said anything", "a Ready=True\nb heard=60s", `
mark node b unknown: not heard from for 1m0s
taint node b node.kubernetes.io/unreachable:NoSchedule: Ready is Unknown
taint node b node.kubernetes.io/unreachable:NoExecute: Ready is Unknown
mark pods on node b not ready: Ready is Unknown
look again in 40s`},
		{"cordoned", "a Ready=True cordoned\nb Ready=True taint=unschedulable:NoSchedule", `
taint node a node.kubernetes.io/unschedulable:NoSchedule: it is cordoned
untaint node b node.kubernetes.io/unschedulable:NoSchedule: it is not cordoned
look again in 40s`},
		{"pressure", "a Ready=True DiskPressure=True MemoryPressure=False taint=memory-pressure:NoSchedule", `
taint node a node.kubernetes.io/disk-pressure:NoSchedule: DiskPressure is True
untaint node a node.kubernetes.io/memory-pressure:NoSchedule: the condition has passed
look again in 40s`},
		{"the only node is down: its pods stay", "a Ready=False", `
taint node a node.kubernetes.io/not-ready:NoSchedule: Ready is False
look again in 40s`},
		{"all are down: nobody is driven away any more", "a Ready=Unknown marked taint=unreachable:NoSchedule taint=unreachable:NoExecute\nb Ready=False taint=not-ready:NoSchedule zone=z", `
untaint node a node.kubernetes.io/unreachable:NoExecute: no node is ready
look again in 40s`},
		{"one node of a zone at a time", "a Ready=True\nb Ready=Unknown marked taint=unreachable:NoSchedule\nc Ready=Unknown marked taint=unreachable:NoSchedule", `
taint node b node.kubernetes.io/unreachable:NoExecute: Ready is Unknown
keep pods on node c: one node of a zone in 10s
look again in 10s`},
		{"zones do not wait for each other", "a Ready=True\nb Ready=Unknown marked taint=unreachable:NoSchedule\nc Ready=Unknown marked taint=unreachable:NoSchedule zone=z", `
taint node b node.kubernetes.io/unreachable:NoExecute: Ready is Unknown
taint node c node.kubernetes.io/unreachable:NoExecute: Ready is Unknown
look again in 40s`},
		{"most of a small zone is down", "a Ready=True\nb Ready=Unknown marked taint=unreachable:NoSchedule\nc Ready=Unknown marked taint=unreachable:NoSchedule\nd Ready=Unknown marked taint=unreachable:NoSchedule", `
keep pods on node b: 3 of 4 nodes of the zone are not ready
keep pods on node c: 3 of 4 nodes of the zone are not ready
keep pods on node d: 3 of 4 nodes of the zone are not ready
look again in 40s`},
		{"the engine is away, a simulated node is not: pods stay", "a Ready=True simulated\nb Ready=False taint=not-ready:NoSchedule", "look again in 40s"},
		{"a simulated node is down", "a Ready=False simulated taint=not-ready:NoSchedule\nb Ready=True", `
taint node a node.kubernetes.io/not-ready:NoExecute: Ready is False
look again in 40s`},
		{"nodes that do not count", "a Ready=True excluded\nb Ready=Unknown marked taint=unreachable:NoSchedule", "look again in 40s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := makePlan(scene(strings.Split(c.nodes, "\n")...)).String(); got != strings.TrimPrefix(c.want, "\n") {
				t.Errorf("got:\n%s\nwant:\n%s", got, c.want)
			}
		})
	}
}

// TestLargeZone: of a large zone that is mostly down, a node in 100 s.
func TestLargeZone(t *testing.T) {
	var lines []string
	for i := range 60 {
		lines = append(lines, fmt.Sprintf("n%02d Ready=Unknown marked taint=unreachable:NoSchedule", i))
	}
	s := scene(append(lines, "well Ready=True")...)
	if got := makePlan(s); len(got.taints) != 1 || len(got.held) != 59 {
		t.Errorf("got:\n%s", got)
	}
	s.evicted["/"] = now.Add(-99 * time.Second)
	if got := makePlan(s); len(got.taints) != 0 || got.wake != time.Second {
		t.Errorf("got:\n%s", got)
	}
	if _, changed := s.evicted["x"]; changed || len(s.evicted) != 1 {
		t.Errorf("the plan changed its snapshot: %v", s.evicted)
	}
}

// bed is a testbed with the controller.
type bed struct {
	*testbed.Bed
	*testing.T
}

func newBed(t *testing.T, nodes ...string) *bed {
	b := &bed{testbed.New(t), t}
	for _, name := range nodes {
		testbed.Create(b.Bed, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}})
		b.report(name, corev1.ConditionTrue)
	}
	b.start()
	return b
}

func (b *bed) start() (stop func()) {
	c := New(Options{Env: b.Env(), GracePeriod: 40 * time.Second})
	stop = b.Bed.Run(c.Run)
	synctest.Wait()
	return stop
}

// report is what a node says of itself.
func (b *bed) report(name string, ready corev1.ConditionStatus) {
	b.Helper()
	testbed.UpdateStatus(b.Bed, "", name, func(n *corev1.Node) {
		c := corev1.NodeCondition{Type: corev1.NodeReady, Status: ready, LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now()}
		n.Status.Conditions = slices.DeleteFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool { return c.Type == corev1.NodeReady })
		n.Status.Conditions = append(n.Status.Conditions, c)
	})
}

// beat renews leases every 10 s for so long.
func (b *bed) beat(during time.Duration, names ...string) {
	b.Helper()
	b.beatAt(0, during, names...)
}

// beatAt is beat by a clock that differs from this process's.
func (b *bed) beatAt(differs, during time.Duration, names ...string) {
	b.Helper()
	for range during / (10 * time.Second) {
		for _, name := range names {
			at := metav1.NewMicroTime(time.Now().Add(differs))
			if _, ok := testbed.Get[*coordinationv1.Lease](b.Bed, corev1.NamespaceNodeLease, name); !ok {
				testbed.Create(b.Bed, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: corev1.NamespaceNodeLease, Name: name}})
			}
			testbed.Update(b.Bed, corev1.NamespaceNodeLease, name, func(l *coordinationv1.Lease) { l.Spec.RenewTime = &at })
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
	}
}

func (b *bed) node(name string) string {
	b.Helper()
	n, ok := testbed.Get[*corev1.Node](b.Bed, "", name)
	if !ok {
		return "gone"
	}
	words := []string{name}
	for _, c := range n.Status.Conditions {
		words = append(words, fmt.Sprintf("%s=%s", c.Type, c.Status))
	}
	for _, t := range n.Spec.Taints {
		words = append(words, strings.TrimPrefix(t.ToString(), "node.kubernetes.io/"))
	}
	return strings.Join(words, " ")
}

func (b *bed) is(want string) {
	b.Helper()
	if got := b.node(strings.Fields(want)[0]); got != want {
		b.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestSilentNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "a", "b")
		pod := testbed.Pod("default", "p", nil)
		pod.Spec.NodeName = "b"
		testbed.Create(b.Bed, pod)
		testbed.UpdateStatus(b.Bed, "default", "p", func(p *corev1.Pod) {
			p.Status.Phase = corev1.PodRunning
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		})
		b.Recorder.Take()
		b.beat(time.Minute, "a", "b")
		b.beat(20*time.Second, "a")
		b.is("b Ready=True")
		b.beat(10*time.Second, "a")
		// The last heartbeat was 40 s ago.
		b.is("b Ready=Unknown MemoryPressure=Unknown DiskPressure=Unknown PIDPressure=Unknown unreachable:NoSchedule unreachable:NoExecute")
		n, _ := testbed.Get[*corev1.Node](b.Bed, "", "b")
		c := condition(&n.Status, corev1.NodeReady)
		if c.Reason != "NodeStatusUnknown" || c.Message != "Kubelet stopped posting node status." {
			t.Errorf("reason %q, message %q", c.Reason, c.Message)
		}
		if p, _ := testbed.Get[*corev1.Pod](b.Bed, "default", "p"); podfacts.Ready(p) || p.Status.Phase != corev1.PodRunning {
			t.Errorf("the pod's status is %+v", p.Status)
		}
		if got := b.Recorder.Take(); got != "Normal NodeNotReady b: Node b status is now: NodeNotReady\nWarning NodeNotReady p: Node is not ready" {
			t.Errorf("events:\n%s", got)
		}
		b.is("a Ready=True")

		b.report("b", corev1.ConditionTrue)
		synctest.Wait()
		b.is("b MemoryPressure=Unknown DiskPressure=Unknown PIDPressure=Unknown Ready=True")
		b.beat(30*time.Second, "a")
		b.is("b MemoryPressure=Unknown DiskPressure=Unknown PIDPressure=Unknown Ready=True")
	})
}

// TestClockOfLeases: a Lease that is renewed is a heartbeat, whatever the time that it bears.
func TestClockOfLeases(t *testing.T) {
	for _, jump := range []time.Duration{-time.Hour, time.Hour} {
		t.Run(jump.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t, "a", "b")
				b.beat(time.Minute, "a", "b")
				b.beatAt(jump, 5*time.Minute, "a")
				b.is("a Ready=True")
				b.is("b Ready=Unknown MemoryPressure=Unknown DiskPressure=Unknown PIDPressure=Unknown unreachable:NoSchedule unreachable:NoExecute")
				b.beat(5*time.Minute, "a")
				b.is("a Ready=True")
			})
		})
	}
}

// TestRestartForgives: a new daemon gives every node its grace period, however old its last
// heartbeat is.
func TestRestartForgives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bed{testbed.New(t), t}
		testbed.Create(b.Bed, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}})
		b.report("a", corev1.ConditionTrue)
		stop := b.start()
		b.beat(10*time.Second, "a")
		stop()
		time.Sleep(time.Hour)
		b.start()
		time.Sleep(39 * time.Second)
		synctest.Wait()
		b.is("a Ready=True")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		b.is("a Ready=Unknown MemoryPressure=Unknown DiskPressure=Unknown PIDPressure=Unknown unreachable:NoSchedule")
	})
}

// TestAllDownAndBack: nobody is evicted while no node is ready, nor, for the grace period, when one
// comes back.
func TestAllDownAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "a", "b")
		b.report("a", corev1.ConditionFalse)
		b.report("b", corev1.ConditionFalse)
		synctest.Wait()
		b.is("b Ready=False not-ready:NoSchedule")
		b.is("a Ready=False not-ready:NoSchedule")
		b.beat(30*time.Second, "a", "b")
		b.report("a", corev1.ConditionTrue)
		b.report("b", corev1.ConditionTrue)
		synctest.Wait()
		b.is("a Ready=True")
		b.is("b Ready=True")
	})
}

func TestCordon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "a")
		testbed.Update(b.Bed, "", "a", func(n *corev1.Node) { n.Spec.Unschedulable = true })
		synctest.Wait()
		b.is("a Ready=True unschedulable:NoSchedule")
		n, _ := testbed.Get[*corev1.Node](b.Bed, "", "a")
		if n.Spec.Taints[0].TimeAdded == nil {
			t.Error("the taint does not say since when it is there")
		}
		testbed.Update(b.Bed, "", "a", func(n *corev1.Node) { n.Spec.Unschedulable = false })
		synctest.Wait()
		b.is("a Ready=True")
	})
}

func TestNodesComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "a")
		if got := b.Recorder.Take(); got != "Normal RegisteredNode a: Node a event: Registered Node a in Controller" {
			t.Errorf("events:\n%s", got)
		}
		testbed.Delete[*corev1.Node](b.Bed, "", "a")
		synctest.Wait()
		if got := b.Recorder.Take(); got != "Normal RemovingNode a: Node a event: Removing Node a from Controller" {
			t.Errorf("events:\n%s", got)
		}
	})
}
