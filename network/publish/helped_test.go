package publish

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"skiff/network/protocol"
)

// fakeHelper notes what it is asked for.
type fakeHelper struct {
	mu   sync.Mutex
	open map[string]string
	fail error
}

func (h *fakeHelper) Open(_ context.Context, p Port) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fail == nil {
		h.open[p.String()] = p.To.String()
	}
	return h.fail
}

func (h *fakeHelper) Close(_ context.Context, p Port) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fail == nil {
		delete(h.open, p.String())
	}
	return h.fail
}

func (h *fakeHelper) CloseAll(context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.open)
	return h.fail
}

func (h *fakeHelper) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var lines []string
	for port, to := range h.open {
		lines = append(lines, port+" -> "+to)
	}
	slices.Sort(lines)
	return strings.Join(lines, ", ")
}

// TestHelper checks what is asked of a helper where this process may open no port below 1024.
func TestHelper(t *testing.T) {
	h := &fakeHelper{open: map[string]string{}}
	p := New(Options{Dial: (&net.Dialer{}).DialContext, Helper: h})
	listen := p.tcp
	p.tcp = func(l *listener) error {
		if l.port.At.Port() < 1024 {
			return fmt.Errorf("listen: %w", syscall.EACCES)
		}
		return listen(l)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	port := func(at, to string) Port {
		return Port{Protocol: protocol.TCP, At: netip.MustParseAddrPort(at), To: netip.MustParseAddrPort(to)}
	}
	set := func(owner, want string, ports ...Port) error {
		t.Helper()
		var errs []error
		for _, r := range p.Set(owner, ports) {
			errs = append(errs, r.Err)
		}
		if got := h.String(); got != want {
			t.Errorf("the helper has %q, want %q", got, want)
		}
		return errors.Join(errs...)
	}
	low, own := port("127.0.0.1:80", "10.0.0.1:8080"), Port{Protocol: protocol.TCP, At: loopback(t), To: netip.MustParseAddrPort("10.0.0.1:1")}
	if err := set("a", "tcp 127.0.0.1:80 -> 10.0.0.1:8080", low, own); err != nil {
		t.Error(err)
	}
	if err := set("b", "tcp 127.0.0.1:80 -> 10.0.0.1:8080", low); !errors.Is(err, ErrTaken) || !strings.Contains(err.Error(), "taken by a") {
		t.Errorf("another owner gets %v", err)
	}
	if err := set("a", "tcp 127.0.0.1:80 -> 10.0.0.2:8080", port("127.0.0.1:80", "10.0.0.2:8080")); err != nil {
		t.Error(err)
	}
	if err := set("a", ""); err != nil {
		t.Error(err)
	}
	h.fail = errors.New("the engine is away")
	if err := set("b", "", low); !errors.Is(err, h.fail) {
		t.Errorf("without the engine: %v", err)
	}
	h.fail = nil
	door := low
	door.Proxy = true
	if err := set("door", "", door); !errors.Is(err, ErrPrivileged) {
		t.Errorf("a port that says who calls: %v", err)
	}
	if err := set("b", "tcp 127.0.0.1:80 -> 10.0.0.1:8080", low); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-done; err != nil || h.String() != "" {
		t.Errorf("in the end the helper has %q: %v", h, err)
	}
}
