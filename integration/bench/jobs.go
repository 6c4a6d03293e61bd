package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/container"
	"golang.org/x/sync/errgroup"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

const jobCompletions, jobParallelism = 20, 5

// trueArgs make the example's app end at once, as `true` does.
var trueArgs = []string{"-batch=1ms"}

// jobs measures a Job of 20 completions, 5 at a time, from the create to its condition Complete,
// beside the raw work of 20 containers that are created, started and waited for, 5 at a time.
func jobs(ctx context.Context, b *bench) ([]row, error) {
	var ours, raw []time.Duration
	for i := range b.rounds {
		r, err := b.rawJob(ctx)
		if err != nil {
			return nil, err
		}
		o, err := b.skiffJob(ctx, fmt.Sprintf("job-%d", i))
		if err != nil {
			return nil, err
		}
		raw, ours = append(raw, r), append(ours, o)
	}
	return []row{within("Job of 20 completions, 5 at a time, of true", median(ours), median(raw), 1.2, "ms")}, nil
}

func (b *bench) rawJob(ctx context.Context) (took time.Duration, err error) {
	net, dropNet, err := b.rawNetwork(ctx, b.best)
	if err != nil {
		return 0, err
	}
	ids := make([]string, jobCompletions)
	began := time.Now()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(jobParallelism)
	for i := range ids {
		g.Go(func() (err error) { ids[i], err = b.rawTrue(gctx, net); return err })
	}
	err = g.Wait()
	took = time.Since(began)
	return took, errors.Join(err, b.rawRemove(context.WithoutCancel(ctx), ids), dropNet())
}

func (b *bench) rawTrue(ctx context.Context, net string) (string, error) {
	made, err := b.engine.ContainerCreate(ctx, &container.Config{Image: rawImage, Cmd: trueArgs}, &container.HostConfig{NetworkMode: container.NetworkMode(net)}, nil, nil, "")
	if err != nil {
		return "", err
	}
	ended, errs := b.engine.ContainerWait(ctx, made.ID, container.WaitConditionNextExit)
	if err := b.engine.ContainerStart(ctx, made.ID, container.StartOptions{}); err != nil {
		return made.ID, err
	}
	select {
	case r := <-ended:
		if r.StatusCode != 0 {
			return made.ID, fmt.Errorf("container %s ended with %d", made.ID, r.StatusCode)
		}
		return made.ID, nil
	case err := <-errs:
		return made.ID, err
	}
}

func (b *bench) skiffJob(ctx context.Context, name string) (time.Duration, error) {
	client := b.kube.BatchV1().Jobs(namespace)
	w, err := client.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		return 0, err
	}
	defer w.Stop()
	spec := podSpec()
	spec.Containers[0].Args, spec.RestartPolicy = trueArgs, corev1.RestartPolicyNever
	began := time.Now()
	_, err = client.Create(ctx, &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: batchv1.JobSpec{
		Completions: ptr(int32(jobCompletions)), Parallelism: ptr(int32(jobParallelism)),
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"bench": name}}, Spec: spec},
	}}, metav1.CreateOptions{})
	if err != nil {
		return 0, err
	}
	if err := complete(ctx, w.ResultChan()); err != nil {
		return 0, fmt.Errorf("job %s: %w", name, err)
	}
	took := time.Since(began)
	p, err := watchPods(ctx, b.kube, name)
	if err != nil {
		return 0, err
	}
	defer p.w.Stop()
	if err := client.Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: ptr(metav1.DeletePropagationBackground)}); err != nil {
		return 0, err
	}
	return took, p.until(ctx, 2*time.Minute, "pods gone", gone)
}

// complete waits for the job's end.
func complete(ctx context.Context, changes <-chan watch.Event) error {
	for {
		select {
		case e := <-changes:
			j, ok := e.Object.(*batchv1.Job)
			if !ok {
				return fmt.Errorf("the watch ended: %v", e)
			}
			for _, c := range j.Status.Conditions {
				if c.Status != corev1.ConditionTrue {
					continue
				}
				switch c.Type {
				case batchv1.JobComplete:
					return nil
				case batchv1.JobFailed:
					return fmt.Errorf("it failed: %s", c.Message)
				}
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
