package job

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"skiff/manifests/registry"
	"skiff/orchestrator/internal/testbed"
)

// swift ends pods as soon as they are told to go, before their deletion returns.
type swift struct {
	fragile
}

func (s swift) Delete(ctx context.Context, namespace, name string, o metav1.DeleteOptions) error {
	if err := s.fragile.Delete(ctx, namespace, name, o); err != nil {
		return err
	}
	_, err := s.UpdateStatus(ctx, namespace, name, func(p *corev1.Pod) error {
		p.Status.Phase = corev1.PodFailed
		return nil
	})
	return err
}

// verdictBed has a job of two pods that run on a node, and writes that can be made
// to fail.
func verdictBed(t *testing.T, change func(*batchv1.Job)) (*bed, fragile) {
	b := &bed{Bed: testbed.New(t), t: t}
	jobs := registry.For[*batchv1.Job](b.Registry)
	f := fragile{registry.For[*corev1.Pod](b.Registry), jobs, &sync.Mutex{}, ptr.To(-1), new(bool)}
	start := func() func() {
		return b.Run(New(Options{Pods: swift{f}, Jobs: fragileJobs{jobs, f}, Env: b.Env(), Workers: 2}).Run)
	}
	b.restart = func() { b.stop = start() }
	b.restart()
	j := newJob("calc", 2, 2)
	change(j)
	testbed.Create(b.Bed, j)
	synctest.Wait()
	for _, p := range b.running() {
		b.node(p)
	}
	synctest.Wait()
	return b, f
}

// TestVerdictOutlivesItsCause: what pods that restart their containers had of
// restarts no longer counts once they have ended, but the verdict stands.
func TestVerdictOutlivesItsCause(t *testing.T) {
	// The write that fails once is counted from the verdict's: none, the second
	// deletion, the books.
	for _, fails := range []int{-1, 0, 1, 2, 3, 4} {
		synctest.Test(t, func(t *testing.T) {
			b, f := verdictBed(t, func(j *batchv1.Job) {
				j.Spec.BackoffLimit, j.Spec.Template.Spec.RestartPolicy = ptr.To[int32](3), corev1.RestartPolicyOnFailure
			})
			f.mu.Lock()
			*f.left, *f.once = fails, true
			f.mu.Unlock()
			testbed.UpdateStatus(b.Bed, "default", b.running()[0].Name, func(p *corev1.Pod) {
				p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", RestartCount: 3}}
			})
			time.Sleep(time.Minute)
			b.expect("calc", "0 active 0 ready 0 terminating 0 succeeded 2 failed FailureTarget=True(BackoffLimitExceeded) Failed=True(BackoffLimitExceeded)")
			if n := len(b.running()); n > 0 {
				t.Errorf("fails %d: %d pods run", fails, n)
			}
		})
	}
}

// TestVerdictOfPolicyOutlivesItsPod: the pod that the verdict is about may be gone
// before the others can be deleted.
func TestVerdictOfPolicyOutlivesItsPod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, f := verdictBed(t, func(j *batchv1.Job) {
			j.Spec.PodFailurePolicy = jobSpec("on=42:FailJob").Spec.PodFailurePolicy
			j.Spec.PodReplacementPolicy = ptr.To(batchv1.Failed)
		})
		fatal := b.running()[0]
		f.mu.Lock()
		*f.left, *f.once = 1, true // the deletion of the other
		f.mu.Unlock()
		testbed.Delete[*corev1.Pod](b.Bed, "default", fatal.Name)
		b.end(fatal, corev1.PodFailed, 42)
		b.reap()
		time.Sleep(time.Minute)
		synctest.Wait()
		if c := condition(b.job("calc"), batchv1.JobFailed); c == nil || c.Reason != batchv1.JobReasonPodFailurePolicy {
			t.Errorf("conditions %+v", b.job("calc").Status.Conditions)
		}
	})
}

// TestPodsThatAreNotNeededDoNotFail: once the success policy is met, the other pods are deleted. One
// that exits with an error because of that, before the books are kept, is no failure of the job. One
// that did before is.
func TestPodsThatAreNotNeededDoNotFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := verdictBed(t, func(j *batchv1.Job) {
			j.Spec.Completions, j.Spec.Parallelism, j.Spec.CompletionMode = ptr.To[int32](3), ptr.To[int32](3), ptr.To(batchv1.IndexedCompletion)
			j.Spec.SuccessPolicy = &batchv1.SuccessPolicy{Rules: []batchv1.SuccessPolicyRule{{SucceededCount: ptr.To[int32](1)}}}
		})
		pods := b.running()
		b.stop()
		b.end(pods[0], corev1.PodFailed, 1)
		time.Sleep(time.Second)
		b.end(pods[1], corev1.PodSucceeded, 0)
		b.restart()
		b.expect("calc", "0 active 0 ready 0 terminating 1 succeeded 1 failed SuccessCriteriaMet=True(SuccessPolicy) Complete=True(SuccessPolicy)")
	})
}
