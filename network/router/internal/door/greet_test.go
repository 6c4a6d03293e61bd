package door

import (
	"net"
	"net/netip"
	"testing"
)

// Pods reach the door's port, and could say of themselves what they like.
func TestOnlyTheDaemonSaysWhoCalls(t *testing.T) {
	d := &door{from: []netip.Addr{netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("10.9.24.1")}}
	for from, want := range map[string]bool{"10.9.0.1": true, "10.9.24.1": true, "::ffff:10.9.0.1": true, "10.9.0.2": false} {
		if got := d.trusts(&net.TCPAddr{IP: net.ParseIP(from), Port: 40000}); got != want {
			t.Errorf("from %s: %v, want %v", from, got, want)
		}
	}
	if d.trusts(&net.UnixAddr{}) {
		t.Error("a connection without an address is trusted")
	}
	if !(&door{}).trusts(&net.TCPAddr{IP: net.IPv4(10, 9, 0, 2)}) {
		t.Error("without a list, everybody may come")
	}
}
