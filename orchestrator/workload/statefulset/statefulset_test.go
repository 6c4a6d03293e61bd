package statefulset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"skiff/manifests/registry"
	"skiff/orchestrator/cluster/garbage"
	"skiff/orchestrator/internal/testbed"
	"skiff/orchestrator/workload/revision"
)

// bed is a testbed with the controller, which runs.
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
		Sets: registry.For[*appsv1.StatefulSet](b.Registry), Pods: registry.For[*corev1.Pod](b.Registry),
		Claims:    registry.For[*corev1.PersistentVolumeClaim](b.Registry),
		Revisions: registry.For[*appsv1.ControllerRevision](b.Registry), Env: b.Env(), Workers: 2,
	}
	b.start()
	b.Run(garbage.New(garbage.Options{Env: b.Env(), Workers: 4}).Run)
	return b
}

func (b *bed) start() { b.stop = b.Run(New(b.options).Run) }

// pods are the pods, each with the start of its image, and how it is.
func (b *bed) pods() string {
	synctest.Wait()
	var all []string
	for _, p := range testbed.List[*corev1.Pod](b.Bed, "default") {
		line := p.Name + ":" + p.Spec.Containers[0].Image
		switch {
		case p.DeletionTimestamp != nil:
			line += " going"
		case runningAndReady(p):
			line += " ready"
		}
		all = append(all, line)
	}
	return strings.Join(all, ", ")
}

func (b *bed) expect(what, want string) {
	b.t.Helper()
	if got := b.pods(); got != want {
		b.t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}

// run makes pods run on a node and be ready.
func (b *bed) run(names ...string) {
	b.t.Helper()
	for _, name := range names {
		synctest.Wait()
		_ = b.Bind(b.t.Context(), "default", name, "node")
		testbed.UpdateStatus(b.Bed, "default", name, func(p *corev1.Pod) { setReady(p, true) })
	}
	synctest.Wait()
}

func setReady(p *corev1.Pod, ready bool) {
	p.Status.Phase = corev1.PodRunning
	p.Status.Conditions = slices.DeleteFunc(p.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady })
	if ready {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()})
	}
}

// reap takes away the pods that terminate, as the node agent does.
func (b *bed) reap() {
	synctest.Wait()
	for _, p := range testbed.List[*corev1.Pod](b.Bed, "default") {
		if p.DeletionTimestamp != nil {
			testbed.Kill[*corev1.Pod](b.Bed, "default", p.Name)
		}
	}
	synctest.Wait()
}

func (b *bed) image(name string) {
	testbed.Update(b.Bed, "default", "web", func(set *appsv1.StatefulSet) { set.Spec.Template.Spec.Containers[0].Image = name })
	synctest.Wait()
}

func (b *bed) status() appsv1.StatefulSetStatus {
	b.t.Helper()
	set, ok := testbed.Get[*appsv1.StatefulSet](b.Bed, "default", "web")
	if !ok {
		b.t.Fatal("no StatefulSet web")
	}
	if set.Status.ObservedGeneration != set.Generation {
		b.t.Errorf("observed generation %d of %d", set.Status.ObservedGeneration, set.Generation)
	}
	return set.Status
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

func TestOrderedLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		testbed.Create(b.Bed, statefulSet(3, withClaims))
		b.expect("one after another", "web-0:kubia")
		b.run("web-0")
		b.expect("the second", "web-0:kubia ready, web-1:kubia")
		b.run("web-1", "web-2")
		b.expect("all", "web-0:kubia ready, web-1:kubia ready, web-2:kubia ready")
		if s := b.status(); s.Replicas != 3 || s.ReadyReplicas != 3 || s.AvailableReplicas != 3 || s.CurrentReplicas != 3 ||
			s.UpdatedReplicas != 3 || s.CurrentRevision != s.UpdateRevision || s.CurrentRevision == "" || *s.CollisionCount != 0 {
			t.Errorf("status %+v", s)
		}
		p, _ := testbed.Get[*corev1.Pod](b.Bed, "default", "web-1")
		if p.Spec.Hostname != "web-1" || p.Spec.Subdomain != "web" || p.Labels["apps.kubernetes.io/pod-index"] != "1" ||
			p.Labels["statefulset.kubernetes.io/pod-name"] != "web-1" || p.Labels["controller-revision-hash"] != b.status().UpdateRevision ||
			p.Spec.Volumes[0].PersistentVolumeClaim.ClaimName != "data-web-1" {
			t.Errorf("pod %+v", p)
		}
		claim, _ := testbed.Get[*corev1.PersistentVolumeClaim](b.Bed, "default", "data-web-1")
		if claim == nil || claim.Labels["app"] != "kubia" || len(claim.OwnerReferences) != 0 {
			t.Errorf("claim %+v", claim)
		}
		want := "Normal SuccessfulCreate web: Create Claim data-web-0 Pod web-0 in StatefulSet web success\n" +
			"Normal SuccessfulCreate web: Create Claim data-web-1 Pod web-1 in StatefulSet web success\n" +
			"Normal SuccessfulCreate web: Create Claim data-web-2 Pod web-2 in StatefulSet web success\n" +
			"Normal SuccessfulCreate web: Create Pod web-0 in StatefulSet web successful\n" +
			"Normal SuccessfulCreate web: Create Pod web-1 in StatefulSet web successful\n" +
			"Normal SuccessfulCreate web: Create Pod web-2 in StatefulSet web successful"
		if got := b.Recorder.Take(); got != want {
			t.Errorf("events\n%s\nwant\n%s", got, want)
		}
		testbed.Kill[*corev1.Pod](b.Bed, "default", "web-1")
		b.expect("one killed comes back under its name", "web-0:kubia ready, web-1:kubia, web-2:kubia ready")
		b.run("web-1")
		testbed.Update(b.Bed, "default", "web", func(set *appsv1.StatefulSet) { set.Spec.Replicas = ptr.To[int32](1) })
		b.expect("scaled down from the top", "web-0:kubia ready, web-1:kubia ready, web-2:kubia going")
		b.reap()
		b.expect("the next", "web-0:kubia ready, web-1:kubia going")
		b.reap()
		b.expect("to one", "web-0:kubia ready")
		if n := len(testbed.List[*corev1.PersistentVolumeClaim](b.Bed, "default")); n != 3 {
			t.Errorf("%d claims, want all 3 to stay", n)
		}
	})
}

func TestUpdateAndRollback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		testbed.Create(b.Bed, statefulSet(2))
		b.run("web-0", "web-1")
		b.image("v2")
		b.expect("the top first", "web-0:kubia ready, web-1:kubia going")
		if s := b.status(); s.CurrentRevision == s.UpdateRevision || s.CurrentReplicas != 1 || s.UpdatedReplicas != 0 {
			t.Errorf("status %+v", s)
		}
		b.reap()
		b.expect("its successor", "web-0:kubia ready, web-1:v2")
		b.run("web-1")
		b.reap()
		b.run("web-0")
		b.expect("done", "web-0:v2 ready, web-1:v2 ready")
		if s := b.status(); s.CurrentRevision != s.UpdateRevision || s.CurrentReplicas != 2 || s.UpdatedReplicas != 2 {
			t.Errorf("status %+v", s)
		}
		if got := b.revisions(); got != "1:kubia 2:v2" {
			t.Errorf("revisions %s", got)
		}
		b.image("broken")
		b.reap()
		b.expect("a broken rollout stops", "web-0:v2 ready, web-1:broken")
		b.image("v2")
		if got := b.revisions(); got != "1:kubia 3:broken 4:v2" {
			t.Errorf("revisions %s", got)
		}
		b.expect("as upstream's, it has to be helped", "web-0:v2 ready, web-1:broken")
		testbed.Kill[*corev1.Pod](b.Bed, "default", "web-1")
		b.run("web-1")
		b.expect("rolled back", "web-0:v2 ready, web-1:v2 ready")
		if s := b.status(); s.CurrentRevision != s.UpdateRevision || s.UpdatedReplicas != 2 {
			t.Errorf("status %+v", s)
		}
	})
}

func TestBrokenParallelRolloutIsRolledBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		testbed.Create(b.Bed, statefulSet(3, parallel))
		b.expect("all at once", "web-0:kubia, web-1:kubia, web-2:kubia")
		b.run("web-0", "web-1", "web-2")
		b.image("broken")
		b.reap()
		b.expect("one breaks", "web-0:kubia ready, web-1:kubia ready, web-2:broken")
		b.image("kubia")
		b.reap()
		b.run("web-2")
		b.expect("and is rolled back", "web-0:kubia ready, web-1:kubia ready, web-2:kubia ready")
	})
}

func TestPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		testbed.Create(b.Bed, statefulSet(3, partitioned(2)))
		b.run("web-0", "web-1", "web-2")
		b.image("canary")
		b.reap()
		b.run("web-2")
		b.expect("the canary", "web-0:kubia ready, web-1:kubia ready, web-2:canary ready")
		testbed.Kill[*corev1.Pod](b.Bed, "default", "web-1")
		b.run("web-1")
		b.expect("below the partition the old template stays", "web-0:kubia ready, web-1:kubia ready, web-2:canary ready")
		if s := b.status(); s.CurrentReplicas != 2 || s.UpdatedReplicas != 1 {
			t.Errorf("status %+v", s)
		}
	})
}

func TestRetentionPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		claims := func() string {
			synctest.Wait()
			var names []string
			for _, c := range testbed.List[*corev1.PersistentVolumeClaim](b.Bed, "default") {
				names = append(names, c.Name)
			}
			return strings.Join(names, " ")
		}
		testbed.Create(b.Bed, statefulSet(2, withClaims, retains(drop, drop)))
		b.run("web-0", "web-1")
		testbed.Update(b.Bed, "default", "web", func(set *appsv1.StatefulSet) { set.Spec.Replicas = ptr.To[int32](1) })
		if got := claims(); got != "data-web-0 data-web-1" {
			t.Errorf("claims %s", got)
		}
		b.reap()
		if got := claims(); got != "data-web-0" {
			t.Errorf("scaled down: claims %s", got)
		}
		testbed.Update(b.Bed, "default", "web", func(set *appsv1.StatefulSet) { set.Spec.Replicas = ptr.To[int32](2) })
		b.run("web-1")
		testbed.Delete[*appsv1.StatefulSet](b.Bed, "default", "web", metav1.DeletePropagationBackground)
		b.reap()
		if got := claims(); got != "" {
			t.Errorf("deleted: claims %s", got)
		}
	})
}

func TestAvailabilityComesWithTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		testbed.Create(b.Bed, statefulSet(2, func(set *appsv1.StatefulSet) { set.Spec.MinReadySeconds = 10 }))
		b.run("web-0")
		time.Sleep(9900 * time.Millisecond)
		b.expect("not yet", "web-0:kubia ready")
		time.Sleep(100 * time.Millisecond)
		b.expect("now", "web-0:kubia ready, web-1:kubia")
	})
}

func TestHistoryIsTrimmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		testbed.Create(b.Bed, statefulSet(1, func(set *appsv1.StatefulSet) { set.Spec.RevisionHistoryLimit = ptr.To[int32](1) }))
		b.run("web-0")
		for _, image := range []string{"v2", "v3", "v4"} {
			b.image(image)
			b.reap()
			b.run("web-0")
		}
		if got := b.revisions(); got != "3:v3 4:v4" {
			t.Errorf("revisions %s", got)
		}
	})
}

func TestNameThatIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		testbed.Create(b.Bed, testbed.Pod("default", "web-0", map[string]string{"app": "other"}))
		testbed.Create(b.Bed, statefulSet(1))
		synctest.Wait()
		if s := b.status(); s.Replicas != 0 {
			t.Errorf("status %+v", s)
		}
		testbed.Kill[*corev1.Pod](b.Bed, "default", "web-0")
		synctest.Wait()
		if s := b.status(); s.Replicas != 1 {
			t.Errorf("when the name is free again: status %+v", s)
		}
	})
}

// overtaken creates a claim just before it is to be created, or has its namespace go.
type overtaken struct {
	registry.Client[*corev1.PersistentVolumeClaim]
	going bool
}

func (o overtaken) Create(ctx context.Context, claim *corev1.PersistentVolumeClaim) (*corev1.PersistentVolumeClaim, error) {
	if o.going {
		err := apierrors.NewForbidden(corev1.Resource("persistentvolumeclaims"), claim.Name, errors.New("the namespace is being terminated"))
		err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
		return nil, err
	}
	_, _ = o.Client.Create(ctx, claim.DeepCopy())
	return o.Client.Create(ctx, claim)
}

// TestClaimThatSomebodyElseMakesIsNoFailure: nor is a namespace that goes.
func TestClaimThatSomebodyElseMakesIsNoFailure(t *testing.T) {
	for _, going := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t)
			b.stop()
			var log bytes.Buffer
			b.options.Logger = slog.New(slog.NewTextHandler(&log, nil))
			b.options.Claims = overtaken{registry.For[*corev1.PersistentVolumeClaim](b.Registry), going}
			b.start()
			testbed.Create(b.Bed, statefulSet(1, withClaims))
			time.Sleep(time.Second)
			b.expect("its pod", "web-0:kubia")
			if log.Len() > 0 {
				t.Errorf("going %v: logged %s", going, &log)
			}
			if events := b.Recorder.Take(); strings.Contains(events, "Warning") {
				t.Errorf("going %v: events %s", going, events)
			}
		})
	}
}
