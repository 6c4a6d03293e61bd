package serviceip

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

func TestContains(t *testing.T) {
	for _, c := range []struct {
		prefix, address string
		want            bool
	}{
		{"10.0.0.0/24", "10.0.0.0", false},
		{"10.0.0.0/24", "10.0.0.1", true},
		{"10.0.0.0/24", "10.0.0.254", true},
		{"10.0.0.0/24", "10.0.0.255", false},
		{"10.0.0.0/24", "10.0.1.1", false},
		{"10.0.0.7/24", "10.0.0.7", true}, // the network's address is what the mask makes of it
		{"0.0.0.0/0", "255.255.255.255", false},
		{"0.0.0.0/0", "10.0.0.0", true},
		{"10.0.0.0/31", "10.0.0.1", false},
		{"10.0.0.0/32", "10.0.0.0", false},
		{"fd00::/112", "fd00::", false},
		{"fd00::/112", "fd00::ffff", true},
		{"fd00::/112", "10.0.0.1", false},
	} {
		if got := Contains(netip.MustParsePrefix(c.prefix), netip.MustParseAddr(c.address)); got != c.want {
			t.Errorf("%s in %s: %v, want %v", c.address, c.prefix, got, c.want)
		}
	}
}

func TestAt(t *testing.T) {
	for _, c := range []struct {
		prefix string
		n      uint64
		want   string
	}{
		{"10.244.48.0/20", 1, "10.244.48.1"}, {"10.244.48.0/20", 10, "10.244.48.10"}, {"10.244.48.0/20", 4094, "10.244.63.254"},
		{"10.244.48.0/20", 0, ""}, {"10.244.48.0/20", 4095, ""}, {"10.244.48.0/20", 4096, ""}, {"10.0.0.0/29", 10, ""}, {"fd00::/112", 1, ""},
	} {
		got := ""
		if a, ok := At(netip.MustParsePrefix(c.prefix), c.n); ok {
			got = a.String()
		}
		if got != c.want {
			t.Errorf("%d of %s: %q, want %q", c.n, c.prefix, got, c.want)
		}
	}
}

// TestFirstFree: the band that is left to those who ask is upstream's (calculateRangeOffset in
// pkg/registry/core/service/ipallocator/bitmap.go).
func TestFirstFree(t *testing.T) {
	for prefix, want := range map[string]string{
		"10.96.0.0/12":   "10.96.1.1",
		"10.244.48.0/20": "10.244.49.1",
		"10.0.0.0/21":    "10.0.0.129",
		"10.0.0.0/24":    "10.0.0.17",
		"10.0.0.0/27":    "10.0.0.17",
		"10.0.0.0/28":    "10.0.0.1",
		"10.0.0.0/30":    "10.0.0.1",
		"10.0.0.0/31":    "invalid IP",
		"fd00::/112":     "invalid IP",
		"0.0.0.0/0":      "0.0.1.1",
	} {
		got, _ := Free(netip.MustParsePrefix(prefix), netip.Addr{}, func(netip.Addr) bool { return false })
		if got.String() != want {
			t.Errorf("%s: %s, want %s", prefix, got, want)
		}
	}
}

// TestFreeGivesEachAddressOnce: whatever was given last, a range gives away all of its addresses and
// no other, and those that are left to services that ask for them come last.
func TestFreeGivesEachAddressOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.IntRange(24, 32).Draw(t, "bits")
		p := netip.PrefixFrom(netip.MustParseAddr("10.1.2.0"), bits)
		taken := map[netip.Addr]bool{}
		for _, n := range rapid.SliceOfDistinct(rapid.Uint64Range(0, size(p)-1), rapid.ID).Draw(t, "taken") {
			if a, ok := At(p, n); ok {
				taken[a] = true
			}
		}
		var all, left []netip.Addr
		for n := range size(p) {
			if a, ok := At(p, n); ok && !taken[a] {
				all = append(all, a)
				if n <= reserved(p) {
					left = append(left, a)
				}
			}
		}
		var last netip.Addr
		for given := range len(all) {
			a, ok := Free(p, last, func(a netip.Addr) bool { return taken[a] })
			if !ok || taken[a] || !Contains(p, a) {
				t.Fatalf("%s %v after %d of %d", a, ok, given, len(all))
			}
			if early := given < len(all)-len(left); early && number(a)-number(p.Addr()) <= reserved(p) {
				t.Fatalf("%s was given while others were free", a)
			}
			taken[a] = true
			if rapid.Bool().Draw(t, "go on") {
				last = a
			}
		}
		if a, ok := Free(p, last, func(a netip.Addr) bool { return taken[a] }); ok {
			t.Fatalf("%s was given twice", a)
		}
	})
}
