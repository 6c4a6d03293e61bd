package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"skiff/docker"
	"skiff/orchestrator/node/pod"
)

// Logs reads a container's log as o says, stdout and stderr together. The reader ends with the log
// or, if it follows, with the container. It must be closed.
func (a *Agent) Logs(ctx context.Context, pod *corev1.Pod, container string, o *corev1.PodLogOptions) (io.ReadCloser, error) {
	run, err := a.loggedAttempt(pod.UID, pod.Name, container, o.Previous)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	read, write := io.Pipe()
	l := &log{PipeReader: read, cancel: cancel}
	l.reading.Go(func() {
		var to io.Writer = write
		if o.LimitBytes != nil {
			to = &limitedWriter{to: write, left: *o.LimitBytes}
		}
		err := a.Runtime.Logs(ctx, run.ID, a.logOptions(o), to, to)
		write.CloseWithError(unlessLimit(err))
	})
	return l, nil
}

// loggedAttempt is the attempt whose log is meant: the newest, or the one before it. As in its
// status, the newest attempt of a container that waits to run again counts as the previous one.
func (a *Agent) loggedAttempt(uid types.UID, p, container string, previous bool) (pod.Attempt, error) {
	r := a.records.get(uid)
	if r == nil {
		return pod.Attempt{}, noLog(p, container, previous)
	}
	v := a.observe(r)
	runs := v.Attempts[container]
	if previous && len(runs) > 0 && v.Pod != nil {
		c := pod.FindContainer(&v.Pod.Spec, container)
		if waiting := c != nil && runs[0].Ended() && v.WillRun(c); !waiting {
			runs = runs[1:]
		}
	}
	for len(runs) > 0 && runs[0].NeverStarted() {
		runs = runs[1:]
	}
	switch {
	case len(runs) == 0:
		return pod.Attempt{}, noLog(p, container, previous)
	case runs[0].Removed:
		return pod.Attempt{}, fmt.Errorf("unable to retrieve container logs for %s", runs[0].ContainerID())
	}
	return *runs[0], nil
}

func noLog(pod, container string, previous bool) error {
	if previous {
		return apierrors.NewBadRequest(fmt.Sprintf("previous terminated container %q in pod %q not found", container, pod))
	}
	return apierrors.NewBadRequest(fmt.Sprintf("container %q in pod %q is waiting to start", container, pod))
}

func (a *Agent) logOptions(o *corev1.PodLogOptions) docker.LogOptions {
	out := docker.LogOptions{Follow: o.Follow, Timestamps: o.Timestamps, Stdout: true, Stderr: true, Tail: -1}
	if o.Stream != nil {
		out.Stdout, out.Stderr = *o.Stream != corev1.LogStreamStderr, *o.Stream != corev1.LogStreamStdout
	}
	if o.TailLines != nil {
		out.Tail = *o.TailLines
	}
	switch {
	case o.SinceSeconds != nil:
		out.Since = a.Clock.Now().Add(-time.Duration(*o.SinceSeconds) * time.Second)
	case o.SinceTime != nil:
		out.Since = o.SinceTime.Time
	}
	return out
}

// log is the reader of a container's log.
type log struct {
	*io.PipeReader
	cancel  context.CancelFunc
	reading sync.WaitGroup
}

// Close stops reading, wherever it is, and returns when that has ended.
func (l *log) Close() error {
	l.cancel()
	err := l.PipeReader.Close()
	l.reading.Wait()
	return err
}

var errLimit = errors.New("the limit of bytes is reached")

// unlessLimit treats the limit that the caller set as the end of the log.
func unlessLimit(err error) error {
	if errors.Is(err, errLimit) {
		return nil
	}
	return err
}

// limitedWriter passes a number of bytes on and then fails with errLimit.
type limitedWriter struct {
	to   io.Writer
	left int64
}

func (w *limitedWriter) Write(p []byte) (int, error) {
	n, err := w.to.Write(p[:min(int64(len(p)), w.left)])
	w.left -= int64(n)
	if err == nil && w.left == 0 {
		err = errLimit
	}
	return n, err
}
