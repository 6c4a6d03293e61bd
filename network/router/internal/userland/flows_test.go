package userland

import (
	"net"
	"net/netip"
	"testing"
)

// TestFlowsMakeRoom: a client too many takes the place of the one that has been silent for longest.
func TestFlowsMakeRoom(t *testing.T) {
	f := newFlows()
	client := func(n int) netip.AddrPort { return netip.AddrPortFrom(ip("10.77.0.1"), uint16(n)) }
	put := func(n int, last int64) {
		own, other := net.Pipe()
		t.Cleanup(func() { own.Close(); other.Close() })
		one := newFlow(own, netip.AddrPort{})
		one.last.Store(last)
		f.put(client(n), one)
	}
	const silent = 500
	for n := range flowsAtOnce {
		put(n, 1000)
	}
	ends := f.get(client(silent))
	ends.last.Store(999)
	put(flowsAtOnce, 1001)
	if f.get(client(silent)) != nil || f.get(client(flowsAtOnce)) == nil || len(f.all) != flowsAtOnce {
		t.Errorf("%d flows, the silent one among them: %t", len(f.all), f.get(client(silent)) != nil)
	}
	if _, err := ends.Write([]byte("x")); err == nil {
		t.Error("the one that has made room is still open")
	}
}
