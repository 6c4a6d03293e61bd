package node

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"skiff/orchestrator/node/pod"
)

// publish requests a write of a pod's status if it has changed.
func (a *Agent) publish(r *record) {
	v := a.observe(r)
	if !v.Publishable() {
		return
	}
	status := pod.MakeStatus(v)
	if !equality.Semantic.DeepEqual(&status, &v.Pod.Status) {
		a.toWrite.add(r.uid)
	}
}

var errOtherPod = errors.New("another pod has taken the name")

// writeStatus writes a pod's status as it is now.
func (a *Agent) writeStatus(ctx context.Context, uid types.UID) (time.Duration, error) {
	r := a.records.get(uid)
	if r == nil {
		return 0, nil
	}
	return 0, ignoreMissing(a.write(ctx, r))
}

// write writes a pod's status. It observes within the write: if another write comes in between, it
// observes again, so a status is never older than the one it replaces.
func (a *Agent) write(ctx context.Context, r *record) error {
	_, err := a.pods.UpdateStatus(ctx, r.namespace, r.name, func(p *corev1.Pod) error {
		if p.UID != r.uid || p.Spec.NodeName != a.Name {
			return errOtherPod
		}
		v := a.observe(r)
		if !v.Publishable() {
			return nil
		}
		v.Pod = p
		p.Status = pod.MakeStatus(v)
		return nil
	})
	if err == nil {
		if took, waited := r.reported(a.Clock.Now()); waited {
			a.Metrics.StartPhase(phaseReport, took)
		}
	}
	return err
}

// ignoreMissing treats a missing pod as success.
func ignoreMissing(err error) error {
	if apierrors.IsNotFound(err) || errors.Is(err, errOtherPod) {
		return nil
	}
	return err
}
