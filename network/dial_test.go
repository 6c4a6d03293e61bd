package network

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestDialWithoutARouter: whoever has no way into the network learns so, before the time is over.
func TestDialWithoutARouter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{ByRouter: true})
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := l.Dial(ctx, "tcp", "10.0.0.1:80")
		if !errors.Is(err, syscall.ENETDOWN) || ctx.Err() != nil || time.Since(begin) != 900*time.Millisecond {
			t.Errorf("after %s: %v", time.Since(begin), err)
		}
	})
}
