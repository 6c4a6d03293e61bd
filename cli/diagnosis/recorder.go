package diagnosis

import (
	"context"
	"maps"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"skiff/cli/client"
	"skiff/cli/pods"
)

// Recorder keeps the last failure of the pods of each owner, with the end of its log, beyond the
// pods themselves: the pod of a job that gives up is deleted, and its log with it.
type Recorder struct {
	client *client.Client
	// mu is held while a log is read, so that nobody misses a failure that is being noted.
	mu   sync.Mutex
	last map[types.UID]Failure
}

// NewRecorder returns an empty recorder.
func NewRecorder(c *client.Client) *Recorder {
	return &Recorder{client: c, last: map[types.UID]Failure{}}
}

// Note looks at a pod that has an owner. Pods that are never restarted need no record: they stay.
func (r *Recorder) Note(ctx context.Context, p *corev1.Pod) {
	owner, f := metav1.GetControllerOf(p), Ended(p)
	if owner == nil || f == nil || p.Spec.RestartPolicy == corev1.RestartPolicyNever {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.last[owner.UID]
	if ok && known.Pod.UID == p.UID && slices.EqualFunc(Statuses(known.Pod), Statuses(p), sameRun) {
		return
	}
	f.Log = Tail(ctx, r.client, *f)
	if f.Log == "" && ok && known.Pod.UID == p.UID {
		f.Log = known.Log // the container is gone already; it ended alike before
	}
	r.last[owner.UID] = *f
}

// sameRun reports whether two states are of one run of a container.
func sameRun(a, b corev1.ContainerStatus) bool {
	return a.RestartCount == b.RestartCount && (a.State.Terminated == nil) == (b.State.Terminated == nil)
}

// Last returns the last failures by their owners' UIDs.
func (r *Recorder) Last() map[types.UID]Failure {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.last)
}

// Run looks at the pods of a namespace until ctx ends.
func (r *Recorder) Run(ctx context.Context, namespace string) error {
	ref, err := pods.Ref(r.client, namespace, "")
	if err != nil {
		return err
	}
	note := func(u *unstructured.Unstructured) error {
		p := &corev1.Pod{}
		if err := client.Into(u, p); err != nil {
			return err
		}
		r.Note(ctx, p)
		return nil
	}
	for ctx.Err() == nil {
		_, err := r.client.Observe(ctx, ref, client.Observer{
			Listed: func(items []unstructured.Unstructured) (bool, error) {
				for i := range items {
					if err := note(&items[i]); err != nil {
						return false, err
					}
				}
				return false, nil
			},
			Changed: func(t watch.EventType, u *unstructured.Unstructured) (bool, error) { return false, note(u) },
		})
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}
