// Package job runs pods until as many of them have succeeded as a Job asks for,
// or until it fails; and removes finished jobs when their time is up.
//
// A look at a job plans which pods to create or delete (plan.go) and carries that
// out; then it looks again and keeps the books (account.go): pods that have ended
// become numbers in the job's status, each exactly once, whatever crashes.
package job

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/controller"
	"skiff/orchestrator/workload"
)

// Component is where the events of jobs come from.
const Component = "job-controller"

// Pods reads and writes pods; a registry.Client is one.
type Pods interface {
	Get(namespace, name string) (*corev1.Pod, error)
	ByIndex(index, value string) []*corev1.Pod
	Create(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error)
	Update(ctx context.Context, namespace, name string, change func(*corev1.Pod) error) (*corev1.Pod, error)
	Delete(ctx context.Context, namespace, name string, o metav1.DeleteOptions) error
}

// Jobs reads the jobs, writes their status and deletes them; a registry.Client is
// one.
type Jobs interface {
	Get(namespace, name string) (*batchv1.Job, error)
	List(namespace string, s labels.Selector) []*batchv1.Job
	UpdateStatus(ctx context.Context, namespace, name string, change func(*batchv1.Job) error) (*batchv1.Job, error)
	Delete(ctx context.Context, namespace, name string, o metav1.DeleteOptions) error
}

// Options are what the controllers need.
type Options struct {
	controller.Env

	Pods Pods
	Jobs Jobs
	// Workers is how many jobs are looked at a time.
	Workers int
}

// Controller reconciles jobs.
type Controller struct {
	options  Options
	recorder controller.Recorder
	logger   *slog.Logger

	mu sync.Mutex
	// failures are what is remembered of unfinished jobs' failed pods, which may
	// themselves be gone. After a restart the pods that are left have to do.
	failures map[types.NamespacedName]remembered
}

type remembered struct {
	uid types.UID
	failures
}

// New returns the controller of jobs.
func New(o Options) *Controller {
	return &Controller{
		options: o, recorder: o.Recorder(Component), logger: o.Logger.With("controller", "job"),
		failures: map[types.NamespacedName]remembered{},
	}
}

// Run reconciles until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	jobs := controller.Loop[types.NamespacedName]{
		Name: "job", Workers: c.options.Workers, Reconcile: c.reconcile,
		Sources: []controller.Source[types.NamespacedName]{
			controller.Own(c.options.Feeds.Of("jobs.batch")),
			controller.Follow(c.options.Feeds.Of("pods"), c.concerns),
		},
		Env: c.options.Env,
	}
	orphans := c.orphans()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return jobs.Run(ctx) })
	group.Go(func() error { return orphans.Run(ctx) })
	return group.Wait()
}

// reconcile looks at one job: observe, plan, execute; observe again and keep the
// books.
func (c *Controller) reconcile(ctx context.Context, key types.NamespacedName) (time.Duration, error) {
	j, err := c.options.Jobs.Get(key.Namespace, key.Name)
	if apierrors.IsNotFound(err) {
		c.forget(key)
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading job %s: %w", key, err)
	}
	if _, finished := Finished(j); finished || foreign(j) {
		c.forget(key)
		return 0, nil
	}
	selector, err := selectorOf(j)
	if err != nil {
		return 0, fmt.Errorf("job %s: %w", key, err)
	}
	p := c.plan(j, selector)
	for p.claims() {
		if err := workload.AdoptAndRelease(ctx, tracking{c.options.Pods}, workload.OwnerIn(c.options.Jobs, j, kind), p.adopt, p.release); err != nil {
			return 0, err
		}
		// A pod may have gone before it could be adopted, so look again.
		p = c.plan(j, selector)
	}
	failed, err := c.act(ctx, j, selector, p)
	if err != nil {
		if apierrors.IsNotFound(err) {
			return 0, nil // the job has gone meanwhile
		}
		return 0, err
	}
	return p.after, failed
}

// act carries a plan out and keeps the books. That some of the plan failed does
// not keep it from the books.
func (c *Controller) act(ctx context.Context, j *batchv1.Job, s labels.Selector, p *plan) (failed, err error) {
	if j, err = c.pass(ctx, j, p); err != nil {
		return nil, err
	}
	failed = c.carryOut(ctx, j, p)
	return failed, c.account(ctx, j, s)
}

// pass notes the plan's verdict before pods are deleted for it: without them, or
// once they have ended, it could not be worked out again.
func (c *Controller) pass(ctx context.Context, j *batchv1.Job, p *plan) (*batchv1.Job, error) {
	if p.verdict == nil || len(p.delete) == 0 {
		return j, nil
	}
	s := j.Status.DeepCopy()
	setCondition(s, p.verdict.target(), p.verdict, c.options.Clock.Now())
	return c.write(ctx, j, s)
}

func (c *Controller) plan(j *batchv1.Job, s labels.Selector) *plan {
	p := makePlan(c.observe(j, s).facts())
	if steps := p.String(); steps != "" {
		c.logger.Debug("plan", "job", controller.NameOf(j).String(), "steps", steps)
	}
	return p
}

// account keeps the books: notes, takes finalizers away, counts.
func (c *Controller) account(ctx context.Context, j *batchv1.Job, s labels.Selector) error {
	f := c.observe(j, s).facts()
	b := keepBooks(f)
	if entries := b.String(); entries != "" {
		c.logger.Debug("books", "job", controller.NameOf(j).String(), "entries", entries)
	}
	j, err := c.write(ctx, j, &b.status)
	if err != nil {
		return err
	}
	c.remember(j, f.failures)
	if b.event != "" {
		c.recorder.Event(j, corev1.EventTypeNormal, b.reason, "%s", b.event)
	}
	unremoved := c.settleAll(ctx, j, b.settle)
	b.settleAll(unsettled(c.observe(j, s).pods))
	finished := unremoved == nil && b.finish(f.now)
	if j, err = c.write(ctx, j, &b.status); err != nil {
		return err
	}
	if finished {
		c.tellEnd(j, b.verdict)
	}
	return unremoved
}

func (c *Controller) tellEnd(j *batchv1.Job, v *verdict) {
	c.logger.Info("job has ended", "job", controller.NameOf(j).String(), "reason", v.reason)
	switch {
	case !v.success:
		c.recorder.Event(j, corev1.EventTypeWarning, v.reason, "%s", v.message)
	case j.Spec.Completions != nil && j.Status.Succeeded > *j.Spec.Completions:
		c.recorder.Event(j, corev1.EventTypeWarning, "TooManySucceededPods", "Too many succeeded pods running after completion count reached")
		fallthrough
	default:
		c.recorder.Event(j, corev1.EventTypeNormal, "Completed", "Job completed")
	}
}

func (c *Controller) remember(j *batchv1.Job, f failures) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures[controller.NameOf(j)] = remembered{j.UID, f}
}

func (c *Controller) forget(key types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.failures, key)
}

// observe reads the pods a job controls or might adopt.
func (c *Controller) observe(j *batchv1.Job, selector labels.Selector) snapshot {
	s := snapshot{job: j, selector: selector, now: c.options.Clock.Now(), pods: workload.Candidates(c.options.Pods, j, controllerOf)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.failures[controller.NameOf(j)]; ok && known.uid == j.UID {
		s.failures = &known.failures
	}
	return s
}

// concerns adds the jobs that a change of a pod concerns.
func (c *Controller) concerns(now, before *corev1.Pod, add func(types.NamespacedName)) {
	workload.Concerns(now, before, controllerOf, c.adopters, add)
}

// adopters adds the jobs that select a pod without a controller.
func (c *Controller) adopters(p *corev1.Pod, add func(types.NamespacedName)) {
	for _, j := range c.options.Jobs.List(p.Namespace, nil) {
		if s, err := selectorOf(j); err == nil && s.Matches(labels.Set(p.Labels)) {
			add(controller.NameOf(j))
		}
	}
}

// controllerOf names the job that a pod says controls it, none if p is nil.
func controllerOf(p *corev1.Pod) (none types.NamespacedName) {
	if p == nil {
		return none
	}
	return workload.ControllerOf(p, kind)
}

// selectorOf is a job's selector. One without requirements, which no validated
// job has, selects nothing.
func selectorOf(j *batchv1.Job) (labels.Selector, error) {
	s, err := metav1.LabelSelectorAsSelector(j.Spec.Selector)
	if err != nil {
		return nil, fmt.Errorf("selector: %w", err)
	}
	if s.Empty() {
		return labels.Nothing(), nil
	}
	return s, nil
}

// foreign reports whether a job is left to a controller that is not part of skiff.
func foreign(j *batchv1.Job) bool {
	return ptr.Deref(j.Spec.ManagedBy, batchv1.JobControllerName) != batchv1.JobControllerName
}
