package up

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"skiff/cli/client"
	"skiff/cli/diagnosis"
	"skiff/cli/logs"
	"skiff/cli/terminal"
)

// follower writes the logs of every container while it runs, including those that start later.
type follower struct {
	client *client.Client
	writer *logs.Writer
	group  *errgroup.Group
	// followed are the container instances whose logs are written, each until its channel is closed.
	followed map[instance]chan struct{}
	writing  sync.WaitGroup
}

// instance is one run of a container: a restart makes another.
type instance struct {
	source logs.Source
	id     string
}

func newFollower(c *client.Client, s terminal.Streams, group *errgroup.Group) *follower {
	prefix := logs.Coloured(s)
	return &follower{client: c, group: group, writer: logs.NewWriter(s.Out, prefix), followed: map[instance]chan struct{}{}}
}

// update begins to follow the containers that have started since the last call.
func (f *follower) update(ctx context.Context, all []*corev1.Pod) {
	for _, p := range all {
		for _, s := range diagnosis.Statuses(p) {
			i := instanceOf(p, &s)
			began := s.State.Running != nil || s.State.Terminated != nil
			if !began || i.id == "" || f.followed[i] != nil {
				continue
			}
			written := make(chan struct{})
			f.followed[i] = written
			f.writing.Add(1)
			f.group.Go(func() error {
				defer f.writing.Done()
				defer close(written)
				f.write(ctx, i.source, corev1.PodLogOptions{Follow: true})
				return nil
			})
		}
	}
}

// drain waits until the logs of containers that have ended are written.
func (f *follower) drain() { f.writing.Wait() }

// drainEnded waits until the logs of those containers are written that have ended, and leaves the others.
func (f *follower) drainEnded(ctx context.Context, all []*corev1.Pod) {
	for _, p := range all {
		for _, s := range diagnosis.Statuses(p) {
			written := f.followed[instanceOf(p, &s)]
			if s.State.Terminated == nil || written == nil {
				continue
			}
			select {
			case <-written:
			case <-ctx.Done():
			}
		}
	}
}

// writePrevious writes the log of a container that has ended and was restarted since, unless it was
// followed.
func (f *follower) writePrevious(ctx context.Context, e *ending) {
	i := instance{source: logs.Source{Namespace: e.pod.Namespace, Pod: e.pod.Name, Container: e.container}, id: e.ContainerID}
	if i.id == "" || f.followed[i] != nil {
		return
	}
	f.write(ctx, i.source, corev1.PodLogOptions{Previous: true})
}

// write writes one log to its end. A log that cannot be read is skipped: its container may be gone.
func (f *follower) write(ctx context.Context, s logs.Source, o corev1.PodLogOptions) {
	body, err := logs.Open(ctx, f.client, s, o)
	if err != nil {
		return
	}
	defer body.Close()
	_ = f.writer.Lines(s, body) // ends with the container, or with ctx
}
