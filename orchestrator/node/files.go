package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"skiff/docker"
	"skiff/orchestrator/node/pod"
)

// StatPath looks at a path in a container.
func (a *Agent) StatPath(ctx context.Context, pod *corev1.Pod, container, name string) (docker.PathStat, error) {
	run, err := a.attemptWithFiles(pod, container)
	if err != nil {
		return docker.PathStat{}, err
	}
	stat, err := a.Runtime.StatPath(ctx, run.ID, name)
	return stat, copyError("looking at", pod, container, name, err)
}

// CopyFrom writes a file or directory of a container as a tar archive.
func (a *Agent) CopyFrom(ctx context.Context, pod *corev1.Pod, container, name string, to io.Writer) error {
	run, err := a.attemptWithFiles(pod, container)
	if err != nil {
		return err
	}
	return copyError("copying from", pod, container, name, a.Runtime.CopyFrom(ctx, run.ID, name, to))
}

// CopyTo unpacks a tar archive into a directory of a container.
func (a *Agent) CopyTo(ctx context.Context, pod *corev1.Pod, container, dir string, archive io.Reader) error {
	run, err := a.attemptWithFiles(pod, container)
	if err != nil {
		return err
	}
	return copyError("copying to", pod, container, dir, a.Runtime.CopyTo(ctx, run.ID, dir, archive))
}

// Kill sends a signal to a container's main process.
func (a *Agent) Kill(ctx context.Context, pod *corev1.Pod, container, signal string) error {
	run, err := a.runningContainer(pod.UID, container)
	if err != nil {
		return err
	}
	r := a.records.get(pod.UID)
	if r != nil {
		r.signalling(run.ID, 1)
	}
	err = a.Runtime.Kill(ctx, run.ID, signal)
	if err != nil && r != nil {
		r.signalling(run.ID, -1)
	}
	switch {
	case errors.Is(err, docker.ErrInvalid):
		return apierrors.NewBadRequest(fmt.Sprintf("invalid signal: %s", signal))
	case errors.Is(err, docker.ErrNotRunning):
		return apierrors.NewBadRequest(fmt.Sprintf("container not found (%q)", container))
	case err != nil:
		return fmt.Errorf("sending %s to container %s of pod %s/%s: %w", signal, container, pod.Namespace, pod.Name, err)
	}
	a.emit(pod, container, corev1.EventTypeNormal, "Signalled", "Container %s was sent %s, as a client asked", container, signal)
	return nil
}

// attemptWithFiles is the attempt of a container that runs now, or else the newest one whose files are
// still there.
func (a *Agent) attemptWithFiles(p *corev1.Pod, container string) (pod.Attempt, error) {
	if run, err := a.runningContainer(p.UID, container); err == nil {
		return run, nil
	}
	if r := a.records.get(p.UID); r != nil {
		for _, run := range a.observe(r).Attempts[container] {
			if !run.Removed {
				return *run, nil
			}
		}
	}
	return pod.Attempt{}, apierrors.NewBadRequest(fmt.Sprintf("container %q in pod %q has no files yet, or no more", container, p.Name))
}

// copyError makes a status of what the client can act on: a path that is not there, and one that only
// the container's own programs can reach.
func copyError(doing string, pod *corev1.Pod, container, name string, err error) error {
	files := schema.GroupResource{Resource: "files"}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, docker.ErrNotFound):
		return apierrors.NewNotFound(files, name)
	case errors.Is(err, docker.ErrInMemory):
		return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: http.StatusNotImplemented, Message: err.Error()}}
	case errors.Is(err, docker.ErrInvalid):
		return apierrors.NewBadRequest(err.Error())
	}
	return fmt.Errorf("%s %s in container %s of pod %s/%s: %w", doing, name, container, pod.Namespace, pod.Name, err)
}
