package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"skiff/docker"
)

// Logs reads a container's log as o asks, both its streams as one. The reader ends with the log or, following, with the
// container; it must be closed.
func (a *Agent) Logs(ctx context.Context, pod *corev1.Pod, container string, o *corev1.PodLogOptions) (io.ReadCloser, error) {
	run, err := a.loggedRun(pod.UID, pod.Name, container, o.Previous)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	read, write := io.Pipe()
	l := &log{PipeReader: read, cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(l.ended)
		var to io.Writer = write
		if o.LimitBytes != nil {
			to = &limitedWriter{to: write, left: *o.LimitBytes}
		}
		err := a.Runtime.Logs(ctx, run.ID, a.logOptions(o), to, to)
		write.CloseWithError(unlessLimit(err))
	}()
	return l, nil
}

// loggedRun is the run whose log is meant: the newest, or the one before it. A container that waits to run again counts
// as its own predecessor, as in its status.
func (a *Agent) loggedRun(uid types.UID, pod, container string, previous bool) (attempt, error) {
	r := a.known(uid)
	if r == nil {
		return attempt{}, noLog(pod, container, previous)
	}
	v := a.observe(r)
	runs := v.attempts[container]
	if previous && len(runs) > 0 && v.pod != nil {
		c := findContainer(&v.pod.Spec, container)
		if waiting := c != nil && runs[0].ended() && v.willRun(c); !waiting {
			runs = runs[1:]
		}
	}
	for len(runs) > 0 && runs[0].neverStarted() {
		runs = runs[1:]
	}
	switch {
	case len(runs) == 0:
		return attempt{}, noLog(pod, container, previous)
	case runs[0].removed:
		return attempt{}, fmt.Errorf("unable to retrieve container logs for %s", containerID(runs[0]))
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

// log is a container's log being read.
type log struct {
	*io.PipeReader
	cancel context.CancelFunc
	ended  chan struct{}
}

// Close ends the reading, also in the middle.
func (l *log) Close() error {
	l.cancel()
	err := l.PipeReader.Close()
	<-l.ended
	return err
}

var errLimit = errors.New("the limit of bytes is reached")

// unlessLimit takes the limit that was asked for for the log's end.
func unlessLimit(err error) error {
	if errors.Is(err, errLimit) {
		return nil
	}
	return err
}

// limitedWriter passes so many bytes on and then fails with errLimit.
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
