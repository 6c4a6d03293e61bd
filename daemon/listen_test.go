package daemon

import (
	"log/slog"
	"net"
	"strings"
	"testing"

	"skiff/daemon/config"
	"skiff/daemon/datadir"
)

// TestListen: an address that was chosen is taken or refused; otherwise a second instance takes a
// free port, and the same one the next time.
func TestListen(t *testing.T) {
	first, err := net.Listen("tcp", freePort)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	usual := first.Addr().String()
	c := config.Config{Dir: datadir.Dir(t.TempDir()), Listen: usual}
	if _, err := listen(t.Context(), c, usual, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "another program listens on "+usual+": choose another address with --listen") {
		t.Errorf("an address that is taken: %v", err)
	}
	start := func() string {
		var log strings.Builder
		l, err := listen(t.Context(), c, usual, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		d := daemon{config: c, listener: l}
		if err := d.keepAddress(); err != nil {
			t.Fatal(err)
		}
		return l.Addr().String() + " " + log.String()
	}
	c.Listen = ""
	address, log, _ := strings.Cut(start(), " ")
	if address == usual || !strings.Contains(log, "usual="+usual+" api="+address) {
		t.Errorf("with a usual address that is taken: %s, logged %q", address, log)
	}
	if again := start(); again != address+" " {
		t.Errorf("the next time: %q, want %s", again, address)
	}
	taken, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	first.Close()
	for range 2 {
		if got := start(); got != usual+" " {
			t.Errorf("when the last address is taken and the usual one free: %q, want %s", got, usual)
		}
	}
}
