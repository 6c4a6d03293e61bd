package node

import (
	"context"
	"io"
	"net/netip"
	"time"

	"k8s.io/apimachinery/pkg/runtime"

	"skiff/docker"
	"skiff/probe"
)

// Runtime is the container engine that the agent needs. *docker.Engine and *memory.Runtime
// implement it. Errors are distinguished by docker's sentinels: docker.ErrUnavailable,
// docker.ErrNotFound, docker.ErrImageNotFound and so on.
type Runtime interface {
	// Ping fails while the engine can't be reached.
	Ping(ctx context.Context) error
	Info(ctx context.Context) (docker.Info, error)
	// EnsureNetwork creates the pods' network if it doesn't exist.
	EnsureNetwork(ctx context.Context) (docker.Layout, error)
	// List returns every container of the instance, dead ones too. It may leave out details that
	// only Inspect has.
	List(ctx context.Context) ([]docker.Container, error)
	// Inspect takes an ID or a name. After it has shown a container as Exited, the container's
	// address is free.
	Inspect(ctx context.Context, id string) (docker.Container, error)
	Create(ctx context.Context, spec docker.ContainerSpec) (id string, err error)
	Start(ctx context.Context, id string) error
	// Stop sends the signal ("" means the container's own), and SIGKILL after grace. It returns
	// when the container has ended, or with ctx's error when ctx ends.
	Stop(ctx context.Context, id string, grace time.Duration, signal string) error
	// Update changes what a running container may use. What is zero stays as it is.
	Update(ctx context.Context, id string, r docker.Resources) error
	// MemoryUsage is how much memory a running container uses, in bytes.
	MemoryUsage(ctx context.Context, id string) (int64, error)
	// Remove removes a container. One that is already gone is no error.
	Remove(ctx context.Context, id string) error
	// Events reports every change until ctx ends. docker.ActionResync comes first, and whenever
	// events may be missing.
	Events(ctx context.Context) <-chan docker.Event
	Image(ctx context.Context, ref string) (docker.Image, error)
	Images(ctx context.Context) ([]docker.Image, error)
	Pull(ctx context.Context, ref string, o docker.PullOptions) error
	// PauseImage is the image of sandboxes; it is built if it doesn't exist.
	PauseImage(ctx context.Context) (ref string, err error)
	// EnsureVolume creates a named volume if it doesn't exist, and returns the directory in which
	// the engine keeps it.
	EnsureVolume(ctx context.Context, name string, labels map[string]string) (path string, err error)
	// EnsureTmpfs and EnsureImageVolume are the same for a volume in memory, which lasts as long as
	// a container that runs has it mounted, and for one that holds an image's files.
	EnsureTmpfs(ctx context.Context, name string, labels map[string]string, t docker.Tmpfs) (path string, err error)
	EnsureImageVolume(ctx context.Context, name string, labels map[string]string, image string) (path string, err error)
	// Volumes lists the instance's volumes that have a label.
	Volumes(ctx context.Context, label string) ([]docker.Volume, error)
	// RemoveVolume removes a volume. One that is already gone is no error.
	RemoveVolume(ctx context.Context, name string) error
	// ImageFile reads at most limit bytes of a regular file of an image, by means of a container of
	// the given name.
	ImageFile(ctx context.Context, image, path, name string, limit int64) ([]byte, error)
	Logs(ctx context.Context, id string, o docker.LogOptions, stdout, stderr io.Writer) error
	Exec(ctx context.Context, id string, x docker.ExecSpec) (exitCode int, err error)
	Attach(ctx context.Context, id string, s docker.Streams) error
	// Kill sends a signal to a container's main process.
	Kill(ctx context.Context, id, signal string) error
	// StatPath, CopyTo and CopyFrom reach the files of a container, running or not. Archives are in
	// tar's format.
	StatPath(ctx context.Context, id, name string) (docker.PathStat, error)
	CopyTo(ctx context.Context, id, dir string, archive io.Reader) error
	CopyFrom(ctx context.Context, id, name string, to io.Writer) error
}

// Addresses allocates the pods' IP addresses. A key, here a pod's UID, keeps its address until it
// is released. *docker.Addresses implements it.
type Addresses interface {
	Allocate(key string) (netip.Addr, error)
	// Reserve gives key a certain address. It fails when another key has it.
	Reserve(key string, addr netip.Addr) error
	Release(key string)
}

// Prober probes containers. *fleet.Probes implements it.
type Prober interface {
	// Set begins to probe a container, or changes its probes. report is called with the results.
	Set(c probe.Container, report func(probe.Result))
	Remove(probe.Key)
	// State is what has been decided about a container; false if it isn't probed.
	State(probe.Key) (probe.State, bool)
}

// Recorder records events; it never blocks. *events.Recorder implements it.
type Recorder interface {
	Event(object runtime.Object, eventType, reason, format string, args ...any)
}
