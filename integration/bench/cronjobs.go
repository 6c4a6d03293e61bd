package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	dueAtOnce = 1_000
	// lead is how long before the minute in which they are due the CronJobs begin to be made.
	lead = 20 * time.Second
)

// cronJobs measures, from the beginning of the minute in which a thousand CronJobs are due, to the
// pod of the last one Running on simulated nodes.
func cronJobs(ctx context.Context, b *bench) ([]row, error) {
	d, err := b.start("cron")
	if err != nil {
		return nil, err
	}
	defer d.reset(context.WithoutCancel(ctx)) //nolint:errcheck // what matters has been measured
	kube, err := d.client()
	if err != nil {
		return nil, err
	}
	if err := addSimulated(ctx, kube, simulatedNodes); err != nil {
		return nil, err
	}
	minute := time.Now().Truncate(time.Minute).Add(time.Minute)
	if time.Until(minute) < lead {
		minute = minute.Add(time.Minute)
	}
	var group errgroup.Group
	group.SetLimit(32)
	for i := range dueAtOnce {
		group.Go(func() error {
			_, err := kube.BatchV1().CronJobs(namespace).Create(ctx, cronJob(fmt.Sprintf("cron-%d", i), minute), metav1.CreateOptions{})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if late := time.Since(minute); late > 0 {
		return nil, fmt.Errorf("the CronJobs were made %s after they were due", late)
	}
	p, err := watchPods(ctx, kube, "cron")
	if err != nil {
		return nil, err
	}
	defer p.w.Stop()
	if err := p.until(ctx, 3*time.Minute, "all Jobs started", running(dueAtOnce)); err != nil {
		return nil, err
	}
	return []row{atMost(fmt.Sprintf("%d CronJobs due in one minute: all Running", dueAtOnce), time.Since(minute).Seconds(), 5, "s")}, nil
}

// cronJob is due in one minute of an hour, and its pod runs on a simulated node.
func cronJob(name string, minute time.Time) *batchv1.CronJob {
	spec := podSpec()
	spec.RestartPolicy = corev1.RestartPolicyNever
	spec.NodeSelector = map[string]string{"skiff/simulated": "true"}
	return &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: batchv1.CronJobSpec{
		Schedule: fmt.Sprintf("%d * * * *", minute.UTC().Minute()), TimeZone: ptr("Etc/UTC"),
		JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"bench": "cron"}}, Spec: spec,
		}}},
	}}
}
