package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"skiff/api/streams"
	"skiff/docker"
	"skiff/orchestrator/fleet"
	"skiff/orchestrator/node"
	"skiff/orchestrator/node/joblog"
)

// podStreams connects the API's streams to the node agents. The two packages do not know each
// other, so their equivalent types are converted here.
type podStreams struct{ *fleet.Fleet }

// Running implements streams.Pods.
func (p podStreams) Running(nodeName string) ([]*corev1.Pod, error) {
	if a := p.Agent(nodeName); a != nil {
		return a.RunningPods(), nil
	}
	return nil, apierrors.NewServiceUnavailable(fmt.Sprintf("node %q does not answer: no agent runs there", nodeName))
}

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
	return withEngineStreams(ctx, s, func(ctx context.Context, s docker.Streams) error { return a.Exec(ctx, pod, container, command, s) })
}

// Attach implements streams.Pods.
func (p podStreams) Attach(ctx context.Context, pod *corev1.Pod, container string, s streams.Streams) error {
	a, err := p.agent(pod)
	if err != nil {
		return err
	}
	return withEngineStreams(ctx, s, func(ctx context.Context, s docker.Streams) error { return a.Attach(ctx, pod, container, s) })
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

// StatPath implements streams.Pods.
func (p podStreams) StatPath(ctx context.Context, pod *corev1.Pod, container, name string) (streams.File, error) {
	a, err := p.agent(pod)
	if err != nil {
		return streams.File{}, err
	}
	stat, err := a.StatPath(ctx, pod, container, name)
	return streams.File(stat), err
}

// CopyFrom implements streams.Pods.
func (p podStreams) CopyFrom(ctx context.Context, pod *corev1.Pod, container, name string, to io.Writer) error {
	a, err := p.agent(pod)
	if err != nil {
		return err
	}
	return a.CopyFrom(ctx, pod, container, name, to)
}

// CopyTo implements streams.Pods.
func (p podStreams) CopyTo(ctx context.Context, pod *corev1.Pod, container, dir string, archive io.Reader) error {
	a, err := p.agent(pod)
	if err != nil {
		return err
	}
	return a.CopyTo(ctx, pod, container, dir, archive)
}

// Kill implements streams.Pods.
func (p podStreams) Kill(ctx context.Context, pod *corev1.Pod, container, signal string) error {
	a, err := p.agent(pod)
	if err != nil {
		return err
	}
	return a.Kill(ctx, pod, container, signal)
}

// withEngineStreams calls run with the streams as the engine's package has them.
func withEngineStreams(ctx context.Context, s streams.Streams, run func(context.Context, docker.Streams) error) error {
	out := docker.Streams{In: s.In, Out: s.Out, Err: s.Err, TTY: s.TTY}
	if s.Resize == nil {
		return run(ctx, out)
	}
	var passing sync.WaitGroup
	defer passing.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sizes := make(chan docker.Size)
	out.Resize = sizes
	passing.Go(func() { passSizes(ctx, s.Resize, sizes) })
	return run(ctx, out)
}

// passSizes passes sizes on until in is closed or ctx ends, and closes out.
func passSizes(ctx context.Context, in <-chan streams.Size, out chan<- docker.Size) {
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
}

// keptLogs connects the API with what the node agents keep of jobs' logs.
type keptLogs struct{ *joblog.Keeper }

// JobLog implements streams.KeptLogs.
func (k keptLogs) JobLog(job types.UID, container string) ([]byte, error) {
	logs, err := k.Logs(job)
	if err == nil {
		i := len(logs) - 1
		for i >= 0 && logs[i].Container != container {
			i--
		}
		if i < 0 {
			return nil, streams.ErrNoKeptLog
		}
		var text []byte
		if text, err = k.Read(logs[i]); err == nil {
			return text, nil
		}
	}
	if errors.Is(err, joblog.ErrNone) {
		return nil, streams.ErrNoKeptLog
	}
	return nil, err
}
