package daemon

import (
	"context"

	corev1 "k8s.io/api/core/v1"

	"skiff/api/streams"
	"skiff/docker"
	"skiff/orchestrator/node"
)

// podStreams lets the API reach into the pods of the node agent. The two know nothing of each other, so their like types are
// brought together here.
type podStreams struct{ *node.Agent }

// Exec implements streams.Pods.
func (p podStreams) Exec(ctx context.Context, pod *corev1.Pod, container string, command []string, s streams.Streams) error {
	return p.Agent.Exec(ctx, pod, container, command, engineStreams(ctx, s))
}

// Attach implements streams.Pods.
func (p podStreams) Attach(ctx context.Context, pod *corev1.Pod, container string, s streams.Streams) error {
	return p.Agent.Attach(ctx, pod, container, engineStreams(ctx, s))
}

func engineStreams(ctx context.Context, s streams.Streams) docker.Streams {
	out := docker.Streams{In: s.In, Out: s.Out, Err: s.Err, TTY: s.TTY}
	if s.Resize != nil {
		out.Resize = sizes(ctx, s.Resize)
	}
	return out
}

// sizes passes sizes on until in is closed or ctx ends.
func sizes(ctx context.Context, in <-chan streams.Size) <-chan docker.Size {
	out := make(chan docker.Size)
	go func() {
		defer close(out)
		for {
			select {
			case size, ok := <-in:
				if !ok {
					return
				}
				select {
				case out <- docker.Size(size):
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}
