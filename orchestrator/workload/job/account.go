package job

import (
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/ptr"

	"skiff/manifests/podfacts"
)

// booking is the most pods one look puts on the books, so that the status stays
// small (upstream's figure).
const booking = 500

// books is what a job's status should say, and the pods whose finalizers may go
// once it does.
//
// A pod is counted in three steps, each of which can be the last before a crash:
// its UID is noted in the status (an index that succeeded among completedIndexes),
// its finalizer is taken away, and the UID becomes a number. A pod with a
// finalizer that is noted was noted before; a noted UID without a pod with a
// finalizer is ready to become a number. So each counts once.
type books struct {
	status  batchv1.JobStatus
	settle  []*corev1.Pod
	causes  []string
	verdict *verdict
	// more: there are pods left for the next look.
	more bool
	// event is what happened to the job itself, with its reason.
	event, reason string
}

// String is the entries, one a line, each with its cause.
func (b *books) String() string {
	lines := slices.Clone(b.causes)
	if b.verdict != nil {
		lines = append(lines, fmt.Sprintf("the end will be %s: %s", b.verdict.final(), b.verdict.reason))
	}
	return strings.Join(lines, "\n")
}

// keepBooks makes the entries that follow from the facts.
func keepBooks(f *facts) *books {
	b := &books{status: *f.job.Status.DeepCopy()}
	s := &b.status
	if s.UncountedTerminatedPods == nil {
		s.UncountedTerminatedPods = &batchv1.UncountedTerminatedPods{}
	}
	b.verdict = f.verdict()
	s.Active = int32(len(f.active))
	s.Ready = ptr.To(ready(f.active))
	s.Terminating = ptr.To(int32(f.terminating))
	if s.StartTime == nil && !f.started.IsZero() {
		s.StartTime = &metav1.Time{Time: f.started}
	}
	b.settleAll(unsettled(f.owned))
	b.enter(f)
	switch {
	case b.verdict != nil:
		setCondition(s, b.verdict.target(), b.verdict, f.now)
	case f.job.DeletionTimestamp == nil:
		b.suspend(f)
	}
	return b
}

// enter notes the pods that have ended since.
func (b *books) enter(f *facts) {
	s := &b.status
	notes := s.UncountedTerminatedPods
	var done []int
	for _, p := range f.owned {
		if !tracked(p) || !b.settles(f, p) {
			continue
		}
		b.settle = append(b.settle, p)
		cause := "is not the job's business any more"
		switch {
		case f.hasSucceeded(p):
			cause = "succeeded"
			if f.indexed() {
				if f.validIndex(p) && !f.counted.has(indexOf(p)) {
					done = append(done, indexOf(p))
				}
			} else if !f.uncounted.succeeded.Has(p.UID) {
				notes.Succeeded = append(notes.Succeeded, p.UID)
			}
		case b.failed(f, p):
			cause = "failed"
			if rule(f.job.Spec.PodFailurePolicy, p).ignored {
				cause = "failed, which is ignored"
			} else if f.validIndex(p) && !f.uncounted.failed.Has(p.UID) {
				notes.Failed = append(notes.Failed, p.UID)
			}
		}
		b.causes = append(b.causes, fmt.Sprintf("count pod %s: %s", p.Name, cause))
		if len(done)+len(notes.Succeeded)+len(notes.Failed) >= booking {
			b.more = true
			break
		}
	}
	if f.indexed() {
		counted := f.counted.with(indexesOf(done))
		s.Succeeded, s.CompletedIndexes = int32(counted.count()), counted.String()
		s.FailedIndexes = nil
		if f.lost != nil {
			s.FailedIndexes = ptr.To(f.lost.String())
		}
	}
}

// failed reports whether a pod that has ended counts as a failure: of a job that has succeeded,
// those alone that have failed by themselves. The others were deleted because nobody needs them any
// more, which makes many a program exit with an error.
func (b *books) failed(f *facts, p *corev1.Pod) bool {
	switch {
	case b.verdict == nil:
		return f.hasFailed(p)
	case b.verdict.success:
		return p.Status.Phase == corev1.PodFailed && !endedByDeletion(p)
	}
	return !podfacts.Active(p)
}

// endedByDeletion reports whether a pod was told to go before the last of its containers ended.
func endedByDeletion(p *corev1.Pod) bool {
	if p.DeletionTimestamp == nil {
		return false
	}
	told := p.DeletionTimestamp.Add(-time.Duration(ptr.Deref(p.DeletionGracePeriodSeconds, 0)) * time.Second)
	last := lastExit(p)
	return last.IsZero() || !last.Before(told)
}

// settles reports whether a pod's finalizer may go: when it has ended, or when the
// job has and the pod is told to go. A failed pod is held until another bears its
// index's failures on.
func (b *books) settles(f *facts, p *corev1.Pod) bool {
	if f.job.DeletionTimestamp != nil || p.Status.Phase == corev1.PodSucceeded {
		return true
	}
	if b.verdict != nil {
		return !podfacts.Active(p)
	}
	held := f.held[indexOf(p)]
	return f.hasFailed(p) && (held == nil || held.UID != p.UID)
}

// suspend notes that a job was suspended or resumed. Its time begins anew with
// the latter.
func (b *books) suspend(f *facts) {
	s := &b.status
	old := conditionOf(s, batchv1.JobSuspended)
	was := old != nil && old.Status == corev1.ConditionTrue
	switch now := metav1.NewTime(f.now.Truncate(time.Second)); {
	case f.suspended() && !was:
		s.StartTime = nil
		setCondition(s, batchv1.JobSuspended, &verdict{reason: "JobSuspended", message: "Job suspended"}, f.now)
		b.reason, b.event = "Suspended", "Job suspended"
	case !f.suspended() && was:
		s.StartTime = &now
		*old = batchv1.JobCondition{
			Type: batchv1.JobSuspended, Status: corev1.ConditionFalse, LastProbeTime: now, LastTransitionTime: now,
			Reason: "JobResumed", Message: "Job resumed",
		}
		b.reason, b.event = "Resumed", "Job resumed"
	}
}

// settleAll turns the noted UIDs into numbers, but for those whose pods still
// have their finalizer.
func (b *books) settleAll(unsettled sets.Set[types.UID]) {
	settle := func(notes *[]types.UID, count *int32) {
		var left []types.UID
		for _, uid := range *notes {
			if unsettled.Has(uid) {
				left = append(left, uid)
			} else {
				*count++
			}
		}
		*notes = left
	}
	s := &b.status
	settle(&s.UncountedTerminatedPods.Succeeded, &s.Succeeded)
	settle(&s.UncountedTerminatedPods.Failed, &s.Failed)
}

// finish carries the verdict out once all pods have ended and are counted.
func (b *books) finish(now time.Time) bool {
	s := &b.status
	notes := s.UncountedTerminatedPods
	if b.verdict == nil || b.more || s.Active > 0 || len(notes.Succeeded)+len(notes.Failed) > 0 || *s.Terminating > 0 {
		return false
	}
	c := setCondition(s, b.verdict.final(), b.verdict, now)
	if b.verdict.success {
		at := c.LastTransitionTime
		s.CompletionTime = &at
	}
	return true
}

// unsettled are the UIDs of the pods that still have their finalizer.
func unsettled(pods []*corev1.Pod) sets.Set[types.UID] {
	uids := sets.New[types.UID]()
	for _, p := range pods {
		if tracked(p) {
			uids.Insert(p.UID)
		}
	}
	return uids
}

// setCondition makes a condition true, and returns it. One that is true for the
// same reason keeps its times.
func setCondition(s *batchv1.JobStatus, t batchv1.JobConditionType, v *verdict, now time.Time) *batchv1.JobCondition {
	at := metav1.NewTime(now.Truncate(time.Second))
	wanted := batchv1.JobCondition{
		Type: t, Status: corev1.ConditionTrue, LastProbeTime: at, LastTransitionTime: at, Reason: v.reason, Message: v.message,
	}
	c := conditionOf(s, t)
	if c == nil {
		s.Conditions = append(s.Conditions, wanted)
		return &s.Conditions[len(s.Conditions)-1]
	}
	if c.Status != wanted.Status || c.Reason != wanted.Reason || c.Message != wanted.Message {
		*c = wanted
	}
	return c
}

func ready(pods []*corev1.Pod) int32 {
	var n int32
	for _, p := range pods {
		if podfacts.Ready(p) {
			n++
		}
	}
	return n
}
