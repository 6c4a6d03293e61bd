package pod

import (
	"strings"
	"testing"
	"time"

	"skiff/orchestrator/node/internal/podtest"
)

func TestBackoff(t *testing.T) {
	p := BackoffPolicy{First: 10 * time.Second, Max: 5 * time.Minute}
	at := podtest.Now
	var b Backoff
	if !b.until(p, at).IsZero() {
		t.Error("the first failure is not tried again at once")
	}
	var waits []string
	for range 8 {
		b = b.Next(p, at, at)
		waits = append(waits, b.until(p, at).Sub(at).String())
		at = b.until(p, at)
	}
	if got, want := strings.Join(waits, " "), "10s 20s 40s 1m20s 2m40s 5m0s 5m0s 5m0s"; got != want {
		t.Errorf("waits %s, want %s", got, want)
	}
	if got := b.until(p, b.Since.Add(10*time.Minute)); got.IsZero() {
		t.Error("forgotten after ten minutes to the second")
	}
	late := b.Since.Add(10*time.Minute + 1)
	if !b.until(p, late).IsZero() {
		t.Error("not forgotten after more than ten minutes")
	}
	if got := b.Next(p, late, late).Delay; got != 10*time.Second {
		t.Errorf("begins anew with %s", got)
	}
}
