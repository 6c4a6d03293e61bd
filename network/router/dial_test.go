//go:build linux

package main

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// TestNoDaemon checks that a call waits for a daemon, and not for ever.
func TestNoDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouter("", "", false)
		pod, own := net.Pipe()
		begin := time.Now()
		go r.handToDaemon(t.Context(), own)
		if _, err := pod.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("got %v", err)
		}
		if waited := time.Since(begin); waited != daemonTimeout {
			t.Errorf("it waited for %s", waited)
		}
	})
}

// TestCallsAtOnce checks that a pod may not have as many calls as it likes, and that others may then
// still have theirs.
func TestCallsAtOnce(t *testing.T) {
	var c callers
	greedy, modest := netip.MustParseAddr("10.77.0.10"), netip.MustParseAddr("10.77.0.11")
	for range callsAtOnce {
		if !c.enter(greedy) {
			t.Fatal("one of those it may have is refused")
		}
	}
	if c.enter(greedy) || !c.enter(modest) {
		t.Error("the bound is not one for each")
	}
	c.leave(greedy)
	if !c.enter(greedy) {
		t.Error("a place that is free again is not given")
	}
	for range callsAtOnce {
		c.leave(greedy)
	}
	if c.leave(modest); len(c.open) > 0 {
		t.Errorf("%v are remembered", c.open)
	}
}

// TestTooManyCalls checks that a call too many ends at once, without waiting for a daemon.
func TestTooManyCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouter("", "", false)
		pod, own := net.Pipe()
		for range callsAtOnce {
			r.callers.enter(callerOf(own))
		}
		begin := time.Now()
		go r.handToDaemon(t.Context(), own)
		if _, err := pod.Read(make([]byte, 1)); !errors.Is(err, io.EOF) || time.Since(begin) > 0 {
			t.Errorf("got %v after %s", err, time.Since(begin))
		}
	})
}
