package deployment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"skiff/manifests/podfacts"
	"skiff/manifests/registry"
	"skiff/orchestrator/internal/testbed"
	"skiff/orchestrator/workload/replicas"
)

// bed is a testbed with the controllers of Deployments and ReplicaSets.
type bed struct {
	*testbed.Bed
	t *testing.T
	// createError is what creating a set fails with.
	createError func(name string) error
}

func newBed(t *testing.T) *bed {
	b := &bed{Bed: testbed.New(t), t: t, createError: func(string) error { return nil }}
	pods := registry.For[*corev1.Pod](b.Registry)
	sets := registry.For[*appsv1.ReplicaSet](b.Registry)
	b.Run(New(Options{
		Deployments: registry.For[*appsv1.Deployment](b.Registry), Sets: faultySets{sets, b}, Pods: pods,
		Env: b.Env(), Workers: 2,
	}).Run)
	b.Run(replicas.NewReplicaSets(sets, replicas.Options{
		Pods: pods, Env: b.Silent(), Workers: 2,
	}).Run)
	return b
}

type faultySets struct {
	registry.Client[*appsv1.ReplicaSet]
	bed *bed
}

func (f faultySets) Create(ctx context.Context, rs *appsv1.ReplicaSet) (*appsv1.ReplicaSet, error) {
	if err := f.bed.createError(rs.Name); err != nil {
		return nil, err
	}
	return f.Client.Create(ctx, rs)
}

func (b *bed) create(replicas int32, change ...func(*appsv1.Deployment)) *appsv1.Deployment {
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubia"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: kubia},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: kubia}, Spec: testbed.PodSpec()},
		},
	}
	for _, f := range change {
		f(d)
	}
	return testbed.Create(b.Bed, d)
}

func (b *bed) edit(change func(*appsv1.Deployment)) {
	b.t.Helper()
	testbed.Update(b.Bed, "default", "kubia", change)
	synctest.Wait()
}

func (b *bed) image(name string) {
	b.t.Helper()
	b.edit(func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = name })
}

func (b *bed) get() *appsv1.Deployment {
	b.t.Helper()
	d, ok := testbed.Get[*appsv1.Deployment](b.Bed, "default", "kubia")
	if !ok {
		b.t.Fatal("no deployment")
	}
	return d
}

// start makes all pods ready, and ends those that are to go, until nothing
// changes any more.
func (b *bed) start() {
	b.t.Helper()
	for changed := true; changed; {
		changed = false
		synctest.Wait()
		for _, p := range testbed.List[*corev1.Pod](b.Bed, "default") {
			switch {
			case p.DeletionTimestamp != nil:
				testbed.Kill[*corev1.Pod](b.Bed, "default", p.Name)
			case p.Spec.NodeName == "" && podfacts.Active(p):
				b.run(p.Name)
			default:
				continue
			}
			changed = true
			break // what the controllers make of it may change the rest
		}
	}
}

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

// sets are the sets in the order of their revisions: image, size and revision.
func (b *bed) sets() string {
	var lines []string
	for _, rs := range testbed.List[*appsv1.ReplicaSet](b.Bed, "default") {
		line := fmt.Sprintf("%s: %s %d", rs.Annotations[RevisionAnnotation], rs.Spec.Template.Spec.Containers[0].Image, *rs.Spec.Replicas)
		if h := rs.Annotations[revisionHistoryAnnotation]; h != "" {
			line += " once " + h
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return strings.Join(lines, ", ")
}

func (b *bed) expect(what, got, want string) {
	b.t.Helper()
	if got != want {
		b.t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}

// conditions are the conditions as kubectl describe prints them.
func (b *bed) conditions() string {
	var all []string
	for _, c := range b.get().Status.Conditions {
		all = append(all, fmt.Sprintf("%s %s %s", c.Type, c.Status, c.Reason))
	}
	return strings.Join(all, ", ")
}

// events are the events with the replica sets' hashes replaced by their images.
func (b *bed) events() string {
	text := b.Recorder.Take()
	for _, rs := range testbed.List[*appsv1.ReplicaSet](b.Bed, "default") {
		text = strings.ReplaceAll(text, rs.Name, rs.Spec.Template.Spec.Containers[0].Image)
	}
	return text
}

func TestRollout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.create(3)
		synctest.Wait()
		b.expect("at first", b.conditions(), "Available False MinimumReplicasUnavailable, Progressing True ReplicaSetUpdated")
		b.start()
		b.expect("when up", b.conditions(), "Available True MinimumReplicasAvailable, Progressing True NewReplicaSetAvailable")
		d := b.get()
		hash := testbed.List[*appsv1.ReplicaSet](b.Bed, "default")[0].Labels[appsv1.DefaultDeploymentUniqueLabelKey]
		if d.Status.Conditions[1].Message != `ReplicaSet "kubia-`+hash+`" has successfully progressed.` {
			t.Errorf("message %q of hash %q", d.Status.Conditions[1].Message, hash)
		}
		if s := d.Status; s.ObservedGeneration != d.Generation || s.Replicas != 3 || s.UpdatedReplicas != 3 || s.AvailableReplicas != 3 || s.UnavailableReplicas != 0 || *s.TerminatingReplicas != 0 {
			t.Errorf("status %+v", s)
		}
		b.expect("events", b.events(), "Normal ScalingReplicaSet kubia: Scaled up replica set kubia from 0 to 3")

		b.image("v2")
		b.expect("a new image", b.sets(), "1: kubia 3, 2: v2 1")
		b.start()
		b.expect("rolled out", b.sets(), "1: kubia 0, 2: v2 3")
		b.expect("its events", b.events(), strings.Join([]string{
			"Normal ScalingReplicaSet kubia: Scaled down replica set kubia from 1 to 0",
			"Normal ScalingReplicaSet kubia: Scaled down replica set kubia from 2 to 1",
			"Normal ScalingReplicaSet kubia: Scaled down replica set kubia from 3 to 2",
			"Normal ScalingReplicaSet kubia: Scaled up replica set v2 from 0 to 1",
			"Normal ScalingReplicaSet kubia: Scaled up replica set v2 from 1 to 2",
			"Normal ScalingReplicaSet kubia: Scaled up replica set v2 from 2 to 3"}, "\n"))
		b.expect("revision", b.get().Annotations[RevisionAnnotation], "2")

		b.image("kubia")
		b.start()
		b.expect("back again", b.sets(), "2: v2 0, 3: kubia 3 once 1")
		b.expect("revision", b.get().Annotations[RevisionAnnotation], "3")
	})
}

func TestMinReadySecondsHoldARolloutUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.create(1, func(d *appsv1.Deployment) { d.Spec.MinReadySeconds = 30 })
		b.start()
		b.image("v2")
		b.start()
		time.Sleep(29 * time.Second)
		b.start()
		b.expect("not available yet", b.sets(), "1: kubia 1, 2: v2 1")
		time.Sleep(time.Minute)
		b.start()
		b.expect("available", b.sets(), "1: kubia 0, 2: v2 1")
	})
}

func TestPauseAndResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.create(2)
		b.start()
		b.edit(func(d *appsv1.Deployment) { d.Spec.Paused = true })
		b.expect("paused", b.conditions(), "Available True MinimumReplicasAvailable, Progressing Unknown DeploymentPaused")
		b.image("v2")
		b.start()
		b.expect("nothing rolls", b.sets(), "1: kubia 2")
		b.edit(func(d *appsv1.Deployment) { d.Spec.Replicas = ptr.To[int32](3) })
		b.start()
		b.expect("but it scales", b.sets(), "1: kubia 3")
		time.Sleep(time.Hour) // a pause is no lack of progress
		b.edit(func(d *appsv1.Deployment) { d.Spec.Paused = false })
		b.expect("resumed", b.conditions(), "Available True MinimumReplicasAvailable, Progressing True ReplicaSetUpdated")
		b.start()
		b.expect("resumed", b.sets(), "1: kubia 0, 2: v2 3")
	})
}

func TestProgressDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.create(1, func(d *appsv1.Deployment) { d.Spec.ProgressDeadlineSeconds = ptr.To[int32](60) })
		b.start()
		b.image("broken")
		time.Sleep(59 * time.Second)
		synctest.Wait()
		b.expect("in time", b.conditions(), "Available True MinimumReplicasAvailable, Progressing True ReplicaSetUpdated")
		time.Sleep(3 * time.Second)
		synctest.Wait()
		b.expect("too late", b.conditions(), "Available True MinimumReplicasAvailable, Progressing False ProgressDeadlineExceeded")
		b.image("kubia") // undo
		b.start()
		b.expect("undone", b.conditions(), "Available True MinimumReplicasAvailable, Progressing True NewReplicaSetAvailable")
	})
}

func TestRecreate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.create(2, func(d *appsv1.Deployment) { d.Spec.Strategy.Type = appsv1.RecreateDeploymentStrategyType })
		b.start()
		b.image("v2")
		b.expect("the old must go first", b.sets(), "1: kubia 0")
		pods := testbed.List[*corev1.Pod](b.Bed, "default")
		testbed.Kill[*corev1.Pod](b.Bed, "default", pods[0].Name)
		synctest.Wait()
		b.expect("all of them", b.sets(), "1: kubia 0")
		testbed.UpdateStatus(b.Bed, "default", pods[1].Name, func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed })
		synctest.Wait()
		b.expect("then the new come", b.sets(), "1: kubia 0, 2: v2 2")
	})
}

func TestHistoryIsCleanedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.create(1, func(d *appsv1.Deployment) { d.Spec.RevisionHistoryLimit = ptr.To[int32](1) })
		b.start()
		for _, image := range []string{"v2", "v3", "v4"} {
			b.image(image)
			b.start()
		}
		b.expect("one old set is kept", b.sets(), "3: v3 0, 4: v4 1")
	})
}

func TestAdoption(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		rs := testbed.Create(b.Bed, &appsv1.ReplicaSet{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "orphan", Labels: kubia},
			Spec: appsv1.ReplicaSetSpec{
				Replicas: ptr.To[int32](2), Selector: &metav1.LabelSelector{MatchLabels: kubia},
				Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: kubia}, Spec: testbed.PodSpec()},
			},
		})
		b.start()
		d := b.create(2)
		b.start()
		rs, _ = testbed.Get[*appsv1.ReplicaSet](b.Bed, "default", rs.Name)
		if ref := metav1.GetControllerOf(rs); ref == nil || ref.UID != d.UID {
			t.Fatalf("controlled by %v", ref)
		}
		b.expect("it is the current set", b.sets(), "1: kubia 2")
		b.expect("found", b.conditions(), "Available True MinimumReplicasAvailable, Progressing True NewReplicaSetAvailable")
		testbed.Update(b.Bed, "default", rs.Name, func(rs *appsv1.ReplicaSet) { rs.Labels = map[string]string{"app": "foo"} })
		b.start()
		rs, _ = testbed.Get[*appsv1.ReplicaSet](b.Bed, "default", rs.Name)
		if metav1.GetControllerOf(rs) != nil {
			t.Error("a relabelled set was not released")
		}
	})
}

func TestCollision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		d := b.create(1, func(d *appsv1.Deployment) { d.Spec.Paused = true })
		hash, err := hashOf(&d.Spec.Template, nil)
		if err != nil {
			t.Fatal(err)
		}
		other := map[string]string{"app": "other"}
		testbed.Create(b.Bed, &appsv1.ReplicaSet{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubia-" + hash, Labels: other},
			Spec: appsv1.ReplicaSetSpec{
				Replicas: ptr.To[int32](0), Selector: &metav1.LabelSelector{MatchLabels: other},
				Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: other}, Spec: testbed.PodSpec()},
			},
		})
		b.edit(func(d *appsv1.Deployment) { d.Spec.Paused = false })
		time.Sleep(time.Second)
		b.start()
		if s := b.get().Status; s.CollisionCount == nil || *s.CollisionCount != 1 || s.AvailableReplicas != 1 {
			t.Errorf("status %+v", s)
		}
	})
}

func TestSetsThatCanNotBeMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		var works atomic.Bool
		b.createError = func(string) error {
			if !works.Load() {
				return errors.New("quota")
			}
			return nil
		}
		b.create(1)
		synctest.Wait()
		b.expect("failing", b.conditions(), "Progressing False ReplicaSetCreateError, Available False MinimumReplicasUnavailable")
		if e := b.events(); !strings.Contains(e, `Warning ReplicaSetCreateError kubia: Failed to create new replica set "kubia-`) {
			t.Errorf("events %s", e)
		}
		works.Store(true)
		time.Sleep(time.Minute)
		b.start()
		b.expect("made", b.conditions(), "Available True MinimumReplicasAvailable, Progressing True NewReplicaSetAvailable")
	})
}

func TestFailuresOfPodsAreShown(t *testing.T) {
	s := snapshotOf("deadline=60", "v1 rev=1 failing", "v2 rev=2 size=3 failing")
	status, _ := statusOf(s.rollout(), outcome{rolls: true}, now)
	c := conditions{list: status.Conditions}
	if f := c.get(appsv1.DeploymentReplicaFailure); f == nil || f.Reason != "FailedCreate" || f.Message != "quota" {
		t.Errorf("conditions %v", status.Conditions)
	}
	s.sets[0].Status.Conditions, s.sets[1].Status.Conditions = nil, nil
	s.deployment.Status = status
	status, _ = statusOf(s.rollout(), outcome{rolls: true}, now)
	if c := (conditions{list: status.Conditions}); c.get(appsv1.DeploymentReplicaFailure) != nil {
		t.Errorf("conditions %v", status.Conditions)
	}
}

func TestRollbackByAnnotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.create(1, func(d *appsv1.Deployment) { d.Annotations = map[string]string{"note": "first"} })
		b.start()
		b.edit(func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers[0].Image, d.Annotations["note"] = "v2", "second"
		})
		b.start()
		b.Recorder.Take()
		b.edit(func(d *appsv1.Deployment) { d.Annotations[appsv1.DeprecatedRollbackTo] = "0" })
		b.start()
		b.expect("sets", b.sets(), "2: v2 0, 3: kubia 1 once 1")
		if a := b.get().Annotations; a["note"] != "first" || a[appsv1.DeprecatedRollbackTo] != "" {
			t.Errorf("annotations %v", a)
		}
		if e := b.events(); !strings.Contains(e, `Normal DeploymentRollback kubia: Rolled back deployment "kubia" to revision 1`) {
			t.Errorf("events %s", e)
		}
	})
}

func TestSurgeByPercentage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.create(10, func(d *appsv1.Deployment) {
			d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{
				MaxSurge: ptr.To(intstr.FromString("25%")), MaxUnavailable: ptr.To(intstr.FromString("25%")),
			}}
		})
		b.start()
		b.image("v2")
		b.expect("3 more, 2 fewer", b.sets(), "1: kubia 8, 2: v2 5")
		b.start()
		b.expect("over", b.sets(), "1: kubia 0, 2: v2 10")
	})
}
