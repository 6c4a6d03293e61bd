// Package config holds the settings of a daemon, as the command line gives them and the daemon
// reads them.
package config

import (
	"log/slog"
	"net/netip"
	"time"

	"skiff/daemon/datadir"
)

// The defaults of the settings. Those of nodes are upstream's (kube-controller-manager's
// --node-monitor-grace-period and --node-eviction-rate, the admission plugin
// DefaultTolerationSeconds).
const (
	Listen            = "127.0.0.1:7443"
	NodeGracePeriod   = 50 * time.Second
	NodeEvictionRate  = 0.1
	TolerationSeconds = 300

	// MaxInFlight is the sum of kube-apiserver's --max-requests-inflight and
	// --max-mutating-requests-inflight.
	MaxInFlight = 600
	// AutoscalerPeriod is upstream's --horizontal-pod-autoscaler-sync-period.
	AutoscalerPeriod = 15 * time.Second

	// ClusterDomain is kubelet's --cluster-domain as everybody has it.
	ClusterDomain = "cluster.local"
	// PublishAddress is where services listen on this machine, FrontDoorPort where the front door does.
	PublishAddress = "127.0.0.1"
	FrontDoorPort  = 7480
)

// NoEngine is the EngineHost of a daemon without an engine.
const NoEngine = "none"

// Config says where a daemon keeps its state, how it is reached, and what it may take.
type Config struct {
	// Dir holds everything that outlives the process.
	Dir datadir.Dir
	// Listen is host:port of the API; port 0 picks a free one. Empty means the one that the data
	// directory had last, then the default, then a free port.
	Listen string
	// NodeName is the name of the node; empty means the one it had before, or, the first time, the
	// host's.
	NodeName string
	// EngineHost is the engine's address; empty means DOCKER_HOST, then the current Docker context, and
	// NoEngine that pods are simulated: they run in memory, and there is no network.
	EngineHost string
	// ClientCAFile holds certificates, in PEM, of authorities whose client certificates are accepted
	// beside those of skiff's own; empty for none. TLSCertFile and TLSKeyFile hold what the API shows to
	// clients in place of a certificate by skiff's own authority; both or neither are set.
	ClientCAFile, TLSCertFile, TLSKeyFile string
	// AuditPolicyFile holds a Policy of audit.k8s.io/v1 that says which requests the API records; empty
	// for none. AuditLogFile is where they are recorded: empty for audit.log in Dir, and - for standard
	// output.
	AuditPolicyFile, AuditLogFile string
	// Subnet is the IPv4 prefix of the pods' network, of 26 bits or fewer; the zero value lets the
	// daemon choose one that is free.
	Subnet netip.Prefix
	// ClusterDomain is the suffix of the names of services and pods.
	ClusterDomain string
	// PodsByRouter says that the daemon reaches pods by way of its router even where there is a
	// direct way.
	PodsByRouter bool
	// PublishAddress is the address of this machine on which services of type NodePort and LoadBalancer
	// and the front door listen. Any but a loopback address opens them to others.
	PublishAddress netip.Addr
	// FrontDoorPort is the port of the front door, 0 for none.
	FrontDoorPort uint16
	// StartLimit is how many containers start at once; 0 for the default, by the number of CPUs.
	StartLimit int
	// CrashBackoff and MaxBackoff are the first and the longest wait before a container that
	// crashed is restarted; 0 for kubelet's.
	CrashBackoff, MaxBackoff time.Duration
	// AllowedUnsafeSysctls are the sysctls that pods may set beside the safe ones, by name or by
	// pattern (net.core.*).
	AllowedUnsafeSysctls []string
	LogLevel             slog.Level
	LogJSON              bool
	// DefaultTolerationSeconds is how long pods stay on a node that is not ready or not reachable,
	// unless they say otherwise.
	DefaultTolerationSeconds int64
	// NodeGracePeriod is how long a node may be silent; 0 for the default.
	NodeGracePeriod time.Duration
	// NodeEvictionRate is how many failed nodes a second begin to be evicted; nil for the default,
	// 0 for none.
	NodeEvictionRate *float64
	// MaxInFlight is how many requests the API answers at a time; 0 for the default.
	MaxInFlight int
	// AutoscalerPeriod is how often HorizontalPodAutoscalers are looked at; 0 for the default.
	AutoscalerPeriod time.Duration
}

// FrontDoor is where the front door listens, the zero value if there is none.
func (c *Config) FrontDoor() netip.AddrPort {
	if c.FrontDoorPort == 0 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(c.PublishAddress, c.FrontDoorPort)
}
