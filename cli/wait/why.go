package wait

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/diagnosis"
	"skiff/cli/pods"
	"skiff/cli/resource"
)

// explanation bounds the requests that find out why a wait was in vain.
const explanation = 5 * time.Second

// explain adds to the end of a wait why the object's pods are not ready.
func (w *waiter) explain(ctx context.Context, o resource.Object, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), explanation)
	defer cancel()
	if f := diagnosis.Object(ctx, w.client, o, w.now()); f != nil {
		return fmt.Errorf("%w\n%s", err, diagnosis.Below(ctx, w.client, *f, w.now()))
	}
	return err
}

// untilComplete follows a job until it is complete or has given up. Meanwhile it looks at the job's
// pods: one that is restarted is deleted when its job gives up.
func (w *waiter) untilComplete(ctx context.Context, r client.Ref) (*unstructured.Unstructured, error) {
	recorder := diagnosis.NewRecorder(w.client)
	recording, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer stop()
	watching.Go(func() { _ = recorder.Run(recording, r.Namespace) }) // without it less is said
	met := w.met
	failing := *w
	failing.met = func(u *unstructured.Unstructured) (bool, error) {
		done, err := met(u)
		if done || err != nil {
			return done, err
		}
		return false, w.jobFailed(ctx, r, u, recorder)
	}
	return failing.until(ctx, r)
}

// jobFailed is the error of a job that has given up, nil when it has not.
func (w *waiter) jobFailed(ctx context.Context, r client.Ref, u *unstructured.Unstructured, recorder *diagnosis.Recorder) error {
	j := &batchv1.Job{}
	if err := client.Into(u, j); err != nil {
		return err
	}
	why := diagnosis.JobFailed(j)
	if why == "" {
		return nil
	}
	var own []*corev1.Pod
	all, err := pods.Finder{Client: w.client}.All(ctx, resource.Object{Ref: r, Value: u})
	for i := range all {
		if err == nil && metav1.IsControlledBy(&all[i], j) {
			own = append(own, &all[i])
		}
	}
	f := diagnosis.Job(j.Name, j.UID, why, own, recorder.Last())
	return command.Verbatim{Message: strings.TrimSuffix(diagnosis.Explain(ctx, w.client, f, w.now()), "\n")}
}
