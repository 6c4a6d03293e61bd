package ui

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"html"
	"net"
	"net/http"
	"strings"
	"time"

	"k8s.io/utils/clock"

	"skiff/cli/client"
	"skiff/cli/report"
	"skiff/cli/report/page"
)

// server is what a browser talks to.
type server struct {
	address  string // host:port
	client   *client.Client
	recorder *report.Recorder
	clock    clock.WithTicker
	title    string
	session  *session
	// streams are taken by those who listen: a browser opens two a tab.
	streams chan struct{}
}

// mostStreams bounds how many streams there are at a time.
const mostStreams = 32

func newServer(address string, c *client.Client, r *report.Recorder, clk clock.WithTicker, title string) *server {
	_, port, _ := net.SplitHostPort(address)
	return &server{address: address, client: c, recorder: r, clock: clk, title: title, session: newSession(port), streams: make(chan struct{}, mostStreams)}
}

// URL is the address that opens the page, once.
func (s *server) URL() string { return "http://" + s.address + "/?key=" + s.session.key }

// Serve answers browsers until ctx ends, and then cuts all connections: streams never end by themselves.
func (s *server) Serve(ctx context.Context, l net.Listener) error {
	h := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx }}
	stop := context.AfterFunc(ctx, func() { _ = h.Close() })
	defer stop()
	if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the page: %w", err)
	}
	return nil
}

func (s *server) handler() http.Handler {
	open := http.NewServeMux()
	open.HandleFunc("GET /{$}", s.page)
	open.HandleFunc("GET /changes", s.stream(s.changes))
	open.HandleFunc("GET /log", s.stream(s.log))
	open.HandleFunc("POST /do", s.changing(s.do))
	all := http.NewServeMux()
	for path, file := range files {
		all.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", file.kind)
			w.Write([]byte(file.text))
		})
	}
	all.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case s.session.open(r):
			open.ServeHTTP(w, r)
		case r.Method == http.MethodGet && r.URL.Path == "/" && r.URL.Query().Has("key"):
			s.session.enter(w, r)
		default:
			s.session.refuse(w, r)
		}
	})
	return s.guard(all)
}

// policy allows what the server itself sends and nothing else, inline scripts and styles included.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// guard answers to this machine's names alone: a page elsewhere whose own name is made to lead here (DNS
// rebinding) sends that name.
func (s *server) guard(next http.Handler) http.Handler {
	_, port, _ := net.SplitHostPort(s.address)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range map[string]string{"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin"} {
			w.Header().Set(name, value)
		}
		if host := withPort(r.Host); host != s.address && host != "localhost:"+port {
			http.Error(w, "skiff ui answers at http://"+s.address+" alone", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// tokenHeader carries the page's token. No form and no other site can send it.
const tokenHeader = "X-Skiff-Token"

// changing lets requests through that this page has made: browsers say so, and the token does.
func (s *server) changing(next http.HandlerFunc) http.HandlerFunc {
	origins := http.NewCrossOriginProtection()
	return func(w http.ResponseWriter, r *http.Request) {
		if err := origins.Check(r); err != nil || !same(r.Header.Get(tokenHeader), s.session.token) {
			http.Error(w, "this was not asked for by skiff's page", http.StatusForbidden)
			return
		}
		next(w, r)
	}
}

// stream bounds how many streams there are.
func (s *server) stream(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case s.streams <- struct{}{}:
			defer func() { <-s.streams }()
			next(w, r)
		default:
			http.Error(w, "too many pages are open: close some", http.StatusServiceUnavailable)
		}
	}
}

//go:embed ui.html
var shell string

//go:embed ui.css
var style string

//go:embed ui.js
var script string

//go:embed logs.js
var logScript string

// file is something that everybody may have: it tells nothing.
type file struct{ kind, text string }

var files = map[string]file{
	"/style.css": {"text/css; charset=utf-8", page.Style + style},
	"/script.js": {"text/javascript; charset=utf-8", strings.Join([]string{page.Script, logScript, script}, "\n")},
}

func (s *server) page(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	// No template: html/template keeps the linker from dropping unused methods, a fifth of the binary.
	filled := strings.NewReplacer("{{.Title}}", html.EscapeString(s.title), "{{.Token}}", html.EscapeString(s.session.token))
	_, _ = filled.WriteString(w, shell) // the browser is gone
}

// withPort is a host as browsers name it, who leave out the port that is HTTP's own.
func withPort(host string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return net.JoinHostPort(host, "80")
}
