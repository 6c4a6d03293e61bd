package docker

import (
	"io"
	"net/netip"
	"syscall"
	"time"
)

// ContainerSpec says what container to create. The zero value of a field means the engine's
// default.
type ContainerSpec struct {
	// Name is the container's name on the engine; it is unique there, so a create repeated after a
	// crash is found rather than doubled.
	Name string
	// Image is a reference or an image ID that is already present on the engine.
	Image string
	// Entrypoint and Args replace the image's ENTRYPOINT and CMD when they are not nil.
	Entrypoint, Args []string
	// Env holds NAME=value pairs, added to the image's.
	Env        []string
	WorkingDir string
	// User is "uid", "uid:gid" or a name of the image; Groups are supplementary group IDs.
	User   string
	Groups []string
	Labels map[string]string
	// Stdin keeps standard input open, StdinOnce closes it when the first client that attached to
	// it leaves.
	TTY, Stdin, StdinOnce bool
	Network               Network
	Resources             Resources
	Mounts                []Mount
	Security              Security
	// StopSignal is what Stop sends first; empty means the image's, or SIGTERM.
	StopSignal string
	// IPCContainer and PIDContainer are IDs of containers whose IPC and PID namespace this one
	// joins.
	IPCContainer, PIDContainer string
	HostIPC, HostPID           bool
	Sysctls                    map[string]string
	ReadOnlyRoot               bool
	// Shm is the size of /dev/shm in bytes, 0 for the engine's 64 MiB.
	Shm int64
}

// Network says in which network namespace a container lives. Exactly one of Join, Host or IP is
// set.
type Network struct {
	// Join is the ID of the container whose network namespace (and host name) is shared.
	Join string
	// Host is true for the engine's own network namespace.
	Host bool
	// IP is the address on the instance's own bridge network.
	IP netip.Addr
	// Hostname, Ports and Hosts apply only without Join.
	Hostname string
	Domain   string
	Ports    []Port
	// Hosts are extra lines of /etc/hosts, "name:ip".
	Hosts                   []string
	DNS, DNSSearch, DNSOpts []string
}

// Port publishes a container's port on the machine.
type Port struct {
	HostIP                  string
	HostPort, ContainerPort int32
	// Protocol is "tcp", "udp" or "sctp".
	Protocol string
}

// MinMemory is the least memory limit, and the least reservation, that the engine accepts, in bytes
// (linuxMinMemory of moby's daemon/daemon_unix.go).
const MinMemory = 6 << 20

// Resources bound what a container may use. Zero means unbounded.
type Resources struct {
	// CPUShares is the relative weight (1024 is one CPU); CPUQuota is in microseconds a CPUPeriod.
	CPUShares, CPUQuota, CPUPeriod int64
	// Memory and MemoryReservation are in bytes.
	Memory, MemoryReservation int64
	// OOMScoreAdj is from 0 to 1000: an unprivileged engine may not lower it.
	OOMScoreAdj int
	PidsLimit   int64
}

// Mount makes a directory of the machine, a named volume or memory visible in the container.
type Mount struct {
	// Type is "bind", "volume" or "tmpfs".
	Type           string
	Source, Target string
	// SubPath is appended to a bind's source.
	ReadOnly bool
	// SizeBytes bounds a tmpfs.
	SizeBytes int64
	// Fill has a volume that is empty take what the image has at the target.
	Fill bool
	// Propagation is "rprivate" (the default), "rslave" or "rshared".
	Propagation string
}

// Security is what a container may do.
type Security struct {
	Privileged      bool
	CapAdd, CapDrop []string
	NoNewPrivileges bool
	// Seccomp is "" for the engine's profile or "unconfined".
	Seccomp string
	// AppArmor is "" for the engine's profile, "unconfined" or a profile's name.
	AppArmor string
}

// State is where a container is in its life.
type State string

// The states of a container as skiff tells them apart.
const (
	Created State = "created"
	Running State = "running"
	// Exited covers the engine's exited and dead.
	Exited State = "exited"
	// Removing is a container the engine is taking away.
	Removing State = "removing"
)

// Container is a container as the engine sees it.
type Container struct {
	ID, Name       string
	Image, ImageID string
	Labels         map[string]string
	State          State
	// Pid is the main process's ID on the machine while it runs.
	Pid       int
	ExitCode  int
	OOMKilled bool
	// Error is the engine's reason for a start that failed.
	Error                            string
	CreatedAt, StartedAt, FinishedAt time.Time
	// IP is the address on the instance's network, invalid when it has none of its own.
	IP netip.Addr
}

// Action is what happened to a container.
type Action string

// The actions skiff reacts to. The engine promises no order between Stop and Die.
const (
	ActionStart Action = "start"
	ActionDie   Action = "die"
	ActionOOM   Action = "oom"
	// ActionKill says that a signal was sent, by whomever: the engine does not tell.
	ActionKill    Action = "kill"
	ActionDestroy Action = "destroy"
	// ActionResync says that the stream broke and events may be missing: list again.
	ActionResync Action = "resync"
)

// Event tells of a change in a container's life.
type Event struct {
	Action   Action
	ID       string
	Labels   map[string]string
	ExitCode int
	// Signal is what an ActionKill sent, 0 when it was none that the engine names by number.
	Signal syscall.Signal
	At     time.Time
}

// Image is an image present on the engine.
type Image struct {
	ID          string
	RepoTags    []string
	RepoDigests []string
	// Size is in bytes.
	Size int64
	// The rest is the image's configuration: what a container gets that does not say otherwise.
	// Only Image fills it, Images does not.
	User            string
	Entrypoint, Cmd []string
	Env             []string
	WorkingDir      string
	StopSignal      string
	Labels          map[string]string
	// Volumes are the paths for which the engine makes an anonymous volume.
	Volumes []string
}

// LogOptions chooses lines of a container's log.
type LogOptions struct {
	Follow, Timestamps, Stdout, Stderr bool
	// Since and Until bound the lines' time; zero is no bound.
	Since, Until time.Time
	// Tail is the number of last lines, negative for all.
	Tail int64
}

// Size is a terminal's size in characters.
type Size struct{ Width, Height uint16 }

// Streams connects a process inside a container with its caller. A nil stream is not attached.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	TTY      bool
	Resize   <-chan Size
}

// ExecSpec is a process to run inside a running container.
type ExecSpec struct {
	Cmd []string
	// User is as in ContainerSpec; empty means the container's.
	User    string
	Streams Streams
	// Timeout bounds the whole call; 0 is no bound.
	Timeout time.Duration
}

// Info is what the engine says about the machine.
type Info struct {
	CPUs                                       int
	MemoryBytes                                int64
	OS, Arch, KernelVersion, OSImage           string
	EngineVersion, APIVersion, MachineID, Name string
	// Root is the engine's data directory.
	Root string
	// Images are the engine's images, as the node's status lists them; may be nil.
	Images []Image
}
