package docker

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
)

func newTestAddresses(prefix string) *Addresses {
	p := netip.MustParsePrefix(prefix)
	return NewAddresses(p, p.Addr().Next())
}

func TestAddresses(t *testing.T) {
	a := newTestAddresses("10.0.0.0/29") // .1 is the gateway, .2 to .6 are for pods
	for i := 2; i <= 6; i++ {
		got, err := a.Allocate(fmt.Sprint("pod", i))
		check(t, err)
		if want := fmt.Sprint("10.0.0.", i); got.String() != want {
			t.Errorf("address %s, want %s", got, want)
		}
	}
	_, err := a.Allocate("one too many")
	wantKind(t, err, ErrNoAddress)
	again, err := a.Allocate("pod4")
	check(t, err)
	if again.String() != "10.0.0.4" {
		t.Errorf("pod4 now has %s", again)
	}

	a.Release("pod3")
	a.Release("pod3")
	got, err := a.Allocate("pod7")
	check(t, err)
	if got.String() != "10.0.0.3" {
		t.Errorf("address %s, want the one released", got)
	}
}

func TestAddressesGoRound(t *testing.T) {
	a := newTestAddresses("10.0.0.0/29")
	for _, want := range []string{"10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.2"} {
		got, err := a.Allocate("pod")
		check(t, err)
		if got.String() != want {
			t.Errorf("address %s, want %s", got, want)
		}
		a.Release("pod")
	}
}

func TestReserve(t *testing.T) {
	a := newTestAddresses("10.0.0.0/29")
	check(t, a.Reserve("old", netip.MustParseAddr("10.0.0.2")))
	check(t, a.Reserve("old", netip.MustParseAddr("10.0.0.2")))
	for _, test := range []struct {
		key, addr string
		kind      error
	}{
		{"other", "10.0.0.2", ErrConflict},
		{"old", "10.0.0.3", ErrConflict},
		{"new", "10.0.0.0", ErrInvalid},
		{"new", "10.0.0.1", ErrInvalid},
		{"new", "10.0.0.7", ErrInvalid},
		{"new", "10.0.1.2", ErrInvalid},
		{"new", "::1", ErrInvalid},
	} {
		t.Run(test.key+" "+test.addr, func(t *testing.T) {
			wantKind(t, a.Reserve(test.key, netip.MustParseAddr(test.addr)), test.kind)
		})
	}
	got, err := a.Allocate("new")
	check(t, err)
	if got.String() != "10.0.0.3" {
		t.Errorf("address %s: the reserved one is taken", got)
	}
	got, err = a.Allocate("old")
	check(t, err)
	if got.String() != "10.0.0.2" {
		t.Errorf("old now has %s", got)
	}
}

// TestAddressesAreNeverShared does at random what a node does, and looks after each step.
func TestAddressesAreNeverShared(t *testing.T) {
	a := newTestAddresses("10.0.0.0/26")
	random := rand.New(rand.NewPCG(1, 2))
	held := map[string]netip.Addr{}
	for range 5000 {
		key := fmt.Sprint(random.IntN(80))
		if random.IntN(3) == 0 {
			a.Release(key)
			delete(held, key)
			continue
		}
		addr, err := a.Allocate(key)
		if err != nil {
			wantKind(t, err, ErrNoAddress)
			if len(held) != 61 {
				t.Fatalf("%v with %d of 61 held", err, len(held))
			}
			continue
		}
		if before, ok := held[key]; ok && before != addr {
			t.Fatalf("%s had %s, now %s", key, before, addr)
		}
		held[key] = addr
		owners := map[netip.Addr]string{}
		for owner, addr := range held {
			if other, ok := owners[addr]; ok {
				t.Fatalf("%s is both %s's and %s's", addr, owner, other)
			}
			owners[addr] = owner
		}
	}
}

func BenchmarkAllocate(b *testing.B) {
	a := newTestAddresses("10.0.0.0/20")
	for i := range 4000 {
		if _, err := a.Allocate(fmt.Sprint(i)); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if _, err := a.Allocate("pod"); err != nil {
			b.Fatal(err)
		}
		a.Release("pod")
	}
}

// Pods of a network that was not divided yet keep their addresses; new ones get none whose shadow
// is such a pod's.
func TestPodAddresses(t *testing.T) {
	l, err := Divide(netip.MustParsePrefix("10.0.0.0/26"))
	if err != nil {
		t.Fatal(err)
	}
	a := PodAddresses(l)
	old := netip.MustParseAddr("10.0.0.35") // the shadow of 10.0.0.3
	if err := a.Reserve("old", old); err != nil {
		t.Fatal(err)
	}
	var given []string
	for i := range 20 {
		addr, err := a.Allocate(fmt.Sprint(i))
		if errors.Is(err, ErrNoAddress) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		given = append(given, addr.String())
	}
	if got := strings.Join(given, " "); got != "10.0.0.2 10.0.0.4 10.0.0.5 10.0.0.6 10.0.0.7 10.0.0.8 10.0.0.9 10.0.0.10 10.0.0.11 10.0.0.12 10.0.0.13 10.0.0.14" {
		t.Errorf("given %s", got)
	}
	if got := fmt.Sprint(a.Elsewhere()); got != "[10.0.0.35]" {
		t.Errorf("elsewhere %s", got)
	}
	a.Release("old")
	if addr, err := a.Allocate("last"); err != nil || addr.String() != "10.0.0.3" || len(a.Elsewhere()) > 0 {
		t.Errorf("%s, %v", addr, err)
	}
}
