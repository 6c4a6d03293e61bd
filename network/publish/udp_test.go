package publish

import (
	"net"
	"net/netip"
	"testing"
)

// TestFlowsMakeRoom: the client that has been silent for longest makes room.
func TestFlowsMakeRoom(t *testing.T) {
	f := &flows{by: map[netip.AddrPort]*flow{}}
	client := func(n int) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(n)) }
	const count, silent = 10, 3
	for n := range count {
		own, other := net.Pipe()
		t.Cleanup(func() { own.Close(); other.Close() })
		f.by[client(n)] = &flow{conn: own}
		f.by[client(n)].last.Store(int64(1000 - n%(silent+1)))
	}
	f.by[client(silent)].last.Store(1)
	ends := f.by[client(silent)].conn
	f.endSilent()
	if f.by[client(silent)] != nil || len(f.by) != count-1 {
		t.Errorf("%d flows are left, the silent one among them: %t", len(f.by), f.by[client(silent)] != nil)
	}
	if _, err := ends.Write([]byte("x")); err == nil {
		t.Error("the one that has made room is still open")
	}
}
