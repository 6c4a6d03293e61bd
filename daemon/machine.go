package daemon

import (
	"net"
	"net/netip"
	goruntime "runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/version"
	"k8s.io/utils/clock"
)

// serverVersion is the version of Kubernetes whose rules and types were built in: that of the
// module k8s.io/kubernetes.
func serverVersion() version.Info {
	v := version.Info{GitVersion: "v0.0.0", GoVersion: goruntime.Version(), Compiler: goruntime.Compiler, Platform: goruntime.GOOS + "/" + goruntime.GOARCH, GitTreeState: "clean"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	for _, m := range info.Deps {
		if m.Path == "k8s.io/kubernetes" {
			v.GitVersion = m.Version + "+skiff"
			parts := strings.SplitN(strings.TrimPrefix(m.Version, "v"), ".", 3)
			v.Major, v.Minor = parts[0], parts[1]
		}
	}
	return v
}

// hostIP is the machine's first address that others can reach, or the loopback address on a machine
// that has none.
func hostIP() netip.Addr {
	loopback := netip.MustParseAddr("127.0.0.1")
	interfaces, err := net.Interfaces()
	if err != nil {
		return loopback
	}
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 || strings.HasPrefix(i.Name, "docker") || strings.HasPrefix(i.Name, "br-") || strings.HasPrefix(i.Name, "veth") {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && p.Addr().IsGlobalUnicast() {
				return p.Addr()
			}
		}
	}
	return loopback
}

// hostIPAge is for how long an address is taken to be the machine's still. Agents ask for each pod, and
// the kernel takes its time to list interfaces.
const hostIPAge = 10 * time.Second

// remembered asks again when the last answer is older than age.
func remembered(ask func() netip.Addr, age time.Duration) func() netip.Addr {
	var mu sync.Mutex
	var last netip.Addr
	var at time.Time
	clk := clock.RealClock{}
	return func() netip.Addr {
		mu.Lock()
		defer mu.Unlock()
		if now := clk.Now(); at.IsZero() || now.Sub(at) > age {
			last, at = ask(), now
		}
		return last
	}
}
