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
)

// Exec runs a command in a running container and returns when it has ended. An exit code other than 0 is an error that
// is a k8s.io/utils/exec.ExitError.
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

// Attach connects the streams with a container's main process until that, or its output, ends.
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

// runningContainer is the run of a container that is running now.
func (a *Agent) runningContainer(uid types.UID, container string) (attempt, error) {
	r := a.known(uid)
	if r == nil {
		return attempt{}, apierrors.NewBadRequest(fmt.Sprintf("container not found (%q)", container))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, run := range r.attempts[container] {
		if run.running() {
			return *run, nil
		}
	}
	return attempt{}, apierrors.NewBadRequest(fmt.Sprintf("container not found (%q)", container))
}

// PortForward connects rw with a TCP port of the pod and returns when either side has closed, or ctx ends.
func (a *Agent) PortForward(ctx context.Context, pod *corev1.Pod, port int32, rw io.ReadWriteCloser) error {
	conn, err := a.Dial(ctx, pod, port)
	if err != nil {
		return fmt.Errorf("forwarding port %d to pod %s/%s: %w", port, pod.Namespace, pod.Name, err)
	}
	return join(ctx, conn.(*net.TCPConn), rw)
}

// Dial connects with a TCP port of the pod. ctx bounds the dialling alone.
func (a *Agent) Dial(ctx context.Context, pod *corev1.Pod, port int32) (net.Conn, error) {
	r := a.known(pod.UID)
	if r == nil {
		return nil, fmt.Errorf("pod %s/%s is not on node %s", pod.Namespace, pod.Name, a.Name)
	}
	r.mu.Lock()
	ip := addressText(r.addr)
	r.mu.Unlock()
	var dialer net.Dialer
	return dialer.DialContext(ctx, "tcp", net.JoinHostPort(a.dialHost(pod, ip), strconv.Itoa(int(port))))
}

// join copies both ways until the pod's side has closed; the caller's closing is passed on to it.
func join(ctx context.Context, conn *net.TCPConn, rw io.ReadWriteCloser) error {
	var group errgroup.Group
	stop := context.AfterFunc(ctx, func() {
		_ = conn.Close()
		_ = rw.Close()
	})
	defer stop()
	group.Go(func() error {
		_, err := io.Copy(conn, rw)
		return errors.Join(err, conn.CloseWrite())
	})
	_, err := io.Copy(rw, conn)
	// Whoever still reads from the caller must not wait for what nobody will take.
	_ = rw.Close()
	_ = conn.Close()
	_ = group.Wait() // it failed because of the two lines above, if it did
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
