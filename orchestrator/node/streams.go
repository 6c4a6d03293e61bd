package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	utilexec "k8s.io/utils/exec"

	"skiff/docker"
	"skiff/orchestrator/node/pod"
)

// Exec runs a command in a running container and returns when it has ended. If its exit code is not
// 0, the error is a k8s.io/utils/exec.ExitError.
func (a *Agent) Exec(ctx context.Context, pod *corev1.Pod, container string, command []string, s docker.Streams) error {
	run, err := a.runningContainer(pod.UID, container)
	if err != nil {
		return err
	}
	code, err := a.Runtime.Exec(ctx, run.ID, docker.ExecSpec{Cmd: command, Streams: s})
	if err != nil {
		return fmt.Errorf("executing a command in container %s of pod %s/%s: %w", container, pod.Namespace, pod.Name, err)
	}
	if code != 0 {
		return utilexec.CodeExitError{Err: fmt.Errorf("command terminated with exit code %d", code), Code: code}
	}
	return nil
}

// Attach connects the streams with a container's main process until the process or its output ends.
func (a *Agent) Attach(ctx context.Context, pod *corev1.Pod, container string, s docker.Streams) error {
	run, err := a.runningContainer(pod.UID, container)
	if err != nil {
		return err
	}
	if err := a.Runtime.Attach(ctx, run.ID, s); err != nil {
		return fmt.Errorf("attaching to container %s of pod %s/%s: %w", container, pod.Namespace, pod.Name, err)
	}
	return nil
}

// runningContainer is the attempt of a container that is running now.
func (a *Agent) runningContainer(uid types.UID, container string) (pod.Attempt, error) {
	if r := a.records.get(uid); r != nil {
		if run, ok := r.running(container); ok {
			return run, nil
		}
	}
	return pod.Attempt{}, apierrors.NewBadRequest(fmt.Sprintf("container not found (%q)", container))
}

// PortForward connects rw with a TCP port of the pod. It returns when either side has closed or ctx
// ends.
func (a *Agent) PortForward(ctx context.Context, pod *corev1.Pod, port int32, rw io.ReadWriteCloser) error {
	conn, err := a.Dial(ctx, pod, port)
	if err != nil {
		return fmt.Errorf("forwarding port %d to pod %s/%s: %w", port, pod.Namespace, pod.Name, err)
	}
	return join(ctx, conn, rw)
}

// Dial connects to a TCP port of the pod. ctx bounds the dialling only.
func (a *Agent) Dial(ctx context.Context, pod *corev1.Pod, port int32) (net.Conn, error) {
	r := a.records.get(pod.UID)
	if r == nil {
		return nil, fmt.Errorf("pod %s/%s is not on node %s", pod.Namespace, pod.Name, a.Name)
	}
	ip := addressText(r.currentAddress())
	return a.DialContext(ctx, "tcp", net.JoinHostPort(a.dialHost(pod, ip), strconv.Itoa(int(port))))
}

// join copies in both directions until the pod's side has closed. When the caller closes its side,
// the pod's is closed for writing.
func join(ctx context.Context, conn net.Conn, rw io.ReadWriteCloser) error {
	var group errgroup.Group
	stop := context.AfterFunc(ctx, func() {
		_ = conn.Close()
		_ = rw.Close()
	})
	defer stop()
	group.Go(func() error {
		_, err := io.Copy(conn, rw)
		if half, ok := conn.(interface{ CloseWrite() error }); ok {
			err = errors.Join(err, half.CloseWrite())
		}
		return err
	})
	_, err := io.Copy(rw, conn)
	// The copy from the caller must not wait for data that nobody will read.
	_ = rw.Close()
	_ = conn.Close()
	_ = group.Wait() // if it failed, the two lines above are why
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
