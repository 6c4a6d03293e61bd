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

// Runtime is the container engine the agent needs. *docker.Engine is one, and so is the one of package memory. Errors
// are told apart by docker's sentinels: docker.ErrUnavailable, docker.ErrNotFound, docker.ErrImageNotFound and so on.
type Runtime interface {
	// Ping fails while the engine can't be reached.
	Ping(ctx context.Context) error
	Info(ctx context.Context) (docker.Info, error)
	// EnsureNetwork makes the network that pods have their addresses in, if it is not there.
	EnsureNetwork(ctx context.Context) (prefix netip.Prefix, gateway netip.Addr, err error)
	// List returns every container of the instance, dead ones too; it may leave out what only Inspect tells.
	List(ctx context.Context) ([]docker.Container, error)
	// Inspect takes an ID or a name. After it has shown a container as Exited, the container's address is free.
	Inspect(ctx context.Context, id string) (docker.Container, error)
	Create(ctx context.Context, spec docker.ContainerSpec) (id string, err error)
	Start(ctx context.Context, id string) error
	// Stop sends the signal ("" means the container's own), and SIGKILL after grace. It returns when the container has
	// ended, or with ctx's error when ctx ends.
	Stop(ctx context.Context, id string, grace time.Duration, signal string) error
	// Remove takes a container away; one that is gone is no error.
	Remove(ctx context.Context, id string) error
	// Events tells of every change until ctx ends. docker.ActionResync comes first, and whenever some may be missing.
	Events(ctx context.Context) <-chan docker.Event
	Image(ctx context.Context, ref string) (docker.Image, error)
	Images(ctx context.Context) ([]docker.Image, error)
	Pull(ctx context.Context, ref string, o docker.PullOptions) error
	// PauseImage is the image of sandboxes, made if it is not there.
	PauseImage(ctx context.Context) (ref string, err error)
	// EnsureVolume makes a named volume, if it is not there, and gives the directory in which the engine keeps it.
	EnsureVolume(ctx context.Context, name string, labels map[string]string) (path string, err error)
	Logs(ctx context.Context, id string, o docker.LogOptions, stdout, stderr io.Writer) error
	Exec(ctx context.Context, id string, x docker.ExecSpec) (exitCode int, err error)
	Attach(ctx context.Context, id string, s docker.Streams) error
}

// Addresses gives pods their IP addresses. A key, here a pod's UID, keeps its address until it is released.
// *docker.Addresses is one.
type Addresses interface {
	Allocate(key string) (netip.Addr, error)
	// Reserve gives key this very address; it fails when another key has it.
	Reserve(key string, addr netip.Addr) error
	Release(key string)
}

// Prober asks containers whether they are well and has Agent.ProbeResult told. *probe.Pool is one.
type Prober interface {
	// Set begins to ask a container, or goes on with the probes it now has.
	Set(probe.Container)
	Remove(probe.Key)
	// State is what has been decided about a container; false if it isn't asked.
	State(probe.Key) (probe.State, bool)
}

// Recorder records events; it never waits. *events.Recorder is one.
type Recorder interface {
	Event(object runtime.Object, eventType, reason, format string, args ...any)
}
