package disruption

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/internal/testbed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	now   = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	kubia = map[string]string{"app": "kubia"}
	ready = corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue}
)

func budget(spec string) *policyv1.PodDisruptionBudget {
	b := &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubia", Generation: 1},
		Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: kubia}},
	}
	bound, value, _ := strings.Cut(spec, "=")
	switch bound {
	case "min":
		b.Spec.MinAvailable = ptr.To(intstr.Parse(value))
	case "max":
		b.Spec.MaxUnavailable = ptr.To(intstr.Parse(value))
	}
	return b
}

// pods makes pods of a word each: what is special about them.
func pods(words string) []*corev1.Pod {
	var all []*corev1.Pod
	for i, w := range strings.Fields(words) {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("p", i)}, Status: corev1.PodStatus{Phase: corev1.PodRunning}}
		switch w {
		case "ready":
			p.Status.Conditions = []corev1.PodCondition{ready}
		case "deleting":
			p.Status.Conditions, p.DeletionTimestamp = []corev1.PodCondition{ready}, ptr.To(metav1.NewTime(now))
		case "unready":
		default:
			panic(w)
		}
		all = append(all, p)
	}
	return all
}

func TestJudge(t *testing.T) {
	minute, late := metav1.NewTime(now.Add(-time.Minute)), metav1.NewTime(now.Add(-3*time.Minute))
	for _, c := range []struct {
		name, spec, pods string
		scale            int32
		disrupted        map[string]metav1.Time
		want             string
	}{
		{"a number of pods", "min=2", "ready ready ready", 5, nil, "allowed 1, healthy 3, desired 2 of 3"},
		{"too few", "min=3", "ready unready ready", 5, nil, "allowed 0, healthy 2, desired 3 of 3"},
		{"no pods", "min=0", "", 0, nil, "allowed 0, healthy 0, desired 0 of 0"},
		{"a share of the scale, rounded up", "min=50%", "ready ready ready", 5, nil, "allowed 0, healthy 3, desired 3 of 5"},
		{"a number that may be missing", "max=1", "ready ready ready", 3, nil, "allowed 1, healthy 3, desired 2 of 3"},
		{"counted from the scale", "max=1", "ready ready ready", 5, nil, "allowed 0, healthy 3, desired 4 of 5"},
		{"a share that may be missing, rounded up", "max=30%", "ready ready ready ready ready", 5, nil, "allowed 2, healthy 5, desired 3 of 5"},
		{"more than there are", "max=10", "ready", 1, nil, "allowed 1, healthy 1, desired 0 of 1"},
		{"a pod that goes is not healthy", "min=1", "ready deleting", 2, nil, "allowed 0, healthy 1, desired 1 of 2"},
		{"nor one that will", "min=1", "ready ready", 2, map[string]metav1.Time{"p0": minute}, "allowed 0, healthy 1, desired 1 of 2; p0 is awaited; again in 1m0.000000001s"},
		{"unless it does not", "min=1", "ready ready", 2, map[string]metav1.Time{"p0": late}, "allowed 1, healthy 2, desired 1 of 2; p0 is overdue"},
		{"one that goes needs no waiting", "min=1", "deleting ready", 2, map[string]metav1.Time{"p0": late, "gone": minute}, "allowed 0, healthy 1, desired 1 of 2"},
		{"no bound", "", "ready", 1, nil, "allowed 0, healthy 1, desired 0 of 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := snapshot{budget: budget(c.spec), pods: pods(c.pods), scales: map[types.UID]int32{"rs": c.scale}, now: now}
			s.budget.Status.DisruptedPods = c.disrupted
			o, err := judge(s)
			if err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprintf("allowed %d, healthy %d, desired %d of %d", o.status.DisruptionsAllowed, o.status.CurrentHealthy, o.status.DesiredHealthy, o.status.ExpectedPods)
			for name := range o.status.DisruptedPods {
				got += "; " + name + " is awaited"
			}
			for _, p := range o.overdue {
				got += "; " + p.Name + " is overdue"
			}
			if o.after > 0 {
				got += "; again in " + o.after.String()
			}
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// bed is a testbed with the controller.
type bed struct {
	*testbed.Bed
	t *testing.T
}

func newBed(t *testing.T) *bed {
	b := &bed{Bed: testbed.New(t), t: t}
	b.Run(New(Options{Env: b.Env(), Workers: 2}).Run)
	return b
}

// runs makes pods that run and are ready, controlled by owner if there is one.
func (b *bed) runs(owner *metav1.OwnerReference, names ...string) {
	b.t.Helper()
	for _, name := range names {
		p := testbed.Pod("default", name, kubia)
		if owner != nil {
			p.OwnerReferences = []metav1.OwnerReference{*owner}
		}
		testbed.Create(b.Bed, p)
		if err := b.Bind(b.t.Context(), "default", name, "node"); err != nil {
			b.t.Fatal(err)
		}
		testbed.UpdateStatus(b.Bed, "default", name, func(p *corev1.Pod) {
			p.Status.Phase = corev1.PodRunning
			p.Status.Conditions = append(p.Status.Conditions, ready)
		})
	}
}

func (b *bed) status() policyv1.PodDisruptionBudgetStatus {
	b.t.Helper()
	synctest.Wait()
	budget, ok := testbed.Get[*policyv1.PodDisruptionBudget](b.Bed, "default", "kubia")
	if !ok {
		b.t.Fatal("no budget")
	}
	return budget.Status
}

func (b *bed) expect(what, want string) {
	b.t.Helper()
	s := b.status()
	got := fmt.Sprintf("allowed %d, healthy %d, desired %d of %d", s.DisruptionsAllowed, s.CurrentHealthy, s.DesiredHealthy, s.ExpectedPods)
	for _, c := range s.Conditions {
		got += fmt.Sprintf(", %s %s %s", c.Type, c.Status, c.Reason)
	}
	if got != want {
		b.t.Errorf("%s: got %s, want %s", what, got, want)
	}
}

func (b *bed) evict(name string) error {
	return b.Registry.Pods().Evict(b.t.Context(), "default", name, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: name}})
}

func set(name string, n int32, owner *metav1.OwnerReference) *appsv1.ReplicaSet {
	rs := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: kubia},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: &n, Selector: &metav1.LabelSelector{MatchLabels: kubia},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: kubia}, Spec: testbed.PodSpec()},
		},
	}
	if owner != nil {
		rs.OwnerReferences = []metav1.OwnerReference{*owner}
	}
	return rs
}

func TestEvictionsSpendTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		testbed.Create(b.Bed, budget("min=2"))
		b.expect("no pods", "allowed 0, healthy 0, desired 2 of 0, DisruptionAllowed False InsufficientPods")
		if e := b.Recorder.Take(); !strings.Contains(e, "Normal NoPods kubia: No matching pods found") {
			t.Errorf("events %s", e)
		}
		b.runs(nil, "a", "b", "c")
		b.expect("three", "allowed 1, healthy 3, desired 2 of 3, DisruptionAllowed True SufficientPods")
		if err := b.evict("a"); err != nil {
			t.Fatal(err)
		}
		b.expect("one goes", "allowed 0, healthy 2, desired 2 of 3, DisruptionAllowed False InsufficientPods")
		err := b.evict("b")
		var status *apierrors.StatusError
		if !apierrors.IsTooManyRequests(err) || !errors.As(err, &status) || status.ErrStatus.Details.Causes[0].Type != policyv1.DisruptionBudgetCause ||
			status.ErrStatus.Details.Causes[0].Message != "The disruption budget kubia needs 2 healthy pods and has 2 currently" {
			t.Errorf("the second: %v", err)
		}
		if p, _ := testbed.Get[*corev1.Pod](b.Bed, "default", "b"); p.DeletionTimestamp != nil || disrupted(p) != nil {
			t.Error("it was disrupted all the same")
		}
		testbed.Update(b.Bed, "default", "kubia", func(b *policyv1.PodDisruptionBudget) { b.Spec.MinAvailable = ptr.To(intstr.FromInt32(1)) })
		b.expect("the budget grew", "allowed 1, healthy 2, desired 1 of 3, DisruptionAllowed True SufficientPods")
		if err := b.evict("b"); err != nil {
			t.Error(err)
		}
	})
}

func TestPercentagesNeedAScale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		d := testbed.Create(b.Bed, &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubia"},
			Spec: appsv1.DeploymentSpec{
				Replicas: ptr.To[int32](4), Selector: &metav1.LabelSelector{MatchLabels: kubia},
				Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: kubia}, Spec: testbed.PodSpec()},
			},
		})
		of := metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))
		kind := appsv1.SchemeGroupVersion.WithKind("ReplicaSet")
		older, newer := testbed.Create(b.Bed, set("older", 3, of)), testbed.Create(b.Bed, set("newer", 2, of))
		b.runs(metav1.NewControllerRef(older, kind), "a", "b")
		b.runs(metav1.NewControllerRef(newer, kind), "c")
		testbed.Create(b.Bed, budget("max=50%"))
		b.expect("of the deployment, not of its sets", "allowed 1, healthy 3, desired 2 of 4, DisruptionAllowed True SufficientPods")
		alone := testbed.Create(b.Bed, set("alone", 3, nil))
		b.runs(metav1.NewControllerRef(alone, kind), "d")
		b.expect("another controller adds its own", "allowed 1, healthy 4, desired 3 of 7, DisruptionAllowed True SufficientPods")
	})
}

func TestPodsWithoutAScale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		testbed.Create(b.Bed, budget("max=1"))
		b.runs(nil, "a")
		b.expect("unmanaged pods do not count", "allowed 0, healthy 1, desired 0 of 0, DisruptionAllowed False InsufficientPods")
		if e := b.Recorder.Take(); !strings.Contains(e, "Warning UnmanagedPods kubia: Pods selected by this PodDisruptionBudget (selector: &LabelSelector{MatchLabels:map[string]string{app: kubia,}") {
			t.Errorf("events %s", e)
		}
		job := testbed.Create(b.Bed, &batchv1.Job{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "job"},
			Spec:       batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: func() corev1.PodSpec { s := testbed.PodSpec(); s.RestartPolicy = "Never"; return s }()}},
		})
		b.runs(metav1.NewControllerRef(job, batchv1.SchemeGroupVersion.WithKind("Job")), "b")
		b.expect("a job has no scale", "allowed 0, healthy 1, desired 0 of 0, DisruptionAllowed False SyncFailed")
		if m := b.status().Conditions[0].Message; m != "jobs.batch does not implement the scale subresource" {
			t.Errorf("message %q", m)
		}
		if err := b.evict("a"); !apierrors.IsTooManyRequests(err) {
			t.Errorf("eviction: %v", err)
		}
	})
}

func TestUnkeptEvictionsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		testbed.Create(b.Bed, budget("min=1"))
		b.runs(nil, "a", "b")
		synctest.Wait()
		testbed.UpdateStatus(b.Bed, "default", "kubia", func(b *policyv1.PodDisruptionBudget) {
			b.Status.DisruptedPods = map[string]metav1.Time{"a": metav1.Now()}
		})
		testbed.UpdateStatus(b.Bed, "default", "a", func(p *corev1.Pod) {
			p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{
				Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "EvictionByEvictionAPI", LastTransitionTime: metav1.Now(),
			})
		})
		b.expect("granted", "allowed 0, healthy 1, desired 1 of 2, DisruptionAllowed False InsufficientPods")
		time.Sleep(deletionTimeout + time.Second)
		b.expect("not kept", "allowed 1, healthy 2, desired 1 of 2, DisruptionAllowed True SufficientPods")
		p, _ := testbed.Get[*corev1.Pod](b.Bed, "default", "a")
		if disrupted(p) != nil {
			t.Errorf("conditions %v", p.Status.Conditions)
		}
		if e := b.Recorder.Take(); !strings.Contains(e, "Warning NotDeleted a: Pod was expected by PDB default/kubia to be deleted but it wasn't") {
			t.Errorf("events %s", e)
		}
	})
}
