package job

import (
	"fmt"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/internal/testbed"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// jobSpec makes a job of a line of words: completions=3 parallelism=2 indexed ….
func jobSpec(line string) *batchv1.Job {
	j := newJob("calc", 1, 1)
	j.UID = "calc"
	j.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "calc"}}
	j.Status.StartTime = &metav1.Time{Time: noon}
	for word := range strings.FieldsSeq(line) {
		key, value, _ := strings.Cut(word, "=")
		var n int32
		fmt.Sscan(value, &n)
		switch key {
		case "completions":
			j.Spec.Completions = &n
		case "any":
			j.Spec.Completions = nil
		case "parallelism":
			j.Spec.Parallelism = &n
		case "backoffLimit":
			j.Spec.BackoffLimit = &n
		case "perIndex":
			j.Spec.BackoffLimitPerIndex, j.Spec.BackoffLimit = &n, ptr.To[int32](1<<30)
		case "maxFailed":
			j.Spec.MaxFailedIndexes = &n
		case "deadline":
			j.Spec.ActiveDeadlineSeconds = ptr.To(int64(n))
		case "indexed":
			j.Spec.CompletionMode = ptr.To(batchv1.IndexedCompletion)
		case "suspended":
			j.Spec.Suspend = ptr.To(true)
		case "replaceFailed":
			j.Spec.PodReplacementPolicy = ptr.To(batchv1.Failed)
		case "restarts":
			j.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
		case "successCount":
			j.Spec.SuccessPolicy = &batchv1.SuccessPolicy{Rules: []batchv1.SuccessPolicyRule{{SucceededCount: &n}}}
		case "successOf":
			j.Spec.SuccessPolicy = &batchv1.SuccessPolicy{Rules: []batchv1.SuccessPolicyRule{{SucceededIndexes: &value}}}
		case "on":
			code, action, _ := strings.Cut(value, ":")
			fmt.Sscan(code, &n)
			rule := batchv1.PodFailurePolicyRule{Action: batchv1.PodFailurePolicyAction(action), OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{
				Operator: batchv1.PodFailurePolicyOnExitCodesOpIn, Values: []int32{n}}}
			j.Spec.PodFailurePolicy = &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{rule}}
		case "deleting":
			j.DeletionTimestamp = &metav1.Time{Time: noon}
		case "succeeded":
			j.Status.Succeeded = n
		case "failed":
			j.Status.Failed = n
		case "done":
			j.Status.CompletedIndexes = value
		case "lost":
			j.Status.FailedIndexes = &value
		case "target":
			j.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobConditionType(value), Status: corev1.ConditionTrue, Reason: "Before"}}
		case "noted":
			j.Status.UncountedTerminatedPods = &batchv1.UncountedTerminatedPods{Succeeded: []types.UID{types.UID(value)}}
		case "notedFailed":
			j.Status.UncountedTerminatedPods = &batchv1.UncountedTerminatedPods{Failed: []types.UID{types.UID(value)}}
		default:
			panic(word)
		}
	}
	return j
}

// podSpec makes a pod of a line of words: a name, and what is said of it.
func podSpec(line string) *corev1.Pod {
	name, rest, _ := strings.Cut(line, " ")
	p := testbed.Pod("default", name, map[string]string{"app": "calc"})
	p.UID, p.Annotations = types.UID(name), map[string]string{}
	p.CreationTimestamp = metav1.NewTime(noon)
	p.Status.Phase, p.Spec.NodeName = corev1.PodRunning, "n"
	p.Finalizers = []string{batchv1.JobTrackingFinalizer}
	p.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(jobSpec(""), kind)}
	for word := range strings.FieldsSeq(rest) {
		key, value, _ := strings.Cut(word, "=")
		var n int
		fmt.Sscan(value, &n)
		switch key {
		case "succeeded":
			p.Status.Phase = corev1.PodSucceeded
		case "failed":
			p.Status.Phase = corev1.PodFailed
		case "exit":
			p.Status.Phase = corev1.PodFailed
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", State: corev1.ContainerState{
				Terminated: &corev1.ContainerStateTerminated{ExitCode: int32(n), FinishedAt: metav1.NewTime(noon)}}}}
		case "unscheduled":
			p.Spec.NodeName = ""
		case "restarts":
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{RestartCount: int32(n)}}
		case "index":
			p.Annotations[batchv1.JobCompletionIndexAnnotation] = value
		case "tries":
			p.Annotations[batchv1.JobIndexFailureCountAnnotation] = value
		case "going":
			p.DeletionTimestamp = &metav1.Time{Time: noon}
		case "counted":
			p.Finalizers = nil
		case "orphan":
			p.OwnerReferences, p.Finalizers = nil, nil
		case "stray":
			p.Labels["app"] = "other"
		case "at":
			p.CreationTimestamp = metav1.NewTime(noon.Add(time.Duration(n) * time.Second))
		default:
			panic(word)
		}
	}
	return p
}

func lookAt(job string, pods []string, after time.Duration) *facts {
	j := jobSpec(job)
	s := snapshot{job: j, now: noon.Add(after)}
	s.selector, _ = selectorOf(j)
	for _, line := range pods {
		s.pods = append(s.pods, podSpec(line))
	}
	return s.facts()
}

func TestPlan(t *testing.T) {
	for _, c := range []struct {
		name, job string
		pods      []string
		after     time.Duration
		want      string
	}{
		{"the first pod", "completions=1", nil, 0, "create 1 pods: 0 active, 1 wanted"},
		{"as many as run side by side", "completions=5 parallelism=2", []string{"a"}, 0, "create 1 pods: 1 active, 2 wanted"},
		{"no more than are left", "completions=3 parallelism=3", []string{"a succeeded", "b succeeded counted"}, 0, "create 2 pods: 0 active, 2 wanted"},
		{"a noted pod counts once", "completions=3 parallelism=3 noted=a", []string{"a succeeded"}, 0, "create 2 pods: 0 active, 2 wanted"},
		{"a pod noted as failed before it succeeded", "completions=2 parallelism=2 notedFailed=a", []string{"a succeeded", "b succeeded"}, time.Hour, "create 1 pods: 0 active, 1 wanted"},
		{"counted before", "completions=3 parallelism=3 succeeded=2", []string{"a succeeded counted"}, 0, "create 1 pods: 0 active, 1 wanted"},
		{"complete", "completions=1", []string{"a succeeded"}, 0, "end Complete: CompletionsReached"},
		{"nothing to do at all", "completions=0", nil, 0, "end Complete: CompletionsReached"},
		{"any success will do", "any parallelism=3", []string{"a succeeded", "b"}, 0, ""},
		{"and the others have ended", "any parallelism=3", []string{"a succeeded", "b failed"}, 0, "end Complete: CompletionsReached"},
		{"any, none yet", "any parallelism=3", []string{"a"}, 0, "create 2 pods: 1 active, 3 wanted"},
		{"too many", "completions=5 parallelism=1", []string{"a", "b unscheduled"}, 0,
			"take off the books and delete pod b: surplus, on no node yet"},
		{"cut off before it was deleted", "completions=5 parallelism=2", []string{"a", "b counted"}, 0,
			"take off the books and delete pod b: off the books, so it would not count"},
		{"adopted and released", "completions=1", []string{"a orphan", "b stray"}, 0,
			"release pod b: labels no longer match\nadopt pod a: matches selector, no controller"},
		{"backoff", "completions=1", []string{"a exit=1"}, time.Second, "look again in 9s: backoff, failures since the last success: 1"},
		{"backoff after three", "completions=1", []string{"a exit=1", "b exit=1 counted", "c exit=1 counted"}, time.Second,
			"look again in 39s: backoff, failures since the last success: 3"},
		{"backoff is over", "completions=1", []string{"a exit=1"}, 10 * time.Second, "create 1 pods: 0 active, 1 wanted"},
		{"too many failures", "completions=1 backoffLimit=1 failed=1", []string{"a exit=1", "b"}, 0,
			"end Failed: BackoffLimitExceeded\ndelete pod b: the job ends: BackoffLimitExceeded"},
		{"too many restarts", "completions=2 backoffLimit=3 restarts", []string{"a restarts=2", "b restarts=1"}, 0,
			"end Failed: BackoffLimitExceeded\ndelete pod a: the job ends: BackoffLimitExceeded\ndelete pod b: the job ends: BackoffLimitExceeded"},
		{"a deleted pod has failed", "completions=1 backoffLimit=0", []string{"a going"}, 0, "end Failed: BackoffLimitExceeded"},
		{"unless it is to be waited for", "completions=1 backoffLimit=0 replaceFailed", []string{"a going"}, 0, ""},
		{"within the deadline", "completions=1 deadline=30", []string{"a"}, 10 * time.Second, "look again in 20s: activeDeadlineSeconds"},
		{"past the deadline", "completions=1 deadline=30", []string{"a"}, 30 * time.Second,
			"end Failed: DeadlineExceeded\ndelete pod a: the job ends: DeadlineExceeded"},
		{"suspended", "completions=2 parallelism=2 deadline=30 suspended", []string{"a", "b succeeded"}, time.Hour,
			"take off the books and delete pod a: the job is suspended"},
		{"a verdict stands", "completions=1 target=FailureTarget", []string{"a succeeded"}, 0, "end Failed: Before"},
		{"being deleted", "completions=3 deleting", []string{"a failed"}, 0, ""},
		{"no room for more than wait", "any parallelism=2147483647", nil, 0, "create 500 pods: 0 active, 2147483647 wanted"},

		{"indexes", "completions=5 parallelism=3 indexed done=0,2", []string{"a index=1"}, 0, "create pods of indexes 3,4: 1 active, 3 wanted"},
		{"one index twice", "completions=5 parallelism=3 indexed", []string{"a index=1", "b index=1 unscheduled", "c index=7", "d"}, 0,
			"take off the books and delete pod d: no index of the job\ntake off the books and delete pod c: no index of the job\n" +
				"take off the books and delete pod b: another has index 1, on no node yet"},
		{"an index that succeeded", "completions=2 parallelism=2 indexed", []string{"a index=0 succeeded", "b index=1"}, 0, ""},
		{"an index whose pod was noted as failed before it succeeded", "completions=2 parallelism=2 indexed notedFailed=a", []string{"a index=0 succeeded", "b index=1 succeeded"}, time.Hour,
			"create pods of indexes 0: 0 active, 1 wanted"},
		{"an index fails", "completions=2 parallelism=2 indexed perIndex=1", []string{"a index=0 exit=1", "b index=1"}, time.Second,
			"look again in 9s: backoff, failures of index 0: 1"},
		{"an index fails for good", "completions=2 parallelism=2 indexed perIndex=1", []string{"a index=0 exit=1 tries=1", "b index=1"}, 0, ""},
		{"all indexes have ended", "completions=2 parallelism=2 indexed perIndex=0", []string{"a index=0 exit=1", "b index=1 succeeded"}, 0, "end Failed: FailedIndexes"},
		{"too many indexes fail", "completions=4 parallelism=4 indexed perIndex=0 maxFailed=0", []string{"a index=0 exit=1", "b index=1"}, 0,
			"end Failed: MaxFailedIndexesExceeded\ndelete pod b: the job ends: MaxFailedIndexesExceeded"},
		{"an index is given up by its exit code", "completions=2 parallelism=2 indexed perIndex=5 on=42:FailIndex", []string{"a index=0 exit=42", "b index=1"}, 0, ""},
		{"the job is given up by an exit code", "completions=2 on=42:FailJob", []string{"a exit=42"}, 0, "end Failed: PodFailurePolicy"},
		{"an ignored failure", "completions=1 backoffLimit=0 on=42:Ignore", []string{"a exit=42"}, 10 * time.Second, "create 1 pods: 0 active, 1 wanted"},
		{"enough succeeded", "completions=5 parallelism=5 indexed successCount=2", []string{"a index=0 succeeded", "b index=3 succeeded", "c index=1"}, 0,
			"end Complete: SuccessPolicy\ndelete pod c: the job ends: SuccessPolicy"},
		{"the leader succeeded", "completions=5 parallelism=2 indexed successOf=0", []string{"a index=0 succeeded", "b index=1"}, 0,
			"end Complete: SuccessPolicy\ndelete pod b: the job ends: SuccessPolicy"},
		{"replaced only when it is gone", "completions=2 parallelism=2 indexed replaceFailed", []string{"a index=0 going", "b index=1"}, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := makePlan(lookAt(c.job, c.pods, c.after)).String(); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestBooks(t *testing.T) {
	for _, c := range []struct {
		name, job string
		pods      []string
		want      string
	}{
		{"nothing ended", "completions=2", []string{"a"}, "succeeded 0 [] failed 0 []"},
		{"a success is noted", "completions=2", []string{"a succeeded", "b"}, "count pod a: succeeded\nsucceeded 0 [a] failed 0 []"},
		{"and not again", "completions=2 noted=a", []string{"a succeeded"}, "count pod a: succeeded\nsucceeded 0 [a] failed 0 []"},
		{"and becomes a number", "completions=2 noted=a", []string{"a succeeded counted"}, "succeeded 1 [] failed 0 []"},
		{"whatever has become of the pod", "completions=2 noted=a", nil, "succeeded 1 [] failed 0 []"},
		{"a counted pod stays counted", "completions=2 succeeded=1", []string{"a succeeded counted"}, "succeeded 1 [] failed 0 []"},
		{"a failure", "completions=2", []string{"a failed"}, "count pod a: failed\nsucceeded 0 [] failed 0 [a]"},
		{"an ignored failure", "completions=2 on=42:Ignore", []string{"a exit=42"}, "count pod a: failed, which is ignored\nsucceeded 0 [] failed 0 []"},
		{"an index", "completions=3 indexed", []string{"a index=1 succeeded", "b index=1 succeeded", "c index=9 succeeded"},
			"count pod a: succeeded\ncount pod b: succeeded\ncount pod c: succeeded\nsucceeded 1 [] failed 0 [] done 1"},
		{"indexes join", "completions=9 indexed done=0,2,4-6", []string{"a index=1 succeeded"}, "count pod a: succeeded\nsucceeded 6 [] failed 0 [] done 0-2,4-6"},
		{"an index's failure is held until another pod bears it", "completions=3 indexed perIndex=1", []string{"a index=1 exit=1"},
			"succeeded 0 [] failed 0 [] done  lost "},
		{"which it does", "completions=3 indexed perIndex=1", []string{"a index=1 exit=1", "b index=1 tries=1"},
			"count pod a: failed\nsucceeded 0 [] failed 0 [a] done  lost "},
		{"an index is lost", "completions=3 indexed perIndex=0", []string{"a index=1 exit=1"}, "count pod a: failed\nsucceeded 0 [] failed 0 [a] done  lost 1"},
		{"what still runs when a job fails has failed", "completions=3 target=FailureTarget", []string{"a going"},
			"count pod a: failed\nthe end will be Failed: Before\nsucceeded 0 [] failed 0 [a]"},
		{"the verdict stands before the pods go that are left", "completions=2 on=42:FailJob", []string{"a exit=42", "b"},
			"count pod a: failed\nthe end will be Failed: PodFailurePolicy\nsucceeded 0 [] failed 0 [a]"},
		{"a job being deleted lets its pods go", "completions=3 deleting", []string{"a"}, "count pod a: is not the job's business any more\nsucceeded 0 [] failed 0 []"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := keepBooks(lookAt(c.job, c.pods, 0))
			got := fmt.Sprintf("%s\nsucceeded %d %v failed %d %v", b, b.status.Succeeded, b.status.UncountedTerminatedPods.Succeeded,
				b.status.Failed, b.status.UncountedTerminatedPods.Failed)
			if strings.Contains(c.job, "indexed") {
				got += " done " + b.status.CompletedIndexes
			}
			if b.status.FailedIndexes != nil {
				got += " lost " + *b.status.FailedIndexes
			}
			if got = strings.TrimSpace(got); got != strings.TrimSpace(c.want) {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestBackoffDoublesUpToTenMinutes(t *testing.T) {
	for count, want := range map[int]time.Duration{
		0: 0, 1: 10 * time.Second, 2: 20 * time.Second, 6: 320 * time.Second, 7: 10 * time.Minute, 1000: 10 * time.Minute,
	} {
		if got := (failures{count, noon}).wait(noon); got != want {
			t.Errorf("%d failures: %s, want %s", count, got, want)
		}
	}
}
