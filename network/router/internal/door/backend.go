package door

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"skiff/network/protocol"
)

const (
	// dialTimeout is how long a backend may take to take a connection.
	dialTimeout = 5 * time.Second
	// redialPause is how long to wait before a connection that was refused is tried once more: a
	// replica has just been replaced, perhaps.
	redialPause = 50 * time.Millisecond
)

// backend is where requests go: one of its addresses, in turn.
type backend struct {
	// service names it, for people.
	service  string
	problem  string
	protocol string
	to       []*address
	turn     atomic.Uint32
	proxy    http.Handler
}

// newBackend makes a backend whose addresses keep the connections that they have. d.mu is held.
func (d *door) newBackend(from protocol.Backend) *backend {
	b := &backend{service: from.Service.String(), problem: from.Problem, protocol: from.Protocol}
	for _, at := range from.To {
		b.to = append(b.to, d.addressOf(at, from.Protocol))
	}
	if b.problem == "" && len(b.to) == 0 {
		b.problem = "it has no address"
	}
	b.proxy = &httputil.ReverseProxy{
		Rewrite:       rewrite,
		Transport:     b,
		FlushInterval: -1,
		BufferPool:    copyBuffers{},
		ErrorLog:      d.errorLog(),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			status, text := b.failure(err)
			d.log.Debug("request failed", "host", r.Host, "path", r.URL.Path, "service", b.service, "status", status, "error", err)
			answer(w, r, status, text)
		},
	}
	return b
}

// addressOf is the one of that kind, made if it is new. d.mu is held.
func (d *door) addressOf(at netip.AddrPort, protocol string) *address {
	key := target{at, protocol}
	a := d.addresses[key]
	if a == nil {
		a = newAddress(key)
		d.addresses[key] = a
	}
	return a
}

// forget closes the connections to addresses that a table does not have, as soon as they are idle.
// d.mu is held.
func (d *door) forget(t *table) {
	used := map[*address]bool{}
	use := func(s *site) {
		for _, p := range s.paths {
			for _, a := range p.backend.to {
				used[a] = true
			}
		}
	}
	for _, s := range t.exact {
		use(s)
	}
	for _, s := range t.wildcard {
		use(s)
	}
	if t.rest != nil {
		use(t.rest)
	}
	for key, a := range d.addresses {
		if !used[a] {
			a.close()
			delete(d.addresses, key)
		}
	}
}

// next is the address whose turn it is.
func (b *backend) next() *address {
	if len(b.to) == 1 {
		return b.to[0]
	}
	return b.to[b.turn.Add(1)%uint32(len(b.to))]
}

// RoundTrip sends a request to one of the addresses. Where a connection is refused, nothing of the
// request has been sent: it is tried at the next address, or once more at the only one. What has been
// sent on a connection that turns out to be dead, net/http sends again if that may be done.
func (b *backend) RoundTrip(r *http.Request) (*http.Response, error) {
	out, u := r.WithContext(r.Context()), *r.URL
	out.URL = &u
	if r.Body != nil && r.Body != http.NoBody {
		out.Body = unclosed{r.Body}
	}
	response, err := b.try(out)
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return response, err
	}
	if len(b.to) == 1 {
		pause := time.NewTimer(redialPause)
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-r.Context().Done():
			return nil, context.Cause(r.Context())
		}
	}
	return b.try(out)
}

// try sends a request to the address whose turn it is.
func (b *backend) try(r *http.Request) (*http.Response, error) {
	a := b.next()
	r.URL.Scheme, r.URL.Host = a.scheme(), a.at.String()
	return a.transport(r.Header.Get("Upgrade") != "").RoundTrip(r)
}

// failure is how a request is answered that a backend has not answered.
func (b *backend) failure(err error) (status int, text string) {
	var op *net.OpError
	var timeout net.Error
	dialing := errors.As(err, &op) && op.Op == "dial"
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return http.StatusServiceUnavailable, "service " + b.service + " has no ready endpoints"
	case dialing && errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, os.ErrDeadlineExceeded):
		return http.StatusGatewayTimeout, "service " + b.service + " does not answer"
	case dialing:
		return http.StatusBadGateway, "service " + b.service + " can't be reached"
	}
	return http.StatusBadGateway, "service " + b.service + " has not answered this request: " + plainCause(err)
}

// plainCause is what a caller may be told of an error: nothing that has addresses in it.
func plainCause(err error) string {
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
		return errno.Error()
	case errors.Is(err, context.Canceled):
		return "it has been given up"
	}
	return "the connection ended, or what came is no answer"
}
