package replicas

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"

	"skiff/manifests/registry"
	"skiff/orchestrator/internal/testbed"
	"skiff/orchestrator/workload"
	"skiff/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var kubia = map[string]string{"app": "kubia"}

func replicaSet(name string, n int32, labels map[string]string) *appsv1.ReplicaSet {
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: &n, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: testbed.PodSpec()},
		},
	}
}

func replicationController(name string, n int32, labels map[string]string) *corev1.ReplicationController {
	return &corev1.ReplicationController{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: corev1.ReplicationControllerSpec{
			Replicas: &n, Selector: labels,
			Template: &corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: testbed.PodSpec()},
		},
	}
}

// bed is a testbed with both controllers.
type bed struct {
	*testbed.Bed
	t *testing.T
	// sets is the controller of ReplicaSets, which runs.
	sets *Controller[*appsv1.ReplicaSet]
	// createError is what creating a pod fails with.
	createError func() error
	// beforeUpdate is called before a pod is changed.
	beforeUpdate func(name string)
}

func newBed(t *testing.T) *bed {
	b := &bed{Bed: testbed.New(t), t: t, createError: func() error { return nil }, beforeUpdate: func(string) {}}
	o := Options{
		Pods: faultyPods{registry.For[*corev1.Pod](b.Registry), b},
		Env:  b.Env(), Workers: 4,
	}
	b.sets = NewReplicaSets(registry.For[*appsv1.ReplicaSet](b.Registry), o)
	controllers := NewReplicationControllers(registry.For[*corev1.ReplicationController](b.Registry), o)
	b.Run(b.sets.Run)
	b.Run(controllers.Run)
	return b
}

type faultyPods struct {
	registry.Client[*corev1.Pod]
	bed *bed
}

func (f faultyPods) Create(ctx context.Context, p *corev1.Pod) (*corev1.Pod, error) {
	if err := f.bed.createError(); err != nil {
		return nil, err
	}
	return f.Client.Create(ctx, p)
}

func (f faultyPods) Update(ctx context.Context, namespace, name string, change func(*corev1.Pod) error) (*corev1.Pod, error) {
	f.bed.beforeUpdate(name)
	return f.Client.Update(ctx, namespace, name, change)
}

// active are the names of the active pods, each with its controller's.
func (b *bed) active() []string {
	var all []string
	for _, p := range testbed.List[*corev1.Pod](b.Bed, "default") {
		if p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded {
			continue
		}
		owner := "nobody"
		if ref := metav1.GetControllerOf(p); ref != nil {
			owner = ref.Kind + " " + ref.Name
		}
		all = append(all, owner)
	}
	slices.Sort(all)
	return all
}

func (b *bed) expect(what string, want ...string) {
	b.t.Helper()
	synctest.Wait()
	if got := b.active(); !slices.Equal(got, want) {
		b.t.Errorf("%s: pods of %q, want %q", what, got, want)
	}
}

func times(n int, s string) []string { return slices.Repeat([]string{s}, n) }

func (b *bed) status(name string) appsv1.ReplicaSetStatus {
	b.t.Helper()
	rs, ok := testbed.Get[*appsv1.ReplicaSet](b.Bed, "default", name)
	if !ok {
		b.t.Fatalf("no ReplicaSet %s", name)
	}
	return rs.Status
}

// run makes a pod run on a node and be ready.
func (b *bed) run(name string) {
	b.t.Helper()
	if err := b.Bind(b.t.Context(), "default", name, "node"); err != nil {
		b.t.Fatal(err)
	}
	testbed.UpdateStatus(b.Bed, "default", name, func(p *corev1.Pod) {
		p.Status.Phase = corev1.PodRunning
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{
			Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now(),
		})
	})
}

func (b *bed) podNames() []string {
	var names []string
	for _, p := range testbed.List[*corev1.Pod](b.Bed, "default") {
		names = append(names, p.Name)
	}
	return names
}

// TestWalkThrough is the walk-through's ReplicationController and ReplicaSet.
func TestWalkThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		testbed.Create(b.Bed, replicationController("kubia", 3, kubia))
		b.expect("a new controller", times(3, "ReplicationController kubia")...)
		names := b.podNames()
		var created []string
		for _, n := range names {
			if !strings.HasPrefix(n, "kubia-") {
				t.Errorf("pod %s, want kubia-xxxxx", n)
			}
			created = append(created, "Normal SuccessfulCreate kubia: Created pod: "+n)
		}
		if got, want := b.Recorder.Take(), strings.Join(created, "\n"); got != want {
			t.Errorf("events\n%s\nwant\n%s", got, want)
		}

		b.run(names[0])
		testbed.Delete[*corev1.Pod](b.Bed, "default", names[0])
		b.expect("one deleted", times(3, "ReplicationController kubia")...)
		if n := len(b.podNames()); n != 4 {
			t.Errorf("%d pods, want 3 and one that terminates", n)
		}

		testbed.Update(b.Bed, "default", names[1], func(p *corev1.Pod) { p.Labels["app"] = "foo" })
		b.expect("one relabelled", append(times(3, "ReplicationController kubia"), "nobody")...)
		testbed.Update(b.Bed, "default", names[1], func(p *corev1.Pod) { p.Labels["app"] = "kubia" })
		b.expect("and back: one too many", times(3, "ReplicationController kubia")...)

		testbed.Update(b.Bed, "default", "kubia", func(rc *corev1.ReplicationController) {
			rc.Spec.Template.Labels["type"] = "special"
		})
		synctest.Wait()
		special := func() (n int) {
			for _, p := range testbed.List[*corev1.Pod](b.Bed, "default") {
				if p.Labels["type"] == "special" {
					n++
				}
			}
			return n
		}
		if special() != 0 {
			t.Error("a changed template touched a pod that was there before")
		}
		testbed.Update(b.Bed, "default", "kubia", func(rc *corev1.ReplicationController) { rc.Spec.Replicas = ptr.To[int32](5) })
		b.expect("scaled up", times(5, "ReplicationController kubia")...)
		if special() != 2 {
			t.Errorf("%d pods of the new template, want 2", special())
		}
		testbed.Update(b.Bed, "default", "kubia", func(rc *corev1.ReplicationController) { rc.Spec.Replicas = ptr.To[int32](3) })
		b.expect("scaled down", times(3, "ReplicationController kubia")...)
		rc, _ := testbed.Get[*corev1.ReplicationController](b.Bed, "default", "kubia")
		if s := rc.Status; s.Replicas != 3 || s.ObservedGeneration != rc.Generation {
			t.Errorf("status %+v", s)
		}

		// What the garbage collector makes of --cascade=orphan.
		testbed.Kill[*corev1.ReplicationController](b.Bed, "default", "kubia")
		for _, name := range b.podNames() {
			testbed.Update(b.Bed, "default", name, func(p *corev1.Pod) { p.OwnerReferences = nil })
		}
		b.expect("orphaned", times(3, "nobody")...)
		b.Recorder.Take()
		testbed.Create(b.Bed, replicaSet("kubia", 3, kubia))
		b.expect("taken over", times(3, "ReplicaSet kubia")...)
		if got := b.Recorder.Take(); got != "" {
			t.Errorf("adopting is no event: %s", got)
		}
		if s := b.status("kubia"); s.Replicas != 3 || s.FullyLabeledReplicas != 3 || *s.TerminatingReplicas != 0 {
			t.Errorf("status %+v", s)
		}
	})
}

// TestNoLookCreatesTwice is the reason why there are no expectations: each look
// begins with what the one before it wrote.
func TestNoLookCreatesTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := testbed.New(t)
		testbed.Create(b, replicaSet("kubia", 20, kubia))
		c := NewReplicaSets(registry.For[*appsv1.ReplicaSet](b.Registry), Options{
			Pods: registry.For[*corev1.Pod](b.Registry), Env: b.Env(),
		})
		key := types.NamespacedName{Namespace: "default", Name: "kubia"}
		look := func(want int) {
			t.Helper()
			if _, err := c.reconcile(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			if n := len(testbed.List[*corev1.Pod](b, "default")); n != want {
				t.Fatalf("%d pods, want %d", n, want)
			}
		}
		for range 5 {
			look(20)
		}
		testbed.Update(b, "default", "kubia", func(rs *appsv1.ReplicaSet) { rs.Spec.Replicas = ptr.To[int32](7) })
		for range 5 {
			look(7) // pods that have no node go at once
		}
	})
}

func TestEndedAndTerminatingPodsDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		testbed.Create(b.Bed, replicaSet("kubia", 3, kubia))
		synctest.Wait()
		names := b.podNames()
		for i, phase := range []corev1.PodPhase{corev1.PodSucceeded, corev1.PodFailed} {
			testbed.UpdateStatus(b.Bed, "default", names[i], func(p *corev1.Pod) { p.Status.Phase = phase })
		}
		b.run(names[2])
		testbed.Delete[*corev1.Pod](b.Bed, "default", names[2])
		b.expect("three replaced", times(3, "ReplicaSet kubia")...)
		s := b.status("kubia")
		if len(b.podNames()) != 6 || s.Replicas != 3 || *s.TerminatingReplicas != 1 || s.ReadyReplicas != 0 {
			t.Errorf("%d pods, status %+v", len(b.podNames()), s)
		}
		testbed.Kill[*corev1.Pod](b.Bed, "default", names[2])
		synctest.Wait()
		if s := b.status("kubia"); *s.TerminatingReplicas != 0 {
			t.Errorf("status %+v", s)
		}
	})
}

func TestAvailabilityComesWithTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		rs := replicaSet("kubia", 2, kubia)
		rs.Spec.MinReadySeconds = 10
		testbed.Create(b.Bed, rs)
		synctest.Wait()
		names := b.podNames()
		b.run(names[0])
		time.Sleep(5 * time.Second)
		b.run(names[1])
		for _, c := range []struct {
			after time.Duration
			want  int32
		}{{0, 0}, {4900 * time.Millisecond, 0}, {100 * time.Millisecond, 1}, {4900 * time.Millisecond, 1}, {100 * time.Millisecond, 2}} {
			time.Sleep(c.after)
			synctest.Wait()
			if s := b.status("kubia"); s.ReadyReplicas != 2 || s.AvailableReplicas != c.want {
				t.Errorf("ready %d, available %d, want 2 and %d", s.ReadyReplicas, s.AvailableReplicas, c.want)
			}
		}
	})
}

func TestFailingCreationIsShownAndDoesNotHammer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		var mu sync.Mutex
		attempts := 0
		quota := apierrors.NewForbidden(corev1.Resource("pods"), "", errors.New("exceeded quota"))
		b.createError = func() error {
			mu.Lock()
			defer mu.Unlock()
			attempts++
			if attempts > 6 {
				return quota
			}
			return nil
		}
		testbed.Create(b.Bed, replicaSet("kubia", 100, kubia))
		synctest.Wait()
		mu.Lock()
		// The six that came, and the status, have the set looked at once more each.
		if attempts < 7 || attempts > 9 {
			t.Errorf("%d creations tried, want 1 + 2 + 4 and one or two", attempts)
		}
		mu.Unlock()
		s := b.status("kubia")
		if s.Replicas != 6 || len(s.Conditions) != 1 {
			t.Fatalf("status %+v", s)
		}
		c := s.Conditions[0]
		if c.Type != appsv1.ReplicaSetReplicaFailure || c.Status != corev1.ConditionTrue || c.Reason != "FailedCreate" || c.Message != quota.Error() {
			t.Errorf("condition %+v", c)
		}
		if want := "Warning FailedCreate kubia: Error creating: " + quota.Error(); !strings.Contains(b.Recorder.Take(), want) {
			t.Errorf("no event %q", want)
		}
		time.Sleep(time.Minute) // it is tried again, one at a time
		synctest.Wait()
		mu.Lock()
		if attempts < 15 || attempts > 25 {
			t.Errorf("%d creations tried in a minute, want one for each backoff", attempts)
		}
		attempts = -1000
		mu.Unlock()
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if s := b.status("kubia"); s.Replicas != 100 || len(s.Conditions) != 0 {
			t.Errorf("when it is possible again: status %+v", s)
		}
	})
}

func TestTerminatingNamespaceIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		testbed.Create(b.Bed, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "going"}})
		rs := replicaSet("kubia", 0, kubia)
		rs.Namespace = "going"
		testbed.Create(b.Bed, rs)
		testbed.Delete[*corev1.Namespace](b.Bed, "", "going")
		testbed.Update(b.Bed, "going", "kubia", func(rs *appsv1.ReplicaSet) { rs.Spec.Replicas = ptr.To[int32](2) })
		synctest.Wait()
		got, _ := testbed.Get[*appsv1.ReplicaSet](b.Bed, "going", "kubia")
		if len(got.Status.Conditions) != 0 || got.Status.ObservedGeneration != got.Generation {
			t.Errorf("status %+v", got.Status)
		}
		if events := b.Recorder.Take(); events != "" {
			t.Errorf("events: %s", events)
		}
	})
}

func TestSetThatIsBeingDeletedTakesNothingOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		testbed.Create(b.Bed, replicaSet("kubia", 2, kubia))
		synctest.Wait()
		testbed.Delete[*appsv1.ReplicaSet](b.Bed, "default", "kubia", metav1.DeletePropagationOrphan)
		for _, name := range b.podNames() {
			testbed.Update(b.Bed, "default", name, func(p *corev1.Pod) { p.OwnerReferences = nil })
		}
		b.expect("neither adopted nor replaced", times(2, "nobody")...)
	})
}

func TestTwoSetsWithOneSelectorKeepTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		testbed.Create(b.Bed, replicaSet("a", 2, kubia))
		testbed.Create(b.Bed, replicationController("b", 1, kubia))
		want := []string{"ReplicaSet a", "ReplicaSet a", "ReplicationController b"}
		b.expect("each its own", want...)
		testbed.Create(b.Bed, testbed.Pod("default", "orphan", kubia))
		b.expect("an orphan goes to one of them, who has one too many", want...)
	})
}

func TestPodThatGoesBeforeItIsAdoptedIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.beforeUpdate = func(name string) {
			if name == "orphan" {
				testbed.Kill[*corev1.Pod](b.Bed, "default", name)
			}
		}
		testbed.Create(b.Bed, testbed.Pod("default", "orphan", kubia))
		testbed.Create(b.Bed, replicaSet("kubia", 2, kubia))
		b.expect("the orphan went", times(2, "ReplicaSet kubia")...)
	})
}

// TestSetThatGoesBeforeItAdoptsIsLeft: a set that is no more adopts nothing, and nobody goes on
// trying.
func TestSetThatGoesBeforeItAdoptsIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		tries := 0
		b.beforeUpdate = func(string) {
			switch tries++; tries {
			case 1:
				testbed.Kill[*appsv1.ReplicaSet](b.Bed, "default", "kubia")
			case 2:
				t.Error("the pod is to be adopted again by the set that is gone")
				testbed.Kill[*corev1.Pod](b.Bed, "default", "orphan") // lest it be tried for ever
			}
		}
		testbed.Create(b.Bed, testbed.Pod("default", "orphan", kubia))
		testbed.Create(b.Bed, replicaSet("kubia", 1, kubia))
		b.expect("the set went", "nobody")
	})
}

func TestBurstIsBounded(t *testing.T) {
	p := makePlan(snapshot{set: viewOf(t, replicaSet("kubia", 2147483647, kubia)), now: time.Now()})
	if got, want := p.String(), "create 500 pods: 0 current, 2147483647 desired"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestPodsWithoutRoomAreNotMade: a number that no machine has room for ends with
// as many pods as may wait for a node; when some are given one, as many follow.
func TestPodsWithoutRoomAreNotMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		testbed.Create(b.Bed, replicaSet("kubia", math.MaxInt32, kubia))
		testbed.Create(b.Bed, replicationController("foo", math.MaxInt32, map[string]string{"app": "foo"}))
		expect := func(what string, sets, controllers int) {
			t.Helper()
			b.expect(what, append(times(sets, "ReplicaSet kubia"), times(controllers, "ReplicationController foo")...)...)
		}
		expect("new sets", workload.Waiting, workload.Waiting)
		for i, name := range b.podNames() {
			if i%10 == 0 {
				if err := b.Bind(t.Context(), "default", name, "node"); err != nil {
					t.Fatal(err)
				}
			}
		}
		expect("a tenth were given a node", workload.Waiting+50, workload.Waiting+50)
		testbed.Update(b.Bed, "default", "kubia", func(rs *appsv1.ReplicaSet) { rs.Spec.Replicas = ptr.To[int32](0) })
		testbed.Update(b.Bed, "default", "foo", func(rc *corev1.ReplicationController) { rc.Spec.Replicas = ptr.To[int32](0) })
		expect("called off", 0, 0)
	})
}

// TestFullSpeedWhereThereIsRoom: the limit does not slow down a set whose pods are
// given nodes as they come.
func TestFullSpeedWhereThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		detach, err := b.Feeds.Of("pods").Subscribe(t.Context(), func(e store.Event) {
			if e.Type == watch.Added {
				go func() { _ = b.Bind(t.Context(), "default", e.Object.GetName(), "node") }()
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		defer detach()
		testbed.Create(b.Bed, replicaSet("kubia", 2500, kubia))
		b.expect("all of them", times(2500, "ReplicaSet kubia")...)
	})
}

func TestErrorsOfPodsAndOfTheStatusAreBothTold(t *testing.T) {
	b := testbed.New(t)
	testbed.Create(b, replicaSet("kubia", 1, kubia))
	pods := &bed{createError: func() error { return errors.New("no pod") }, beforeUpdate: func(string) {}}
	c := NewReplicaSets(unwritable{registry.For[*appsv1.ReplicaSet](b.Registry)}, Options{
		Pods: faultyPods{registry.For[*corev1.Pod](b.Registry), pods}, Env: b.Env(),
	})
	_, err := c.reconcile(t.Context(), types.NamespacedName{Namespace: "default", Name: "kubia"})
	if want := "no pod\nwriting the status of replicaset default/kubia: no status"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// unwritable are sets whose status can not be written.
type unwritable struct {
	registry.Client[*appsv1.ReplicaSet]
}

func (unwritable) UpdateStatus(context.Context, string, string, func(*appsv1.ReplicaSet) error) (*appsv1.ReplicaSet, error) {
	return nil, errors.New("no status")
}

func TestPodsGetTheDefaultsOfTheAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		rs := replicaSet("kubia", 1, kubia)
		rs.Spec.Template.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")}
		testbed.Create(b.Bed, rs)
		synctest.Wait()
		p := testbed.List[*corev1.Pod](b.Bed, "default")[0]
		if cpu := p.Spec.Containers[0].Resources.Requests.Cpu().String(); cpu != "2" || p.Spec.EnableServiceLinks == nil {
			t.Errorf("requests %s of cpu, want those of its limits; service links %v", cpu, p.Spec.EnableServiceLinks)
		}
	})
}

func viewOf(t *testing.T, rs *appsv1.ReplicaSet) set {
	t.Helper()
	s, err := replicaSets().view(rs)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPlan(t *testing.T) {
	pod := func(name, owner, app, special string) *corev1.Pod {
		p := testbed.Pod("default", name, map[string]string{"app": app})
		p.UID = types.UID(name)
		p.Spec.NodeName, p.Status.Phase = "n", corev1.PodRunning
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		if owner != "" {
			p.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: owner, UID: types.UID(owner), Controller: ptr.To(true)}}
		}
		switch special {
		case "unready":
			p.Status.Conditions = nil
		case "failed":
			p.Status.Phase = corev1.PodFailed
		case "going":
			p.DeletionTimestamp = &metav1.Time{}
		}
		return p
	}
	for _, c := range []struct {
		name     string
		replicas int32
		pods     []*corev1.Pod
		deleting bool
		want     string
	}{
		{"nothing to do", 1, []*corev1.Pod{pod("a", "kubia", "kubia", "")}, false, ""},
		{"too few", 3, []*corev1.Pod{pod("a", "kubia", "kubia", "")}, false, "create 2 pods: 1 current, 3 desired"},
		{"one too few", 1, []*corev1.Pod{pod("a", "kubia", "kubia", "failed"), pod("b", "kubia", "kubia", "going")}, false,
			"create 1 pod: 0 current, 1 desired"},
		{"too many", 1, []*corev1.Pod{pod("a", "kubia", "kubia", ""), pod("b", "kubia", "kubia", "unready")}, false,
			"delete pod b: surplus, not ready"},
		{"an orphan fills up", 2, []*corev1.Pod{pod("a", "kubia", "kubia", ""), pod("b", "", "kubia", "")}, false,
			"adopt pod b: matches selector, no controller"},
		{"an orphan too many", 1, []*corev1.Pod{pod("a", "kubia", "kubia", ""), pod("b", "", "kubia", "unready")}, false,
			"adopt pod b: matches selector, no controller\ndelete pod b: surplus, not ready"},
		{"one relabelled", 1, []*corev1.Pod{pod("a", "kubia", "foo", "")}, false,
			"release pod a: labels no longer match\ncreate 1 pod: 0 current, 1 desired"},
		{"scaled to nothing", 0, []*corev1.Pod{pod("a", "kubia", "kubia", "")}, false, "delete pod a: surplus, none is wanted"},
		{"another's", 0, []*corev1.Pod{pod("a", "x", "kubia", "")}, false, ""},
		{"ended orphans stay orphans", 0, []*corev1.Pod{pod("a", "", "kubia", "failed")}, false, ""},
		{"being deleted", 3, []*corev1.Pod{pod("a", "kubia", "foo", ""), pod("b", "", "kubia", "")}, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			rs := replicaSet("kubia", c.replicas, kubia)
			rs.UID = "kubia"
			if c.deleting {
				rs.DeletionTimestamp = &metav1.Time{}
			}
			p := makePlan(snapshot{set: viewOf(t, rs), pods: c.pods, now: time.Now()})
			if got := p.String(); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestSelectorWithoutRequirementsSelectsNothing(t *testing.T) {
	rs := replicaSet("kubia", 0, kubia)
	rs.Spec.Selector = &metav1.LabelSelector{}
	rc := replicationController("kubia", 0, nil)
	rcView, err := replicationControllers().view(rc)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []set{viewOf(t, rs), rcView} {
		p := makePlan(snapshot{set: s, pods: []*corev1.Pod{testbed.Pod("default", "a", kubia)}})
		if got := p.String(); got != "" {
			t.Errorf("%T: %s", s.object, got)
		}
	}
}

func TestControllerStatusKeepsEveryField(t *testing.T) {
	s := corev1.ReplicationControllerStatus{
		Replicas: 5, FullyLabeledReplicas: 4, ReadyReplicas: 3, AvailableReplicas: 2, ObservedGeneration: 1,
		Conditions: []corev1.ReplicationControllerCondition{{
			Type: corev1.ReplicationControllerReplicaFailure, Status: corev1.ConditionTrue,
			LastTransitionTime: metav1.Now(), Reason: "r", Message: "m",
		}},
	}
	if got := controllerStatus(statusOfController(s)); fmt.Sprint(got) != fmt.Sprint(s) {
		t.Errorf("got %v, want %v", got, s)
	}
}
