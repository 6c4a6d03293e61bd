package door

import (
	"context"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strconv"
	"strings"
)

// newServer is the part that net/http does.
func (d *door) newServer() *http.Server {
	s := &http.Server{
		Handler:           d,
		ReadHeaderTimeout: headTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHead,
		ErrorLog:          d.errorLog(),
		BaseContext:       func(net.Listener) context.Context { return d.ctx },
		ConnContext:       withCaller,
		Protocols:         &http.Protocols{},
		TLSConfig:         d.tls,
	}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	return s
}

// errorLog is where net/http says what it can't return.
func (d *door) errorLog() *log.Logger { return slog.NewLogLogger(d.log.Handler(), slog.LevelDebug) }

// ServeHTTP answers a request by what the newest state says of its name and its path.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !d.enter() {
		panic(http.ErrAbortHandler)
	}
	defer d.group.Done()
	name, port, ok := hostOf(r.Host)
	if !ok || r.Method == http.MethodConnect {
		d.refuse(w, r, http.StatusBadRequest, "this is no request for a site")
		return
	}
	t := d.table.Load()
	s := t.site(name)
	switch {
	case s == nil && localName(name):
		d.list(w, r, t, name, port)
		return
	case s == nil:
		// A page of another origin that has its name lead here (DNS rebinding) learns nothing.
		d.refuse(w, r, http.StatusMisdirectedRequest, "there is no site of this name here")
		return
	}
	b := s.backend(r.URL.Path)
	switch {
	case b == nil:
		d.refuse(w, r, http.StatusNotFound, s.title+" has nothing at this path")
	case b.problem != "":
		d.refuse(w, r, http.StatusServiceUnavailable, "service "+b.service+": "+b.problem)
	default:
		w.Header()["Content-Type"] = nil // what the backend does not say is not guessed
		b.proxy.ServeHTTP(continuing{w}, r)
	}
}

// refuse answers a request that no backend gets.
func (d *door) refuse(w http.ResponseWriter, r *http.Request, status int, text string) {
	d.log.Debug("request refused", "host", r.Host, "path", r.URL.Path, "status", status, "reason", text)
	answer(w, r, status, text)
}

// rewrite makes the request that goes to the backend.
func rewrite(p *httputil.ProxyRequest) {
	p.Out.URL.RawQuery = p.In.URL.RawQuery // as it came, whatever ReverseProxy thinks of it
	for name := range p.Out.Header {
		if forwarding(name) {
			delete(p.Out.Header, name)
		}
	}
	c := callerOf(p.In.Context())
	address, node := forwardedFor(c.remote.Addr())
	h := p.Out.Header
	h.Set("X-Forwarded-For", address)
	h.Set("X-Forwarded-Host", p.In.Host)
	h.Set("X-Forwarded-Proto", c.scheme())
	h.Set("X-Forwarded-Port", strconv.Itoa(int(c.local.Port())))
	h.Set("Forwarded", "for="+node+";proto="+c.scheme()+`;host="`+p.In.Host+`"`)
}

// forwardedFor is a caller's address as X-Forwarded-For has it, and as Forwarded does (RFC 7239,
// section 6).
func forwardedFor(a netip.Addr) (address, node string) {
	if a.Is6() {
		return a.String(), `"[` + a.String() + `]"`
	}
	return a.String(), a.String()
}

// forwarding reports whether a header says who calls: the door alone says that. An underscore counts
// as a hyphen, as it does for applications that get headers as variables (RFC 3875, section 4.1.18).
func forwarding[T string | []byte](name T) bool {
	const prefix = "x-forwarded-"
	switch n := len(name); {
	case n < len("forwarded"):
		return false
	case n == len("forwarded"):
		return hyphenated(name, "forwarded") || hyphenated(name, "x-real-ip")
	case n >= len(prefix):
		return hyphenated(name[:len(prefix)], prefix)
	}
	return false
}

// hyphenated compares a header's name with one in lower case; an underscore counts as a hyphen.
func hyphenated[T string | []byte](name T, with string) bool {
	for i := range len(with) {
		if c := name[i]; c != '_' && c|0x20 != with[i] || c == '_' && with[i] != '-' {
			return false
		}
	}
	return true
}

// unclosed is a request's body that outlives an attempt to send it.
type unclosed struct{ io.Reader }

func (unclosed) Close() error { return nil }

// accepts reports whether a client asks for a type of content by its name.
func accepts(r *http.Request, kind string) bool {
	return strings.Contains(strings.Join(r.Header["Accept"], ","), kind)
}
