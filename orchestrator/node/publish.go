package node

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
)

// publish has a pod's status written if it has changed.
func (a *Agent) publish(r *record) {
	v := a.observe(r)
	if !v.tellable() {
		return
	}
	status := podStatus(v)
	if !equality.Semantic.DeepEqual(&status, &v.pod.Status) {
		a.toWrite.add(r.uid)
	}
}

// tellable tells whether the view is good for a status: not while the engine is gone, for pods keep the state they were
// last seen in; and not in the moment between the end of a run and the engine's account of it.
func (v *view) tellable() bool { return v.pod != nil && v.engineGone == "" && !v.unsettled() }

var errOtherPod = errors.New("another pod has taken the name")

// writeStatus writes a pod's status as it is now.
func (a *Agent) writeStatus(ctx context.Context, uid types.UID) (time.Duration, error) {
	r := a.known(uid)
	if r == nil {
		return 0, nil
	}
	return 0, ignoreGone(a.write(ctx, r, func(*view) {}))
}

// writeLast writes the status of a pod that is about to be deleted.
func (a *Agent) writeLast(ctx context.Context, r *record) error {
	return a.write(ctx, r, func(v *view) { delete(v.works, "") })
}

func (a *Agent) write(ctx context.Context, r *record, adjust func(*view)) error {
	v := a.observe(r)
	adjust(v)
	if !v.tellable() {
		return nil
	}
	_, err := a.pods.UpdateStatus(ctx, r.namespace, r.name, func(pod *corev1.Pod) error {
		if pod.UID != r.uid {
			return errOtherPod
		}
		v.pod = pod
		pod.Status = podStatus(v)
		return nil
	})
	return err
}

// ignoreGone takes a pod that is no more for nothing to do.
func ignoreGone(err error) error {
	if apierrors.IsNotFound(err) || errors.Is(err, errOtherPod) {
		return nil
	}
	return err
}
