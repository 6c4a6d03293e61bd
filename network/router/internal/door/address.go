package door

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"skiff/network/protocol"
)

const (
	// maxIdle is how many connections to an address are kept for later, at most.
	maxIdle = 128
	// idleUpstream is for how long one is kept.
	idleUpstream = time.Minute
	// maxReplyHead is the largest head of a response, in bytes.
	maxReplyHead = 256 << 10
)

// target is an address and how it is spoken to.
type target struct {
	at       netip.AddrPort
	protocol string
}

// address is where connections lead. It keeps idle ones: those that net/http made in its transports,
// those of quick.go in idle.
type address struct {
	target
	plain   func() *http.Transport
	upgrade func() *http.Transport
	// odd says that it has answered in a way that only net/http understands.
	odd atomic.Bool

	mu     sync.Mutex
	closed bool
	idle   []*upstream // the longest idle one first
	reaper *time.Timer
	made   []*http.Transport
}

var dialer = net.Dialer{Timeout: dialTimeout, KeepAlive: time.Minute}

func newAddress(t target) *address {
	a := &address{target: t}
	a.plain = sync.OnceValue(func() *http.Transport { return a.newTransport(false) })
	a.upgrade = sync.OnceValue(func() *http.Transport { return a.newTransport(true) })
	return a
}

func (a *address) scheme() string {
	if a.protocol == protocol.HTTPS {
		return "https"
	}
	return "http"
}

// transport is net/http's way to the address. HTTP/2 has no upgrade, so that a request for one goes
// by HTTP/1.1.
func (a *address) transport(upgrade bool) *http.Transport {
	if upgrade && a.protocol != "" {
		return a.upgrade()
	}
	return a.plain()
}

func (a *address) newTransport(upgrade bool) *http.Transport {
	t := &http.Transport{
		DialContext:            dialer.DialContext,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    maxIdle,
		IdleConnTimeout:        idleUpstream,
		TLSHandshakeTimeout:    dialTimeout,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxReplyHead,
		// Whom the certificate is for is not known here: the address stands for a service.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // as ingress controllers do
		Protocols:       &http.Protocols{},
		HTTP2:           &http.HTTP2Config{SendPingTimeout: time.Minute, PingTimeout: 15 * time.Second},
	}
	switch {
	case upgrade || a.protocol == "":
		t.Protocols.SetHTTP1(true)
	case a.protocol == protocol.HTTP2:
		t.Protocols.SetUnencryptedHTTP2(true)
	default:
		t.Protocols.SetHTTP1(true)
		t.Protocols.SetHTTP2(true)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.made = append(a.made, t)
	return t
}

// get is an idle connection, or a new one.
func (a *address) get(ctx context.Context, sure bool) (*upstream, error) {
	for {
		u := a.take()
		if u == nil {
			break
		}
		if u.alive(sure) {
			u.kept = true
			return u, nil
		}
		u.close()
	}
	c, err := dialer.DialContext(ctx, "tcp", a.at.String())
	if err != nil {
		return nil, err
	}
	return &upstream{wire: wire{conn: c, most: maxReplyHead}}, nil
}

// take is the connection that has been idle for the shortest time, nil for none.
func (a *address) take() *upstream {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := len(a.idle)
	if n == 0 {
		return nil
	}
	u := a.idle[n-1]
	a.idle[n-1] = nil
	a.idle = a.idle[:n-1]
	return u
}

// put keeps a connection for later.
func (a *address) put(u *upstream) {
	u.release()
	u.since = time.Now()
	a.mu.Lock()
	keep := !a.closed && len(a.idle) < maxIdle
	if keep {
		a.idle = append(a.idle, u)
		if a.reaper == nil {
			a.reaper = time.AfterFunc(idleUpstream, a.reap)
		}
	}
	a.mu.Unlock()
	if !keep {
		u.close()
	}
}

// reap closes connections that have been idle for too long.
func (a *address) reap() {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for n < len(a.idle) && time.Since(a.idle[n].since) >= idleUpstream {
		a.idle[n].close()
		n++
	}
	a.idle = append([]*upstream(nil), a.idle[n:]...)
	a.reaper = nil
	if len(a.idle) > 0 && !a.closed {
		a.reaper = time.AfterFunc(idleUpstream-time.Since(a.idle[0].since), a.reap)
	}
}

// close closes idle connections, and each other as soon as it is idle. The address may still be used
// by requests that found it in an older table.
func (a *address) close() {
	a.mu.Lock()
	a.closed = true
	if a.reaper != nil {
		a.reaper.Stop()
	}
	for _, u := range a.idle {
		u.close()
	}
	a.idle = nil
	made := a.made
	a.mu.Unlock()
	for _, t := range made {
		t.CloseIdleConnections()
	}
}
