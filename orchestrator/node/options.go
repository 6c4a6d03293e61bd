package node

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"skiff/manifests/registry"
	"skiff/orchestrator/controller"
	"skiff/orchestrator/node/joblog"
	"skiff/orchestrator/node/volume"
)

// Options configure an Agent. Name, Registry, Feeds, Runtime, Addresses, Prober and Recorder are
// required.
type Options struct {
	// Name is the node's name.
	Name     string
	Registry *registry.Registry
	// Feeds are the shared watches of the registry's store.
	Feeds     *controller.Feeds
	Runtime   Runtime
	Addresses Addresses
	Prober    Prober
	Recorder  Recorder
	Clock     clock.WithTicker
	Logger    *slog.Logger
	Metrics   *controller.Metrics

	// HostIP is the node's InternalIP, and the IP of pods in the host's network. It may change; the
	// zero value is not known.
	HostIP func() netip.Addr
	// HostDial is the address at which pods in the host's network are dialled, HostIP unless set.
	HostDial func() netip.Addr
	// DialContext connects to pods, for hooks and for what clients ask of the API, by "tcp" and host:port.
	// Directly unless set.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// ClusterDNS is the address of the cluster's name server, and ClusterDomain the cluster's domain,
	// cluster.local unless set. Without an address, pods of dnsPolicy ClusterFirst resolve names as the node does.
	ClusterDNS    func() netip.Addr
	ClusterDomain string
	// Labels are added to the node's usual ones. A label that somebody else has set on the node
	// stays.
	Labels map[string]string
	// Taints are the node's when it is registered.
	Taints []corev1.Taint
	// Registered says that somebody else creates the Node object, and that the agent must not
	// create it again when it is deleted.
	Registered bool
	// UID is the UID of the Node object, if somebody else creates it. The agent writes to no other
	// object of its name.
	UID types.UID
	// Capacity replaces the capacity that the engine reports for the machine.
	Capacity corev1.ResourceList
	// AllowedUnsafeSysctls are the sysctls that pods may set beside the safe ones, by name or by
	// pattern (net.core.*), as kubelet's --allowed-unsafe-sysctls has them. CheckSysctlPatterns
	// must accept them.
	AllowedUnsafeSysctls []string
	// MaxPods is the most pods that the node admits, 250 unless set.
	MaxPods int64
	// Version is the Kubernetes version the node reports, with its "v".
	Version string
	// Port is shown in the node's status as the port of kubelet's API. skiff's streams use the API
	// server's.
	Port int32

	// VolumeDir is where pods' volumes are kept, an absolute path that exists on the engine's
	// machine too. If it is empty, as on simulated nodes, there are no volumes and no termination
	// messages.
	VolumeDir string
	// MemoryDir is a directory on a tmpfs, for emptyDir volumes of medium Memory. If it is empty,
	// each container gets a tmpfs of its own, which it loses when it restarts.
	MemoryDir string
	// Tokens issues the tokens that are projected into pods; pods that ask for one do not start if it is
	// nil.
	Tokens volume.TokenSource
	// JobLogs keeps the logs of jobs' pods that are deleted. They go with the pods if it is nil.
	JobLogs *joblog.Keeper
	// ResolvConf is the file with the node's name servers, /etc/resolv.conf unless set.
	ResolvConf string

	// CrashBackoff and MaxCrashBackoff are the first and the longest wait before a container that
	// crashed again is restarted: 10 s and 5 min unless set.
	CrashBackoff, MaxCrashBackoff time.Duration
	// PullBackoff and MaxPullBackoff are the same for failed pulls, with the same defaults.
	PullBackoff, MaxPullBackoff time.Duration
	// LeaseInterval is how often the node's Lease is renewed, 10 s unless set, and LeaseDuration
	// how long it is valid, 40 s unless set.
	LeaseInterval, LeaseDuration time.Duration
	// StatusInterval is how often the node's status is written when nothing has changed; 5 min
	// unless set.
	StatusInterval time.Duration
	// EngineInterval is how often the engine is pinged, 2 s unless set.
	EngineInterval time.Duration
	// Workers is how many pods are reconciled at a time, 4 unless set; Writers, how many statuses
	// are written, 8 unless set; Removals, how many containers are removed, 2 unless set: removals
	// are not urgent.
	Workers, Writers, Removals int
	// Immediate says that the runtime starts containers without delay. They are then started as
	// part of the reconciliation, and one status shows the result.
	Immediate bool
}

func (o Options) withDefaults() Options {
	o.Clock = cmp.Or[clock.WithTicker](o.Clock, clock.RealClock{})
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	unknown := func() netip.Addr { return netip.Addr{} }
	if o.HostIP == nil {
		o.HostIP = unknown
	}
	if o.HostDial == nil {
		o.HostDial = o.HostIP
	}
	if o.ClusterDNS == nil {
		o.ClusterDNS = unknown
	}
	if o.DialContext == nil {
		o.DialContext = (&net.Dialer{}).DialContext
	}
	o.ClusterDomain = cmp.Or(o.ClusterDomain, "cluster.local")
	o.ResolvConf = cmp.Or(o.ResolvConf, "/etc/resolv.conf")
	o.MaxPods = cmp.Or(o.MaxPods, 250)
	o.CrashBackoff = cmp.Or(o.CrashBackoff, 10*time.Second)
	o.MaxCrashBackoff = cmp.Or(o.MaxCrashBackoff, 5*time.Minute)
	o.PullBackoff = cmp.Or(o.PullBackoff, 10*time.Second)
	o.MaxPullBackoff = cmp.Or(o.MaxPullBackoff, 5*time.Minute)
	o.LeaseInterval = cmp.Or(o.LeaseInterval, 10*time.Second)
	o.LeaseDuration = cmp.Or(o.LeaseDuration, 40*time.Second)
	o.StatusInterval = cmp.Or(o.StatusInterval, 5*time.Minute)
	o.EngineInterval = cmp.Or(o.EngineInterval, 2*time.Second)
	o.Workers = cmp.Or(o.Workers, 4)
	o.Writers = cmp.Or(o.Writers, 8)
	o.Removals = cmp.Or(o.Removals, 2)
	return o
}
