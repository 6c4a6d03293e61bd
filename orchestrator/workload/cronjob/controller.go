// Package cronjob makes Jobs at the times that CronJobs' schedules give, and
// removes old ones.
package cronjob

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
	_ "time/tzdata" // time zones must be known where the system has no tables of them

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"skiff/manifests/registry"
	"skiff/orchestrator/controller"
	"skiff/orchestrator/workload/cronjob/schedule"
	"skiff/store"
)

// Component is where the events of CronJobs come from.
const Component = "cronjob-controller"

// CronJobs reads the CronJobs and writes their status; a registry.Client is one.
type CronJobs interface {
	Get(namespace, name string) (*batchv1.CronJob, error)
	List(namespace string, s labels.Selector) []*batchv1.CronJob
	UpdateStatus(ctx context.Context, namespace, name string, change func(*batchv1.CronJob) error) (*batchv1.CronJob, error)
}

// Jobs reads, makes and deletes jobs; a registry.Client is one.
type Jobs interface {
	Get(namespace, name string) (*batchv1.Job, error)
	ByIndex(index, value string) []*batchv1.Job
	Create(ctx context.Context, j *batchv1.Job) (*batchv1.Job, error)
	Delete(ctx context.Context, namespace, name string, o metav1.DeleteOptions) error
}

// Options are what the controller needs.
type Options struct {
	controller.Env

	CronJobs CronJobs
	Jobs     Jobs
	// Workers is how many CronJobs are looked at a time.
	Workers int
	// Zone is that of schedules that name none, the host's unless set.
	Zone *time.Location
}

// Controller reconciles CronJobs.
type Controller struct {
	options  Options
	recorder controller.Recorder
	logger   *slog.Logger
}

// New returns the controller.
func New(o Options) *Controller {
	o.Zone = cmp.Or(o.Zone, time.Local)
	return &Controller{options: o, recorder: o.Recorder(Component), logger: o.Logger.With("controller", "cronjob")}
}

// Run reconciles until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	loop := controller.Loop[types.NamespacedName]{
		Name: "cronjob", Workers: c.options.Workers, Reconcile: c.reconcile,
		Sources: []controller.Source[types.NamespacedName]{
			c.changes,
			controller.Follow(c.options.Feeds.Of("jobs.batch"), concerns),
			c.clockJumps,
		},
		Env: c.options.Env,
	}
	return loop.Run(ctx)
}

// reconcile looks at one CronJob: observe, plan, execute, and show what came of
// it.
func (c *Controller) reconcile(ctx context.Context, key types.NamespacedName) (time.Duration, error) {
	cron, err := c.options.CronJobs.Get(key.Namespace, key.Name)
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading cron job %s: %w", key, err)
	}
	p := makePlan(c.observe(cron))
	if steps := p.String(); steps != "" {
		c.logger.Debug("plan", "cronjob", key.String(), "steps", steps)
	}
	failed := c.carryOut(ctx, cron, p)
	if err := errors.Join(failed, c.write(ctx, cron, &p.status)); err != nil {
		return 0, err
	}
	if p.next.IsZero() {
		return 0, nil
	}
	return max(p.next.Sub(c.options.Clock.Now()), time.Millisecond), nil
}

func (c *Controller) observe(cron *batchv1.CronJob) snapshot {
	s := snapshot{cron: cron, now: c.options.Clock.Now(), host: c.options.Zone}
	for _, j := range c.options.Jobs.ByIndex(registry.IndexOwner, string(cron.UID)) {
		if ref := metav1.GetControllerOfNoCopy(j); ref != nil && ref.UID == cron.UID && j.Namespace == cron.Namespace {
			s.jobs = append(s.jobs, j)
		}
	}
	return s
}

// changes puts in the CronJobs that have changed. One with another schedule is
// looked at when the next time of that has come: what the new one would have run
// in the past was not missed.
func (c *Controller) changes(ctx context.Context, queue controller.Queue[types.NamespacedName]) (func(), error) {
	return c.options.Feeds.Of("cronjobs.batch").Subscribe(ctx, func(e store.Event) {
		key := controller.NameOf(e.Object)
		now, isCron := e.Object.(*batchv1.CronJob)
		before, changed := e.Previous.(*batchv1.CronJob)
		if isCron && changed && (now.Spec.Schedule != before.Spec.Schedule || !ptr.Equal(now.Spec.TimeZone, before.Spec.TimeZone)) {
			if after := c.untilNext(now); after > 0 {
				queue.AddAfter(key, after)
				return
			}
		}
		queue.Add(key)
	})
}

// untilNext is how long it is until the next time of a schedule, 0 if that can
// not be told.
func (c *Controller) untilNext(cron *batchv1.CronJob) time.Duration {
	s := snapshot{cron: cron, now: c.options.Clock.Now(), host: c.options.Zone}
	if name := cron.Spec.TimeZone; name != nil {
		var err error
		if s.host, err = time.LoadLocation(*name); err != nil {
			return 0
		}
	}
	times, err := schedule.Parse(cron.Spec.Schedule, s.host)
	if err != nil {
		return 0
	}
	next := nextLook(s, times)
	if next.IsZero() {
		return 0
	}
	return next.Sub(s.now)
}

// concerns adds the CronJobs that a change of a job concerns.
func concerns(now, before *batchv1.Job, add func(types.NamespacedName)) {
	for _, j := range []*batchv1.Job{now, before} {
		if j == nil {
			continue
		}
		if ref := metav1.GetControllerOfNoCopy(j); ref != nil && ref.Kind == kind.Kind {
			add(types.NamespacedName{Namespace: j.Namespace, Name: ref.Name})
		}
	}
}
