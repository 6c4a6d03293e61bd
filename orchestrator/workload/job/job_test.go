package job

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"skiff/manifests"
	"skiff/manifests/registry"
	"skiff/orchestrator/cluster/garbage"
	"skiff/orchestrator/internal/testbed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newJob is a job that the registry accepts.
func newJob(name string, completions, parallelism int32) *batchv1.Job {
	j := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: batchv1.JobSpec{
			Completions: &completions, Parallelism: &parallelism, BackoffLimit: ptr.To[int32](6),
			Template: corev1.PodTemplateSpec{Spec: testbed.PodSpec()},
		},
	}
	j.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
	manifests.Scheme().Default(j)
	return j
}

type bed struct {
	*testbed.Bed
	t    *testing.T
	stop func()
	// restart starts the controller of verdictBed.
	restart func()
}

func newBed(t *testing.T) *bed {
	b := &bed{Bed: testbed.New(t), t: t}
	b.start()
	b.Run(garbage.New(garbage.Options{Env: b.Env(), Workers: 4}).Run)
	return b
}

// start starts the controllers, again if they have been stopped.
func (b *bed) start() {
	o := Options{
		Pods: registry.For[*corev1.Pod](b.Registry), Jobs: registry.For[*batchv1.Job](b.Registry),
		Env: b.Env(), Workers: 2,
	}
	jobs, sweeper := b.Run(New(o).Run), b.Run(NewSweeper(o).Run)
	b.stop = func() { jobs(); sweeper() }
}

func (b *bed) job(name string) *batchv1.Job {
	b.t.Helper()
	j, ok := testbed.Get[*batchv1.Job](b.Bed, "default", name)
	if !ok {
		b.t.Fatalf("no job %s", name)
	}
	return j
}

// running are the pods that have neither ended nor are told to go.
func (b *bed) running() []*corev1.Pod {
	var pods []*corev1.Pod
	for _, p := range testbed.List[*corev1.Pod](b.Bed, "default") {
		if p.DeletionTimestamp == nil && p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed {
			pods = append(pods, p)
		}
	}
	return pods
}

// end lets a pod end as its containers would.
func (b *bed) end(p *corev1.Pod, phase corev1.PodPhase, exit int32) {
	testbed.UpdateStatus(b.Bed, p.Namespace, p.Name, func(p *corev1.Pod) {
		p.Status.Phase = phase
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", State: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{ExitCode: exit, FinishedAt: metav1.Now()}}}}
	})
}

func (b *bed) endAll(phase corev1.PodPhase) {
	exit := int32(0)
	if phase == corev1.PodFailed {
		exit = 1
	}
	for _, p := range b.running() {
		b.end(p, phase, exit)
	}
	synctest.Wait()
}

// reap does what the node agent does with pods that are told to go.
func (b *bed) reap() {
	for _, p := range testbed.List[*corev1.Pod](b.Bed, "default") {
		if p.DeletionTimestamp != nil {
			testbed.Kill[*corev1.Pod](b.Bed, "default", p.Name)
		}
	}
	synctest.Wait()
}

// expect compares a job's status, in few words.
func (b *bed) expect(name, want string) {
	b.t.Helper()
	synctest.Wait()
	s := b.job(name).Status
	var conditions []string
	for _, c := range s.Conditions {
		conditions = append(conditions, fmt.Sprintf("%s=%s(%s)", c.Type, c.Status, c.Reason))
	}
	got := strings.TrimSpace(fmt.Sprintf("%d active %d ready %d terminating %d succeeded %d failed %s", s.Active, ptr.Deref(s.Ready, -1),
		ptr.Deref(s.Terminating, -1), s.Succeeded, s.Failed, strings.Join(conditions, " ")))
	if got != want {
		b.t.Errorf("%s: got  %s\nwant %s", name, got, want)
	}
}

// events are what was recorded since the last call, without the pods' names.
func (b *bed) events() string {
	lines := strings.Split(b.Recorder.Take(), "\n")
	for i, l := range lines {
		if head, _, ok := strings.Cut(l, " pod: "); ok {
			lines[i] = head + " pod"
		}
	}
	return strings.Join(lines, "\n")
}

func (b *bed) expectEvents(want ...string) {
	b.t.Helper()
	slices.Sort(want)
	if got := b.events(); got != strings.Join(want, "\n") {
		b.t.Errorf("events\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// TestPodsOfASuccessAreNoFailures: what a success policy makes superfluous has not failed.
func TestPodsOfASuccessAreNoFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		j := newJob("calc", 3, 3)
		j.Spec.CompletionMode = ptr.To(batchv1.IndexedCompletion)
		j.Spec.SuccessPolicy = &batchv1.SuccessPolicy{Rules: []batchv1.SuccessPolicyRule{{SucceededCount: ptr.To[int32](1)}}}
		testbed.Create(b.Bed, j)
		synctest.Wait()
		b.end(b.running()[0], corev1.PodSucceeded, 0)
		synctest.Wait()
		b.reap()
		b.expect("calc", "0 active 0 ready 0 terminating 1 succeeded 0 failed SuccessCriteriaMet=True(SuccessPolicy) Complete=True(SuccessPolicy)")
	})
}

func TestJobRunsToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		testbed.Create(b.Bed, newJob("calc", 3, 2))
		b.expect("calc", "2 active 0 ready 0 terminating 0 succeeded 0 failed")
		j := b.job("calc")
		for _, p := range b.running() {
			for key, want := range map[string]string{
				"job-name": "calc", "batch.kubernetes.io/job-name": "calc", "controller-uid": string(j.UID), "batch.kubernetes.io/controller-uid": string(j.UID),
			} {
				if p.Labels[key] != want {
					t.Errorf("pod %s has label %s=%q", p.Name, key, p.Labels[key])
				}
			}
		}
		b.end(b.running()[0], corev1.PodSucceeded, 0)
		b.expect("calc", "2 active 0 ready 0 terminating 1 succeeded 0 failed")
		b.endAll(corev1.PodSucceeded)
		b.expect("calc", "0 active 0 ready 0 terminating 3 succeeded 0 failed SuccessCriteriaMet=True(CompletionsReached) Complete=True(CompletionsReached)")
		if j := b.job("calc"); j.Status.StartTime == nil || j.Status.CompletionTime == nil {
			t.Errorf("status %+v", j.Status)
		}
		if pods := testbed.List[*corev1.Pod](b.Bed, "default"); len(pods) != 3 || tracked(pods[0]) {
			t.Errorf("%d pods are left, want 3 without finalizers", len(pods))
		}
		created := "Normal SuccessfulCreate calc: Created pod"
		b.expectEvents(created, created, created, "Normal Completed calc: Job completed")
	})
}

func TestIndexedPodsKnowTheirIndex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		j := newJob("calc", 3, 3)
		j.Spec.CompletionMode = ptr.To(batchv1.IndexedCompletion)
		testbed.Create(b.Bed, j)
		synctest.Wait()
		for i, p := range b.running() {
			env := p.Spec.Containers[0].Env
			if !strings.HasPrefix(p.Name, fmt.Sprintf("calc-%d-", i)) || p.Spec.Hostname != fmt.Sprintf("calc-%d", i) ||
				p.Labels[batchv1.JobCompletionIndexAnnotation] != fmt.Sprint(i) || indexOf(p) != i ||
				len(env) != 1 || env[0].Name != "JOB_COMPLETION_INDEX" || env[0].ValueFrom.FieldRef.FieldPath != "metadata.labels['batch.kubernetes.io/job-completion-index']" {
				t.Errorf("pod %d: %s %s %v %v", i, p.Name, p.Spec.Hostname, p.Labels, env)
			}
		}
		b.end(b.running()[1], corev1.PodSucceeded, 0)
		synctest.Wait()
		if got := b.job("calc").Status.CompletedIndexes; got != "1" {
			t.Errorf("completed %q", got)
		}
		b.endAll(corev1.PodSucceeded)
		if got := b.job("calc").Status.CompletedIndexes; got != "0-2" {
			t.Errorf("completed %q", got)
		}
	})
}

func TestFailuresAreRetriedWithBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		j := newJob("calc", 1, 1)
		j.Spec.BackoffLimit = ptr.To[int32](2)
		testbed.Create(b.Bed, j)
		synctest.Wait()
		for i, wait := range []time.Duration{10 * time.Second, 20 * time.Second} {
			b.endAll(corev1.PodFailed)
			time.Sleep(wait - 2*time.Second) // times in a pod's status are whole seconds
			b.expect("calc", fmt.Sprintf("0 active 0 ready 0 terminating 0 succeeded %d failed", i+1))
			if i == 1 { // what is remembered is found again after a restart
				b.stop()
				b.start()
				b.expect("calc", "0 active 0 ready 0 terminating 0 succeeded 2 failed")
			}
			time.Sleep(3 * time.Second)
			b.expect("calc", fmt.Sprintf("1 active 0 ready 0 terminating 0 succeeded %d failed", i+1))
		}
		b.Recorder.Take()
		b.endAll(corev1.PodFailed)
		b.expect("calc", "0 active 0 ready 0 terminating 0 succeeded 3 failed FailureTarget=True(BackoffLimitExceeded) Failed=True(BackoffLimitExceeded)")
		b.expectEvents("Warning BackoffLimitExceeded calc: Job has reached the specified backoff limit")
	})
}

func TestDeletedPodIsReplacedAfterItsBackoffThoughItIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		testbed.Create(b.Bed, newJob("calc", 1, 1))
		synctest.Wait()
		testbed.Delete[*corev1.Pod](b.Bed, "default", b.running()[0].Name)
		b.reap()
		b.expect("calc", "0 active 0 ready 0 terminating 0 succeeded 1 failed")
		time.Sleep(11 * time.Second)
		b.expect("calc", "1 active 0 ready 0 terminating 0 succeeded 1 failed")
	})
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		j := newJob("calc", 1, 1)
		j.Spec.ActiveDeadlineSeconds = ptr.To[int64](30)
		testbed.Create(b.Bed, j)
		synctest.Wait()
		b.node(b.running()[0])
		b.Recorder.Take()
		time.Sleep(28 * time.Second)
		b.expect("calc", "1 active 0 ready 0 terminating 0 succeeded 0 failed")
		time.Sleep(3 * time.Second)
		b.expect("calc", "0 active 0 ready 1 terminating 0 succeeded 1 failed FailureTarget=True(DeadlineExceeded)")
		b.reap()
		b.expect("calc", "0 active 0 ready 0 terminating 0 succeeded 1 failed FailureTarget=True(DeadlineExceeded) Failed=True(DeadlineExceeded)")
		b.expectEvents("Normal SuccessfulDelete calc: Deleted pod", "Warning DeadlineExceeded calc: Job was active longer than specified deadline")
	})
}

// node puts a pod on a node, so that its deletion is graceful.
func (b *bed) node(p *corev1.Pod) {
	if err := b.Bind(b.t.Context(), p.Namespace, p.Name, "node"); err != nil {
		b.t.Fatal(err)
	}
	testbed.UpdateStatus(b.Bed, p.Namespace, p.Name, func(p *corev1.Pod) { p.Status.Phase = corev1.PodRunning })
}

func TestSuspendAndResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		testbed.Create(b.Bed, newJob("calc", 2, 2))
		synctest.Wait()
		b.end(b.running()[0], corev1.PodSucceeded, 0)
		synctest.Wait()
		b.Recorder.Take()
		testbed.Update(b.Bed, "default", "calc", func(j *batchv1.Job) { j.Spec.Suspend = ptr.To(true) })
		b.expect("calc", "0 active 0 ready 0 terminating 1 succeeded 0 failed Suspended=True(JobSuspended)")
		b.expectEvents("Normal SuccessfulDelete calc: Deleted pod", "Normal Suspended calc: Job suspended")
		time.Sleep(time.Hour)
		testbed.Update(b.Bed, "default", "calc", func(j *batchv1.Job) { j.Spec.Suspend = ptr.To(false) })
		b.expect("calc", "1 active 0 ready 0 terminating 1 succeeded 0 failed Suspended=False(JobResumed)")
		if since := time.Since(b.job("calc").Status.StartTime.Time); since > time.Minute {
			t.Errorf("started %s ago", since)
		}
		b.expectEvents("Normal SuccessfulCreate calc: Created pod", "Normal Resumed calc: Job resumed")
	})
}

func TestFinishedJobIsDeletedWhenItsTimeIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		j := newJob("calc", 1, 1)
		j.Spec.TTLSecondsAfterFinished = ptr.To[int32](60)
		testbed.Create(b.Bed, j)
		synctest.Wait()
		b.endAll(corev1.PodSucceeded)
		time.Sleep(58 * time.Second)
		synctest.Wait()
		b.job("calc")
		time.Sleep(3 * time.Second)
		synctest.Wait()
		b.reap()
		if _, ok := testbed.Get[*batchv1.Job](b.Bed, "default", "calc"); ok || len(testbed.List[*corev1.Pod](b.Bed, "default")) > 0 {
			t.Error("the job or its pods are left")
		}
	})
}

func TestPodsOfDeletedJobCanGo(t *testing.T) {
	for _, policy := range []metav1.DeletionPropagation{metav1.DeletePropagationBackground, metav1.DeletePropagationForeground, metav1.DeletePropagationOrphan} {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t)
			testbed.Create(b.Bed, newJob("calc", 2, 2))
			synctest.Wait()
			b.node(b.running()[0])
			testbed.Delete[*batchv1.Job](b.Bed, "default", "calc", policy)
			synctest.Wait()
			for _, p := range testbed.List[*corev1.Pod](b.Bed, "default") {
				if tracked(p) {
					t.Errorf("%s: pod %s keeps its finalizer", policy, p.Name)
				}
			}
			b.reap()
			want := map[bool]int{false: 0, true: 2}[policy == metav1.DeletePropagationOrphan]
			if got := len(testbed.List[*corev1.Pod](b.Bed, "default")); got != want {
				t.Errorf("%s: %d pods, want %d", policy, got, want)
			}
			if _, ok := testbed.Get[*batchv1.Job](b.Bed, "default", "calc"); ok {
				t.Errorf("%s: the job is left", policy)
			}
		})
	}
}

func TestForeignJobIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		j := newJob("calc", 1, 1)
		j.Spec.ManagedBy = ptr.To("example.com/queue")
		testbed.Create(b.Bed, j)
		synctest.Wait()
		if n, status := len(b.running()), b.job("calc").Status; n > 0 || status.StartTime != nil {
			t.Errorf("%d pods, status %+v", n, status)
		}
	})
}

func TestManualSelectorAdopts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		labels := map[string]string{"app": "calc"}
		testbed.Create(b.Bed, testbed.Pod("default", "orphan", labels))
		j := newJob("calc", 2, 2)
		j.Spec.ManualSelector, j.Spec.Selector = ptr.To(true), &metav1.LabelSelector{MatchLabels: labels}
		j.Spec.Template.Labels = labels
		testbed.Create(b.Bed, j)
		b.expect("calc", "2 active 0 ready 0 terminating 0 succeeded 0 failed")
		orphan, _ := testbed.Get[*corev1.Pod](b.Bed, "default", "orphan")
		if ref := metav1.GetControllerOf(orphan); ref == nil || ref.Name != "calc" || !tracked(orphan) {
			t.Errorf("the orphan was not adopted: %v %v", ref, orphan.Finalizers)
		}
		testbed.Update(b.Bed, "default", "orphan", func(p *corev1.Pod) { p.Labels["app"] = "other" })
		b.expect("calc", "2 active 0 ready 0 terminating 0 succeeded 0 failed")
		if orphan, _ = testbed.Get[*corev1.Pod](b.Bed, "default", "orphan"); metav1.GetControllerOf(orphan) != nil || tracked(orphan) {
			t.Error("the orphan was not released")
		}
	})
}
