package nodelife

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"

	"skiff/manifests/registry"
	"skiff/orchestrator/cluster/tainteviction"
	"skiff/orchestrator/internal/testbed"
	"skiff/store"
)

// act is one thing that happens to a node, or that time does. n chooses the node or the duration.
type act struct {
	verb string
	n    int
}

func (a act) String() string { return fmt.Sprint(a.verb, " ", a.n) }

var verbs = []string{
	"pass", "pass", "pass", "pass", "silence", "silence", "speak", "unready", "ready", "cordon", "uncordon", "refill", "restart",
}

const (
	fleetSize = 4
	grace     = 40 * time.Second
	beat      = 10 * time.Second
	// stay is for how long the pods tolerate a node that has failed.
	stay = 30 * time.Second
)

// TestAnySequenceOfFailures holds that whatever nodes do, in whatever order: none is marked as
// unknown that was heard from within the grace period, and each that was not is; the taints of each
// are those its state asks for; no pod is driven away but from a node that has failed for as long as
// the pod tolerates it, and in the end each pod of the one node that stays silent is.
func TestAnySequenceOfFailures(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		acts := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) act {
			return act{rapid.SampledFrom(verbs).Draw(r, "verb"), rapid.IntRange(0, fleetSize-1).Draw(r, "n")}
		}), 1, 40).Draw(r, "acts")
		var failure string
		synctest.Test(t, func(t *testing.T) { failure = play(t, acts) })
		if failure != "" {
			r.Fatalf("%v: %s", acts, failure)
		}
	})
}

// watched is a node as the test knows it.
type watched struct {
	silent bool
	ready  corev1.ConditionStatus
	heard  time.Time
	// failing is since when it has borne a taint that evicts, zero if it does not.
	failing time.Time
}

type judge struct {
	*bed
	began time.Time // when the present controllers did
	stops []func()
	pods  int

	faults testbed.Faults

	mu    sync.Mutex
	nodes map[string]*watched
}

func play(t *testing.T, acts []act) string {
	j := &judge{bed: &bed{testbed.New(t), t}, nodes: map[string]*watched{}}
	for i := range fleetSize {
		name := fmt.Sprint("n", i)
		j.nodes[name] = &watched{ready: corev1.ConditionTrue}
		testbed.Create(j.Bed, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}})
		j.speak(name)
		j.refill(name)
	}
	for resource, see := range map[string]func(store.Event){"nodes": j.seeNode, "pods": j.seePod} {
		if _, err := j.Feeds.Of(resource).Subscribe(t.Context(), see); err != nil {
			t.Fatal(err)
		}
	}
	j.restart()
	for _, a := range acts {
		j.act(a)
		synctest.Wait()
		j.look()
		if wrong := j.faults.Found(); wrong != "" {
			return fmt.Sprintf("after %s: %s", a, wrong)
		}
	}
	return j.settle()
}

func (j *judge) seeNode(e store.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now, _ := e.Object.(*corev1.Node)
	w := j.nodes[now.Name]
	if before, ok := e.Previous.(*corev1.Node); ok && statusOf(before, corev1.NodeReady) != corev1.ConditionUnknown &&
		statusOf(now, corev1.NodeReady) == corev1.ConditionUnknown && time.Since(w.heard) < grace {
		j.faults.Blame("%s marked as unknown %s after it was heard from", now.Name, time.Since(w.heard))
	}
	switch failing := bearsNoExecute(now); {
	case !failing:
		w.failing = time.Time{}
	case w.failing.IsZero():
		w.failing = time.Now()
	}
}

func (j *judge) seePod(e store.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now, _ := e.Object.(*corev1.Pod)
	before, known := e.Previous.(*corev1.Pod)
	if !known || before.DeletionTimestamp != nil || e.Type != watch.Deleted && now.DeletionTimestamp == nil {
		return
	}
	if since := j.nodes[now.Spec.NodeName].failing; since.IsZero() || time.Since(since) < stay || time.Since(now.CreationTimestamp.Time) < stay {
		j.faults.Blame("%s, made at %s, was driven away from %s, tainted since %s", now.Name, now.CreationTimestamp, now.Spec.NodeName, since)
	}
}

// look checks what must hold once the controllers have nothing left to do.
func (j *judge) look() {
	j.mu.Lock()
	defer j.mu.Unlock()
	down := true
	for _, w := range j.nodes {
		down = down && (w.ready != corev1.ConditionTrue || j.overdue(w))
	}
	for name, w := range j.nodes {
		n, _ := testbed.Get[*corev1.Node](j.Bed, "", name)
		want := w.ready
		if j.overdue(w) {
			want = corev1.ConditionUnknown
		}
		got := statusOf(n, corev1.NodeReady)
		if got != want && (got != corev1.ConditionUnknown || !w.silent) { // one that stays silent may be known to be since before a restart
			j.faults.Blame("%s is Ready=%s, want %s", name, got, want)
		}
		j.lookAtTaints(n, got, down)
	}
}

func (j *judge) lookAtTaints(n *corev1.Node, ready corev1.ConditionStatus, down bool) {
	keys := map[corev1.ConditionStatus]string{corev1.ConditionFalse: corev1.TaintNodeNotReady, corev1.ConditionUnknown: corev1.TaintNodeUnreachable}
	var want []string
	if key := keys[ready]; key != "" {
		want = append(want, key)
	}
	if n.Spec.Unschedulable {
		want = append(want, corev1.TaintNodeUnschedulable)
	}
	var got []string
	for _, t := range n.Spec.Taints {
		switch {
		case t.Effect == corev1.TaintEffectNoSchedule:
			got = append(got, t.Key)
		case t.Key != keys[ready]:
			j.faults.Blame("%s bears %s, and is Ready=%s", n.Name, t.ToString(), ready)
		case down:
			j.faults.Blame("%s bears %s, and no node is ready", n.Name, t.ToString())
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		j.faults.Blame("%s bears %v, want %v", n.Name, got, want)
	}
}

// overdue reports whether a node must be known to be silent.
func (j *judge) overdue(w *watched) bool {
	since := w.heard
	if j.began.After(since) {
		since = j.began
	}
	return time.Since(since) >= grace
}

// settle lets all nodes but one speak again: that one's pods are driven away, and no others.
func (j *judge) settle() string {
	const lost = "n0"
	for i := range fleetSize {
		name := fmt.Sprint("n", i)
		j.nodes[name].ready = corev1.ConditionTrue
		if j.speak(name); name != lost {
			j.refill(name)
		}
	}
	j.pass(grace)
	j.refill(lost)
	j.nodes[lost].silent = true
	// Its turn to lose pods may come later than others' (DefaultEvictionRate).
	j.pass(2*grace + fleetSize*beat + stay)
	j.look()
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, p := range testbed.List[*corev1.Pod](j.Bed, "default") {
		if p.DeletionTimestamp == nil && p.Spec.NodeName == lost {
			j.faults.Blame("%s is still on %s", p.Name, lost)
		}
	}
	return j.faults.Found()
}

// pass lets time pass, in which the nodes that are not silent speak.
func (j *judge) pass(d time.Duration) {
	for range d / beat {
		time.Sleep(beat)
		for i := range fleetSize {
			if name := fmt.Sprint("n", i); !j.nodes[name].silent {
				j.speak(name)
			}
		}
		synctest.Wait()
	}
}

// speak has a node report its state.
func (j *judge) speak(name string) {
	j.mu.Lock()
	w := j.nodes[name]
	w.silent, w.heard = false, time.Now()
	ready := w.ready
	j.mu.Unlock()
	j.report(name, ready)
}

// refill puts another pod on a node.
func (j *judge) refill(name string) {
	j.pods++
	p := testbed.Pod("default", fmt.Sprintf("p%d", j.pods), nil)
	p.Spec.NodeName = name
	for _, key := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
		p.Spec.Tolerations = append(p.Spec.Tolerations, corev1.Toleration{
			Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: ptr.To(int64(stay.Seconds())),
		})
	}
	testbed.Create(j.Bed, p)
}

func (j *judge) restart() {
	for _, stop := range j.stops {
		stop()
	}
	j.began = time.Now()
	j.stops = []func(){
		j.start(),
		j.Bed.Run(tainteviction.New(tainteviction.Options{Env: j.Env(), Workers: 2}).Run),
	}
}

func (j *judge) act(a act) {
	name := fmt.Sprint("n", a.n)
	w := j.nodes[name]
	switch a.verb {
	case "pass":
		j.pass(time.Duration(a.n+1) * beat)
	case "silence":
		w.silent = true
	case "speak":
		j.speak(name)
	case "unready", "ready":
		if w.ready = corev1.ConditionFalse; a.verb == "ready" {
			w.ready = corev1.ConditionTrue
		}
		j.speak(name)
	case "cordon", "uncordon":
		_, _ = registry.For[*corev1.Node](j.Registry).Update(j.Context(), "", name, func(n *corev1.Node) error {
			n.Spec.Unschedulable = a.verb == "cordon"
			return nil
		})
	case "refill":
		j.refill(name)
	case "restart":
		j.restart()
	}
}
