package daemon

import (
	"context"
	"fmt"
	"io"
	"net"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"skiff/api/streams"
	"skiff/docker"
	"skiff/orchestrator/fleet"
	"skiff/orchestrator/node"
)

// podStreams lets the API reach into the pods of the node agents. The two know nothing of each other, so their like types are
// brought together here.
type podStreams struct{ *fleet.Fleet }

// agent is the one that runs the pod.
func (p podStreams) agent(pod *corev1.Pod) (*node.Agent, error) {
	if a := p.Agent(pod.Spec.NodeName); a != nil {
		return a, nil
	}
	return nil, apierrors.NewServiceUnavailable(fmt.Sprintf("node %q of pod %s/%s does not answer: no agent runs there", pod.Spec.NodeName, pod.Namespace, pod.Name))
}

// Logs implements streams.Pods.
func (p podStreams) Logs(ctx context.Context, pod *corev1.Pod, container string, o *corev1.PodLogOptions) (io.ReadCloser, error) {
	a, err := p.agent(pod)
	if err != nil {
		return nil, err
	}
	return a.Logs(ctx, pod, container, o)
}

// Exec implements streams.Pods.
func (p podStreams) Exec(ctx context.Context, pod *corev1.Pod, container string, command []string, s streams.Streams) error {
	a, err := p.agent(pod)
	if err != nil {
		return err
	}
	return a.Exec(ctx, pod, container, command, engineStreams(ctx, s))
}

// Attach implements streams.Pods.
func (p podStreams) Attach(ctx context.Context, pod *corev1.Pod, container string, s streams.Streams) error {
	a, err := p.agent(pod)
	if err != nil {
		return err
	}
	return a.Attach(ctx, pod, container, engineStreams(ctx, s))
}

// Dial implements streams.Pods.
func (p podStreams) Dial(ctx context.Context, pod *corev1.Pod, port int32) (net.Conn, error) {
	a, err := p.agent(pod)
	if err != nil {
		return nil, err
	}
	if p.Simulates(pod.Spec.NodeName) {
		// Its address may be that of somebody on this machine's real network.
		return nil, fmt.Errorf("dialing port %d of pod %s/%s: its node %s is simulated, nothing listens there", port, pod.Namespace, pod.Name, pod.Spec.NodeName)
	}
	return a.Dial(ctx, pod, port)
}

// PortForward implements streams.Pods.
func (p podStreams) PortForward(ctx context.Context, pod *corev1.Pod, port int32, rw io.ReadWriteCloser) error {
	a, err := p.agent(pod)
	if err != nil {
		return err
	}
	if p.Simulates(pod.Spec.NodeName) {
		return fmt.Errorf("forwarding port %d to pod %s/%s: its node %s is simulated, nothing listens there", port, pod.Namespace, pod.Name, pod.Spec.NodeName)
	}
	return a.PortForward(ctx, pod, port, rw)
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
