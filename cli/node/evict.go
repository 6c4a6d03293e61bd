package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/pods"
)

// retry is the pause before the eviction of a pod that a disruption budget protects is tried again.
const retry = 5 * time.Second

// evictAll evicts pods concurrently, because a disruption budget may allow one only after another
// is gone, and returns when all are.
func (d *drainer) evictAll(ctx context.Context, all []corev1.Pod) error {
	limit := time.Duration(math.MaxInt64)
	if d.timeout > 0 {
		limit = d.timeout
		bounded, cancel := context.WithCancel(ctx)
		timer := d.env.Clock.NewTimer(d.timeout)
		defer timer.Stop()
		var timing sync.WaitGroup
		defer timing.Wait()
		defer cancel()
		timing.Go(func() {
			select {
			case <-timer.C():
				cancel()
			case <-bounded.Done():
			}
		})
		ctx = bounded
	}
	var evicting sync.WaitGroup
	errs := make([]error, len(all))
	for i := range all {
		evicting.Go(func() { errs[i] = d.evict(ctx, &all[i], limit) })
	}
	evicting.Wait()
	return utilerrors.NewAggregate(errs)
}

// evict evicts a pod and waits until it is gone.
func (d *drainer) evict(ctx context.Context, p *corev1.Pod, limit time.Duration) error {
	ref, err := pods.Ref(d.client, p.Namespace, p.Name)
	if err != nil {
		return err
	}
	suffix, done, doing := "", "evicted", "evicting"
	if d.disableEviction {
		done, doing = "deleted", "deleting"
	}
	if d.dryRun == command.DryRunServer {
		suffix = " (server dry run)"
	}
	for {
		if !d.disableEviction {
			fmt.Fprintf(d.out, "evicting pod %s/%s%s\n", p.Namespace, p.Name, suffix)
		}
		err := d.send(ctx, ref)
		wait := ""
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return fmt.Errorf("error when %s pods/%q -n %q: global timeout reached: %v", doing, p.Name, p.Namespace, limit)
		case apierrors.IsNotFound(err):
			return nil
		case apierrors.IsTooManyRequests(err):
			wait = fmt.Sprintf("error when evicting pods/%q -n %q (will retry after 5s): %v\n", p.Name, p.Namespace, err)
		case p.DeletionTimestamp == nil && terminating(err):
			wait = fmt.Sprintf("error when evicting pod %q from terminating namespace %q (will retry after 5s): %v\n", p.Name, p.Namespace, err)
		case terminating(err):
			// It is going already.
		default:
			return fmt.Errorf("error when %s pods/%q -n %q: %w", doing, p.Name, p.Namespace, err)
		}
		if wait == "" {
			break
		}
		fmt.Fprint(d.err, wait)
		d.pause(ctx)
	}
	if d.dryRun == command.DryRunServer {
		return nil
	}
	if err := d.client.Gone(ctx, client.Instance{Ref: ref, UID: p.UID}); err != nil {
		return fmt.Errorf("error when waiting for pod %q in namespace %q to terminate: %w", p.Name, p.Namespace, timedOut(ctx, err, limit))
	}
	fmt.Fprintf(d.out, "pod/%s %s\n", p.Name, done)
	return nil
}

// timedOut words the end of the time that all had.
func timedOut(ctx context.Context, err error, limit time.Duration) error {
	if ctx.Err() != nil && limit < math.MaxInt64 {
		return fmt.Errorf("global timeout reached: %v", limit)
	}
	return err
}

func terminating(err error) bool {
	return apierrors.IsForbidden(err) && apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

// pause waits for a disruption budget to allow more.
func (d *drainer) pause(ctx context.Context) {
	timer := d.env.Clock.NewTimer(retry)
	defer timer.Stop()
	select {
	case <-timer.C():
	case <-ctx.Done():
	}
}

// send evicts a pod, or deletes it where evictions are not wanted.
func (d *drainer) send(ctx context.Context, ref client.Ref) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	options := &metav1.DeleteOptions{}
	if d.grace >= 0 {
		options.GracePeriodSeconds = &d.grace
	}
	if d.dryRun == command.DryRunServer {
		options.DryRun = []string{metav1.DryRunAll}
	}
	if d.disableEviction {
		_, err := d.client.Delete(ctx, ref, options)
		return err
	}
	eviction := &policyv1.Eviction{
		TypeMeta:      metav1.TypeMeta{APIVersion: "policy/v1", Kind: "Eviction"},
		ObjectMeta:    metav1.ObjectMeta{Namespace: ref.Namespace, Name: ref.Name},
		DeleteOptions: options,
	}
	data, err := json.Marshal(eviction)
	if err != nil {
		return errors.Join(errors.New("encoding an eviction"), err)
	}
	return d.client.Request("POST", ref.WithSubresource("eviction")).SetHeader("Content-Type", "application/json").Body(data).Do(ctx).Error()
}
