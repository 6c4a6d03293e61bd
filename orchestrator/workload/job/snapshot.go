package job

import (
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/ptr"

	"skiff/manifests/podfacts"
	"skiff/orchestrator/workload"
)

// snapshot is what one look at a job saw.
type snapshot struct {
	job      *batchv1.Job
	selector labels.Selector
	// pods are those the job controls, and those of its namespace that nothing
	// controls.
	pods []*corev1.Pod
	// failures are what earlier looks have remembered, nil if there were none
	// since the daemon started.
	failures *failures
	now      time.Time
}

// facts follow from a snapshot.
type facts struct {
	snapshot
	claims workload.Claims[*corev1.Pod]
	// owned are the job's pods in order of their indexes, active those of them
	// that neither have ended nor are told to go.
	owned, active []*corev1.Pod
	terminating   int
	// succeeded and failed are all that were had, those counted in the status and
	// those not yet.
	succeeded, failed int
	// done are the indexes that have succeeded, counted those of them that the
	// status has already.
	done, counted indexes
	// lost are the indexes that have failed for good, nil unless the job has a
	// limit for each index.
	lost *indexes
	// held are, by index, failed pods that are kept uncounted until their
	// replacement bears how often the index has failed.
	held      map[int]*corev1.Pod
	failures  failures
	uncounted uncounted
	started   time.Time
}

// uncounted are the pods that the status says have ended, but not yet counts.
type uncounted struct{ succeeded, failed sets.Set[types.UID] }

func (s snapshot) facts() *facts {
	f := &facts{snapshot: s, claims: workload.Claim(s.job, s.selector, s.pods)}
	f.owned = append(slices.Clone(f.claims.Owned), f.claims.Adopt...)
	slices.SortStableFunc(f.owned, func(a, b *corev1.Pod) int { return indexOf(a) - indexOf(b) })
	for _, p := range f.owned {
		switch {
		case podfacts.Active(p):
			f.active = append(f.active, p)
		case podfacts.Terminating(p):
			f.terminating++
		}
	}
	if u := s.job.Status.UncountedTerminatedPods; u != nil {
		f.uncounted = uncounted{sets.New(u.Succeeded...), sets.New(u.Failed...)}
	}
	switch {
	case s.job.Status.StartTime != nil:
		f.started = s.job.Status.StartTime.Time
	case !f.suspended():
		f.started = s.now.Truncate(time.Second)
	}
	f.count()
	if f.indexed() {
		f.countIndexes()
	}
	return f
}

// count adds up the pods that have ended.
func (f *facts) count() {
	succeeded := f.news(f.uncounted.succeeded, f.hasSucceeded)
	failed := f.news(f.uncounted.failed, f.hasFailed)
	f.succeeded = int(f.job.Status.Succeeded) + len(f.uncounted.succeeded) + len(succeeded)
	f.failed = int(f.job.Status.Failed) + len(f.uncounted.failed)
	for _, p := range failed {
		if !rule(f.job.Spec.PodFailurePolicy, p).ignored {
			f.failed++
		}
	}
	if f.snapshot.failures != nil {
		f.failures = f.snapshot.failures.after(succeeded, failed)
		return
	}
	// After a restart the pods that are left tell what had been remembered.
	var hadSucceeded, hadFailed []*corev1.Pod
	for _, p := range f.owned {
		if p.Status.Phase == corev1.PodSucceeded {
			hadSucceeded = append(hadSucceeded, p)
		} else if f.hasFailed(p) {
			hadFailed = append(hadFailed, p)
		}
	}
	f.failures = failures{}.after(hadSucceeded, hadFailed)
}

// news are the pods that have ended in a way and of which the status knows
// nothing yet.
func (f *facts) news(known sets.Set[types.UID], ended func(*corev1.Pod) bool) []*corev1.Pod {
	var pods []*corev1.Pod
	for _, p := range f.owned {
		if tracked(p) && !known.Has(p.UID) && f.validIndex(p) && ended(p) {
			pods = append(pods, p)
		}
	}
	return pods
}

func (f *facts) countIndexes() {
	completions := f.completions()
	f.counted = parseIndexes(f.job.Status.CompletedIndexes, completions)
	var succeeded, failed []int
	for _, p := range f.owned {
		switch {
		case !tracked(p) || !f.validIndex(p):
		case f.hasSucceeded(p):
			succeeded = append(succeeded, indexOf(p))
		case f.hasLost(p):
			failed = append(failed, indexOf(p))
		}
	}
	f.done = f.counted.with(indexesOf(succeeded))
	f.succeeded = f.done.count()
	if f.perIndex() {
		lost := parseIndexes(ptr.Deref(f.job.Status.FailedIndexes, ""), completions).with(indexesOf(failed))
		f.lost = &lost
		f.hold()
	}
}

// hasLost reports whether with this pod its index has failed for good.
func (f *facts) hasLost(p *corev1.Pod) bool {
	if !f.perIndex() || !f.hasFailed(p) {
		return false
	}
	r := rule(f.job.Spec.PodFailurePolicy, p)
	tries := failureCount(p, batchv1.JobIndexFailureCountAnnotation)
	return r.failsIndex || !r.ignored && tries >= int(*f.job.Spec.BackoffLimitPerIndex)
}

// hold finds the last failed pod of each index that will be tried again.
func (f *facts) hold() {
	f.held = map[int]*corev1.Pod{}
	active := activeIndexes(f.active)
	for _, p := range f.news(nil, f.hasFailed) {
		i := indexOf(p)
		if f.done.has(i) || f.lost.has(i) || active.has(i) {
			continue
		}
		last := f.held[i]
		if last == nil || failuresOf(last).count <= failuresOf(p).count && !endOf(p).Before(endOf(last)) {
			f.held[i] = p
		}
	}
}

func activeIndexes(pods []*corev1.Pod) indexes {
	var list []int
	for _, p := range pods {
		if i := indexOf(p); i != noIndex {
			list = append(list, i)
		}
	}
	return indexesOf(list)
}

// hasSucceeded reports whether a pod counts as succeeded: it has, and was not noted
// as failed before, when it was told to go.
func (f *facts) hasSucceeded(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded && !f.uncounted.failed.Has(p.UID)
}

// hasFailed reports whether a pod counts as failed: it has, or it is told to go and
// is not to be waited for.
func (f *facts) hasFailed(p *corev1.Pod) bool {
	if p.Status.Phase == corev1.PodFailed {
		return true
	}
	return !f.replacesFailedOnly() && p.DeletionTimestamp != nil && p.Status.Phase != corev1.PodSucceeded
}

func (f *facts) validIndex(p *corev1.Pod) bool {
	i := indexOf(p)
	return !f.indexed() || i != noIndex && i < f.completions()
}

func (s snapshot) indexed() bool {
	return ptr.Deref(s.job.Spec.CompletionMode, "") == batchv1.IndexedCompletion
}

func (s snapshot) perIndex() bool { return s.job.Spec.BackoffLimitPerIndex != nil }

func (s snapshot) suspended() bool { return ptr.Deref(s.job.Spec.Suspend, false) }

func (s snapshot) replacesFailedOnly() bool {
	return ptr.Deref(s.job.Spec.PodReplacementPolicy, "") == batchv1.Failed
}

func (s snapshot) completions() int { return int(ptr.Deref(s.job.Spec.Completions, 0)) }

// tracked reports whether a pod has not been counted yet: until then its finalizer
// keeps it.
func tracked(p *corev1.Pod) bool { return slices.Contains(p.Finalizers, batchv1.JobTrackingFinalizer) }
