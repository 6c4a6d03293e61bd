package job

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"

	"skiff/manifests/registry"
	"skiff/orchestrator/internal/testbed"
	"skiff/store"
)

// act is one thing that happens. n chooses the pod, or the number.
type act struct {
	verb string
	n    int
}

func (a act) String() string { return fmt.Sprint(a.verb, " ", a.n) }

var verbs = []string{"succeed", "succeed", "succeed", "fail", "delete", "reap", "suspend", "resume", "parallelism", "wait", "crash", "flake", "flake", "restart"}

// TestEachPodCountsOnce holds that whatever happens to a job's pods, and wherever
// a crash cuts the controller off, each pod that ends counts once and only once:
// the job completes with exactly as many successes as it wants, all of them had,
// and never counts more failures than there were.
func TestEachPodCountsOnce(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		acts := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) act {
			return act{rapid.SampledFrom(verbs).Draw(r, "verb"), rapid.IntRange(0, 7).Draw(r, "n")}
		}), 1, 30).Draw(r, "acts")
		indexed := rapid.Bool().Draw(r, "indexed")
		settle := rapid.Bool().Draw(r, "settle")
		var failure string
		synctest.Test(t, func(t *testing.T) { failure = play(t, acts, indexed, settle) })
		if failure != "" {
			r.Fatalf("%v (indexed %v, settle %v): %s", acts, indexed, settle, failure)
		}
	})
}

var errCrash = errors.New("crash")

// fragile are writes that fail from a chosen one on, as those of a process that
// is killed.
type fragile struct {
	registry.Client[*corev1.Pod]
	jobs registry.Client[*batchv1.Job]
	mu   *sync.Mutex
	left *int  // writes until the crash, negative for none
	once *bool // only one write fails
}

func (f fragile) alive() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if *f.left == 0 {
		if *f.once {
			*f.left = -1
		}
		return errCrash
	}
	*f.left--
	return nil
}

func (f fragile) Create(ctx context.Context, p *corev1.Pod) (*corev1.Pod, error) {
	if err := f.alive(); err != nil {
		return nil, err
	}
	return f.Client.Create(ctx, p)
}

func (f fragile) Update(ctx context.Context, namespace, name string, change func(*corev1.Pod) error) (*corev1.Pod, error) {
	if err := f.alive(); err != nil {
		return nil, err
	}
	return f.Client.Update(ctx, namespace, name, change)
}

func (f fragile) Delete(ctx context.Context, namespace, name string, o metav1.DeleteOptions) error {
	if err := f.alive(); err != nil {
		return err
	}
	return f.Client.Delete(ctx, namespace, name, o)
}

type fragileJobs struct {
	registry.Client[*batchv1.Job]
	fragile
}

func (f fragileJobs) Get(namespace, name string) (*batchv1.Job, error) {
	return f.jobs.Get(namespace, name)
}

func (f fragileJobs) Delete(ctx context.Context, namespace, name string, o metav1.DeleteOptions) error {
	return f.jobs.Delete(ctx, namespace, name, o)
}

func (f fragileJobs) UpdateStatus(ctx context.Context, namespace, name string, change func(*batchv1.Job) error) (*batchv1.Job, error) {
	if err := f.alive(); err != nil {
		return nil, err
	}
	return f.jobs.UpdateStatus(ctx, namespace, name, change)
}

type stage struct {
	*bed
	fragile fragile
	mu      sync.Mutex
	// ended are the pods of the job that have ended while they had their finalizer.
	succeeded, failed map[types.UID]bool
	most              batchv1.JobStatus
	wrong             []string
}

func (s *stage) startFragile() {
	s.fragile.mu.Lock()
	*s.fragile.left = -1
	s.fragile.mu.Unlock()
	jobs := registry.For[*batchv1.Job](s.Registry)
	s.bed.stop = s.Run(New(Options{
		Pods: s.fragile, Jobs: fragileJobs{jobs, s.fragile}, Env: s.Env(), Workers: 2,
	}).Run)
}

const wanted = 4 // completions

func play(t *testing.T, acts []act, indexed, settle bool) string {
	s := &stage{bed: &bed{Bed: testbed.New(t), t: t}, succeeded: map[types.UID]bool{}, failed: map[types.UID]bool{}}
	s.fragile = fragile{registry.For[*corev1.Pod](s.Registry), registry.For[*batchv1.Job](s.Registry), &sync.Mutex{}, new(int), new(bool)}
	s.startFragile()
	if _, err := s.Feeds.Of("pods").Subscribe(t.Context(), s.seePod); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Feeds.Of("jobs.batch").Subscribe(t.Context(), s.seeJob); err != nil {
		t.Fatal(err)
	}
	j := newJob("calc", wanted, 2)
	j.Spec.BackoffLimit = ptr.To[int32](1000)
	if indexed {
		j.Spec.CompletionMode = ptr.To(batchv1.IndexedCompletion)
	}
	testbed.Create(s.Bed, j)
	synctest.Wait()
	for _, a := range acts {
		s.act(a)
		if settle {
			synctest.Wait()
		}
	}
	// From now on all goes well.
	synctest.Wait()
	s.bed.stop()
	s.startFragile()
	testbed.Update(s.Bed, "default", "calc", func(j *batchv1.Job) {
		j.Spec.Suspend, j.Spec.Parallelism = ptr.To(false), ptr.To[int32](2)
	})
	for range 20 {
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		s.reap()
		s.endAll(corev1.PodSucceeded)
	}
	return s.judge()
}

func (s *stage) act(a act) {
	ctx := s.t.Context()
	pods, jobs := registry.For[*corev1.Pod](s.Registry), registry.For[*batchv1.Job](s.Registry)
	edit := func(change func(*batchv1.Job)) {
		_, _ = jobs.Update(ctx, "default", "calc", func(j *batchv1.Job) error { change(j); return nil })
	}
	running := s.running()
	switch a.verb {
	case "suspend":
		edit(func(j *batchv1.Job) { j.Spec.Suspend = ptr.To(true) })
	case "resume":
		edit(func(j *batchv1.Job) { j.Spec.Suspend = ptr.To(false) })
	case "parallelism":
		edit(func(j *batchv1.Job) { j.Spec.Parallelism = ptr.To(int32(a.n)) })
	case "wait":
		time.Sleep(time.Duration(a.n) * 3 * time.Second)
	case "crash", "flake":
		s.fragile.mu.Lock()
		*s.fragile.left, *s.fragile.once = a.n, a.verb == "flake"
		s.fragile.mu.Unlock()
	case "restart":
		s.bed.stop()
		s.startFragile()
	case "reap":
		for _, p := range testbed.List[*corev1.Pod](s.Bed, "default") {
			if p.DeletionTimestamp != nil {
				_ = pods.Delete(ctx, "default", p.Name, *metav1.NewDeleteOptions(0))
			}
		}
	}
	if len(running) == 0 {
		return
	}
	p := running[a.n%len(running)]
	end := func(phase corev1.PodPhase) {
		_, _ = pods.UpdateStatus(ctx, "default", p.Name, func(p *corev1.Pod) error { p.Status.Phase = phase; return nil })
	}
	switch a.verb {
	case "succeed":
		end(corev1.PodSucceeded)
	case "fail":
		end(corev1.PodFailed)
	case "delete":
		_ = pods.Delete(ctx, "default", p.Name, metav1.DeleteOptions{})
	}
}

func (s *stage) seePod(e store.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := e.Object.(*corev1.Pod)
	switch {
	case p.Status.Phase == corev1.PodSucceeded:
		s.succeeded[p.UID] = true
	case p.Status.Phase == corev1.PodFailed || p.DeletionTimestamp != nil:
		s.failed[p.UID] = true
	}
}

// seeJob watches that no count goes down.
func (s *stage) seeJob(e store.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := e.Object.(*batchv1.Job).Status
	if now.Succeeded < s.most.Succeeded || now.Failed < s.most.Failed {
		s.wrong = append(s.wrong, fmt.Sprintf("from %d, %d to %d, %d", s.most.Succeeded, s.most.Failed, now.Succeeded, now.Failed))
	}
	s.most = now
}

func (s *stage) judge() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := s.job("calc").Status
	_, finished := Finished(s.job("calc"))
	// A pod that is taken off the books may end as it is deleted; it is then one
	// more than is counted.
	switch notes := status.UncountedTerminatedPods; {
	case len(s.wrong) > 0:
		return strings.Join(s.wrong, "; ")
	case !finished || condition(s.job("calc"), batchv1.JobComplete) == nil:
		return fmt.Sprintf("not complete: %+v", status)
	case len(notes.Succeeded)+len(notes.Failed) > 0:
		return fmt.Sprintf("uncounted %v", notes)
	case int(status.Succeeded) < wanted || int(status.Succeeded) > len(s.succeeded):
		return fmt.Sprintf("%d succeeded, %d wanted, %d had", status.Succeeded, wanted, len(s.succeeded))
	case int(status.Failed) > len(s.failed):
		return fmt.Sprintf("%d failed, %d had", status.Failed, len(s.failed))
	case status.CompletedIndexes != "" && status.CompletedIndexes != "0-3":
		return "indexes " + status.CompletedIndexes
	}
	return ""
}

// TestIndexesAreSets holds the arithmetic of index sets against plain lists.
func TestIndexesAreSets(t *testing.T) {
	list := rapid.SliceOf(rapid.IntRange(0, 30))
	rapid.Check(t, func(r *rapid.T) {
		a, b := list.Draw(r, "a"), list.Draw(r, "b")
		completions := rapid.IntRange(0, 35).Draw(r, "completions")
		x, y := indexesOf(slices.Clone(a)), indexesOf(slices.Clone(b))
		both := x.with(y)
		count, common := 0, 0
		var free []int
		for i := range 35 {
			inA, inB := slices.Contains(a, i), slices.Contains(b, i)
			if both.has(i) != (inA || inB) {
				r.Fatalf("%s with %s is %s, which is wrong about %d", x, y, both, i)
			}
			if inA || inB {
				count++
			} else if i < completions && len(free) < 5 {
				free = append(free, i)
			}
			if inA && inB {
				common++
			}
		}
		if both.count() != count || x.common(y) != common || !slices.Equal(both.missing(5, completions), free) {
			r.Fatalf("%s, %s: count %d want %d, common %d want %d, missing %v want %v", x, y, both.count(), count, x.common(y), common, both.missing(5, completions), free)
		}
		if again := parseIndexes(both.String(), 35); !slices.Equal(again, both) {
			r.Fatalf("%s reads back as %s", both, again)
		}
	})
}

// TestFinalizerThatStaysIsNotCountedTwice lets each of the writes that count a pod
// fail once.
func TestFinalizerThatStaysIsNotCountedTwice(t *testing.T) {
	for fails := range 4 {
		synctest.Test(t, func(t *testing.T) {
			s := &stage{bed: &bed{Bed: testbed.New(t), t: t}}
			s.fragile = fragile{registry.For[*corev1.Pod](s.Registry), registry.For[*batchv1.Job](s.Registry), &sync.Mutex{}, new(int), new(bool)}
			s.startFragile()
			testbed.Create(s.Bed, newJob("calc", 3, 1))
			synctest.Wait()
			s.act(act{"flake", fails})
			s.act(act{"succeed", 0})
			time.Sleep(time.Second)
			s.expect("calc", "1 active 0 ready 0 terminating 1 succeeded 0 failed")
		})
	}
}
