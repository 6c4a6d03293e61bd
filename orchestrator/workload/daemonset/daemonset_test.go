package daemonset

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"skiff/manifests/registry"
	"skiff/orchestrator/cluster/garbage"
	"skiff/orchestrator/cluster/scheduling"
	"skiff/orchestrator/internal/testbed"
	"skiff/orchestrator/workload/revision"
)

// bed is a testbed with the controller, the scheduler and the garbage collector,
// which run.
type bed struct {
	*testbed.Bed
	t       *testing.T
	options Options
	stop    func()

	// Property tests alone have these.
	faults     testbed.Faults
	departures *testbed.Departures
}

func newBed(t *testing.T) *bed {
	b := &bed{Bed: testbed.New(t), t: t}
	b.options = Options{
		Sets: registry.For[*appsv1.DaemonSet](b.Registry), Pods: registry.For[*corev1.Pod](b.Registry), Nodes: registry.For[*corev1.Node](b.Registry),
		Revisions: registry.For[*appsv1.ControllerRevision](b.Registry), Env: b.Env(), Workers: 2,
	}
	b.start()
	b.Run(garbage.New(garbage.Options{Env: b.Silent(), Workers: 4}).Run)
	b.Run(scheduling.New(scheduling.Options{
		Pods: registry.For[*corev1.Pod](b.Registry), Nodes: registry.For[*corev1.Node](b.Registry), Binder: b.Registry.Pods(),
		Env: b.Silent(), Workers: 4,
	}).Run)
	return b
}

func (b *bed) start() { b.stop = b.Run(New(b.options).Run) }

// node makes a node that is ready.
func (b *bed) node(name string, labels map[string]string) {
	testbed.Create(b.Bed, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}})
	testbed.UpdateStatus(b.Bed, "", name, func(n *corev1.Node) {
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
		n.Status.Allocatable = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourcePods: resource.MustParse("110")}
	})
}

// pods are the nodes that the set's pods are on, each with the pod's image and how
// it is.
func (b *bed) pods() string {
	synctest.Wait()
	var all []string
	for _, p := range testbed.List[*corev1.Pod](b.Bed, "default") {
		line := p.Spec.NodeName + ":" + p.Spec.Containers[0].Image
		switch {
		case p.DeletionTimestamp != nil:
			line += " going"
		case isReady(p):
			line += " ready"
		}
		all = append(all, line)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func isReady(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

func (b *bed) expect(what, want string) {
	b.t.Helper()
	if got := b.pods(); got != want {
		b.t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}

func setReady(p *corev1.Pod) {
	p.Status.Phase = corev1.PodRunning
	p.Status.Conditions = append(slices.DeleteFunc(p.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady }),
		corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()})
}

// run does what node agents do: pods that terminate go, others become ready.
func (b *bed) run() {
	synctest.Wait()
	client := registry.For[*corev1.Pod](b.Registry)
	for _, p := range testbed.List[*corev1.Pod](b.Bed, "default") {
		switch {
		case p.DeletionTimestamp != nil:
			_ = client.Delete(b.t.Context(), "default", p.Name, *metav1.NewDeleteOptions(0))
		case p.Spec.NodeName != "" && p.Status.Phase == corev1.PodPending:
			_, _ = client.UpdateStatus(b.t.Context(), "default", p.Name, func(p *corev1.Pod) error { setReady(p); return nil })
		}
	}
	synctest.Wait()
}

func (b *bed) change(do func(*appsv1.DaemonSet)) {
	testbed.Update(b.Bed, "default", "ssd-monitor", do)
	synctest.Wait()
}

func (b *bed) label(node, disk string) {
	testbed.Update(b.Bed, "", node, func(n *corev1.Node) { n.Labels = map[string]string{"disk": disk} })
	synctest.Wait()
}

func (b *bed) status() appsv1.DaemonSetStatus {
	b.t.Helper()
	ds, ok := testbed.Get[*appsv1.DaemonSet](b.Bed, "default", "ssd-monitor")
	if !ok || ds.Status.ObservedGeneration != ds.Generation {
		b.t.Fatalf("DaemonSet %+v", ds)
	}
	return ds.Status
}

func (b *bed) revisions() string {
	all := testbed.List[*appsv1.ControllerRevision](b.Bed, "default")
	slices.SortFunc(all, func(a, b *appsv1.ControllerRevision) int { return int(a.Revision - b.Revision) })
	var out []string
	for _, r := range all {
		template, err := revision.Template(r)
		if err != nil {
			b.t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%d:%s", r.Revision, template.Spec.Containers[0].Image))
	}
	return strings.Join(out, " ")
}

// TestWalkThrough is the walk-through's DaemonSet.
func TestWalkThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.node("minikube", nil)
		testbed.Create(b.Bed, daemonSet(onSSD))
		b.expect("no node is meant", "")
		if s := b.status(); s.DesiredNumberScheduled != 0 || s.NumberUnavailable != 0 {
			t.Errorf("status %+v", s)
		}
		b.label("minikube", "ssd")
		b.run()
		b.expect("the node is labelled", "minikube:kubia ready")
		p := testbed.List[*corev1.Pod](b.Bed, "default")[0]
		r := testbed.List[*appsv1.ControllerRevision](b.Bed, "default")[0]
		hash := r.Labels["controller-revision-hash"]
		if !strings.HasPrefix(p.Name, "ssd-monitor-") || p.Labels["pod-template-generation"] != "1" || hash == "" ||
			p.Labels["controller-revision-hash"] != hash || r.Name != "ssd-monitor-"+hash || nodeOf(&corev1.Pod{Spec: corev1.PodSpec{Affinity: p.Spec.Affinity}}) != "minikube" {
			t.Errorf("pod %s with labels %v, revision %s", p.Name, p.Labels, r.Name)
		}
		if s := b.status(); s.DesiredNumberScheduled != 1 || s.CurrentNumberScheduled != 1 || s.NumberReady != 1 || s.UpdatedNumberScheduled != 1 || s.NumberAvailable != 1 {
			t.Errorf("status %+v", s)
		}
		b.label("minikube", "hdd")
		b.expect("relabelled", "minikube:kubia going")
		b.run()
		b.expect("and gone", "")
		want := "Normal SuccessfulCreate ssd-monitor: Created pod: " + p.Name + "\nNormal SuccessfulDelete ssd-monitor: Deleted pod: " + p.Name
		if got := b.Recorder.Take(); got != want {
			t.Errorf("events\n%s\nwant\n%s", got, want)
		}
		b.label("minikube", "ssd")
		b.run()
		testbed.Delete[*appsv1.DaemonSet](b.Bed, "default", "ssd-monitor", metav1.DeletePropagationBackground)
		b.run()
		b.expect("deleted with its pods", "")
		if got := b.revisions(); got != "" {
			t.Errorf("revisions %s", got)
		}
	})
}

func TestUpdateAndRollback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.node("a", nil)
		b.node("b", nil)
		testbed.Create(b.Bed, daemonSet())
		b.run()
		image := func(name string) {
			b.change(func(ds *appsv1.DaemonSet) { ds.Spec.Template.Spec.Containers[0].Image = name })
		}
		image("v2")
		b.expect("one node first", "a:kubia going, b:kubia ready")
		b.run()
		b.expect("its successor", "a:v2, b:kubia ready")
		b.run()
		b.run()
		b.run()
		b.expect("done", "a:v2 ready, b:v2 ready")
		if s := b.status(); s.UpdatedNumberScheduled != 2 || s.NumberAvailable != 2 {
			t.Errorf("status %+v", s)
		}
		image("broken")
		testbed.UpdateStatus(b.Bed, "default", testbed.List[*corev1.Pod](b.Bed, "default")[0].Name, func(*corev1.Pod) {})
		for _, p := range testbed.List[*corev1.Pod](b.Bed, "default") {
			if p.DeletionTimestamp != nil {
				testbed.Kill[*corev1.Pod](b.Bed, "default", p.Name)
			}
		}
		b.expect("a broken rollout stops", "a:broken, b:v2 ready")
		image("v2")
		b.expect("undone, the broken one goes, the other stays", "a:broken going, b:v2 ready")
		b.run()
		b.run()
		b.expect("rolled back", "a:v2 ready, b:v2 ready")
		if got := b.revisions(); got != "1:kubia 3:broken 4:v2" {
			t.Errorf("revisions %s", got)
		}
	})
}

func TestSurge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.node("a", nil)
		testbed.Create(b.Bed, daemonSet(surging("1")))
		b.run()
		b.change(func(ds *appsv1.DaemonSet) { ds.Spec.Template.Spec.Containers[0].Image = "v2" })
		b.expect("both for a while", "a:kubia ready, a:v2")
		b.run()
		b.expect("then the old one goes", "a:kubia going, a:v2 ready")
		b.run()
		b.expect("done", "a:v2 ready")
	})
}

func TestFailedPodIsReplacedWithBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.node("a", nil)
		testbed.Create(b.Bed, daemonSet())
		begin := time.Now()
		fail := func() {
			b.run()
			for _, p := range testbed.List[*corev1.Pod](b.Bed, "default") {
				testbed.UpdateStatus(b.Bed, "default", p.Name, func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed })
			}
			synctest.Wait()
		}
		fail()
		got := b.Recorder.Take()
		if !strings.Contains(got, "Warning FailedDaemonPod ssd-monitor: Found failed daemon pod default/ssd-monitor-") || !strings.Contains(got, " on node a, will try to kill it") {
			t.Errorf("events %s", got)
		}
		for _, want := range []time.Duration{1, 2, 4} {
			b.run()
			fail()
			if got := b.Recorder.Take(); strings.Contains(got, "FailedDaemonPod") {
				t.Errorf("no backoff: %s", got)
			}
			time.Sleep(want * time.Second)
			synctest.Wait()
			if got := b.Recorder.Take(); !strings.Contains(got, "FailedDaemonPod") {
				t.Errorf("after %s not replaced: %s", time.Since(begin), got)
			}
		}
		b.run()
		b.run()
		b.expect("in the end", "a:kubia ready")
	})
}

func TestHistoryIsTrimmedAndDuplicatesMerged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.node("a", nil)
		testbed.Create(b.Bed, daemonSet(func(ds *appsv1.DaemonSet) { ds.Spec.RevisionHistoryLimit = ptr.To[int32](1) }))
		b.run()
		for _, image := range []string{"v2", "v3", "v4"} {
			b.change(func(ds *appsv1.DaemonSet) { ds.Spec.Template.Spec.Containers[0].Image = image })
			b.run()
			b.run()
		}
		if got := b.revisions(); got != "3:v3 4:v4" {
			t.Errorf("revisions %s", got)
		}
		ds, _ := testbed.Get[*appsv1.DaemonSet](b.Bed, "default", "ssd-monitor")
		before := testbed.List[*corev1.Pod](b.Bed, "default")[0]
		for _, r := range testbed.List[*appsv1.ControllerRevision](b.Bed, "default") {
			if r.Revision == 4 {
				double := &appsv1.ControllerRevision{Data: r.Data, Revision: 5}
				double.Namespace, double.Name, double.OwnerReferences = "default", "double", r.OwnerReferences
				double.Labels = map[string]string{"app": "ssd-monitor", "controller-revision-hash": "double"}
				testbed.Create(b.Bed, double)
			}
		}
		b.change(func(ds *appsv1.DaemonSet) { ds.Spec.MinReadySeconds = ds.Spec.MinReadySeconds + 1 })
		after := testbed.List[*corev1.Pod](b.Bed, "default")
		if got := b.revisions(); got != "3:v3 5:v4" || len(after) != 1 || after[0].UID != before.UID || after[0].Labels["controller-revision-hash"] != "double" {
			t.Errorf("%s: revisions %s, pods %v", ds.Name, got, after[0].Labels)
		}
	})
}

func TestAdoption(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.node("a", nil)
		testbed.Create(b.Bed, daemonSet())
		b.run()
		before := testbed.List[*corev1.Pod](b.Bed, "default")[0]
		testbed.Delete[*appsv1.DaemonSet](b.Bed, "default", "ssd-monitor", metav1.DeletePropagationOrphan)
		b.run()
		testbed.Create(b.Bed, daemonSet())
		b.run()
		after := testbed.List[*corev1.Pod](b.Bed, "default")
		if len(after) != 1 || after[0].UID != before.UID || b.revisions() != "1:kubia" {
			t.Errorf("the orphan was not taken over: %s, revisions %s", b.pods(), b.revisions())
		}
	})
}
