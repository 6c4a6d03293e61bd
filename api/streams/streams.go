// Package streams serves the parts of pods that are not stored but flow: logs, commands run in a
// container (exec, attach) and forwarded ports. It knows the protocols clients speak, SPDY and
// WebSockets; what flows comes from Pods.
package streams

import (
	"context"
	"io"
	"net"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Pods reaches into running pods. Every call ends when its context does.
type Pods interface {
	// Logs reads the log of a container as o says. The reader ends with the log, or, following,
	// with the container.
	Logs(ctx context.Context, pod *corev1.Pod, container string, o *corev1.PodLogOptions) (io.ReadCloser, error)
	// Exec runs a command in a container and returns when it has ended. An exit code other than 0
	// is an error with the methods of k8s.io/utils/exec.ExitError.
	Exec(ctx context.Context, pod *corev1.Pod, container string, command []string, s Streams) error
	// Attach connects s with a container's main process and returns when that, or its output, has
	// ended.
	Attach(ctx context.Context, pod *corev1.Pod, container string, s Streams) error
	// PortForward connects rw with a TCP port in the pod and returns when either side has closed.
	PortForward(ctx context.Context, pod *corev1.Pod, port int32, rw io.ReadWriteCloser) error
	// StatPath tells what is at a path in a container.
	StatPath(ctx context.Context, pod *corev1.Pod, container, name string) (File, error)
	// CopyFrom writes a file or directory of a container as a tar archive, CopyTo unpacks one into a
	// directory.
	CopyFrom(ctx context.Context, pod *corev1.Pod, container, name string, to io.Writer) error
	CopyTo(ctx context.Context, pod *corev1.Pod, container, dir string, archive io.Reader) error
	// Kill sends a signal to a container's main process.
	Kill(ctx context.Context, pod *corev1.Pod, container, signal string) error
	// Dial connects with a TCP port in the pod. ctx bounds the dialling, not the connection.
	Dial(ctx context.Context, pod *corev1.Pod, port int32) (net.Conn, error)
	// Running returns the names and UIDs of the pods that a node has begun with and not yet finished
	// with. A pod deleted without a grace period outlives its object there.
	Running(node string) ([]*corev1.Pod, error)
}

// Streams connects a process in a container with its caller. A nil stream is not attached.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	TTY      bool
	// Resize carries the caller's terminal's sizes; it is nil without a terminal, and closed when
	// the caller is gone.
	Resize <-chan Size
}

// Size is a terminal's size in characters.
type Size struct{ Width, Height uint16 }

// Lookup returns a stored pod, read-only, or a NotFound status error.
type Lookup func(ctx context.Context, name string) (*corev1.Pod, error)

// Handlers makes the storage of pods' streams.
type Handlers struct {
	Pods   Pods
	Lookup Lookup
}

const (
	// idleTimeout is how long a stream over which nothing flows is kept; kubelet's is the same.
	idleTimeout = 4 * time.Hour
	// creationTimeout is how long a client has for opening the streams of a connection.
	creationTimeout = 30 * time.Second
	// statusTimeout is how long the last word of a stream, how the command ended, may take to be
	// sent.
	statusTimeout = 10 * time.Second
	// refusalDelay is how much later a client hears that a port could not be reached.
	refusalDelay = 50 * time.Millisecond
	// lastWord is how long a stream that is cut off, because the server stops, may take to say so.
	lastWord = time.Second
)
