package proxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
	"k8s.io/client-go/rest"

	"skiff/cli/command"
	"skiff/cli/terminal"
)

// proxied serves an API server that says what it was asked, by way of a proxy with flags.
func proxied(t *testing.T, flags ...string) http.Handler {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("Authorization")+r.Header.Get("Origin"))
	}))
	t.Cleanup(api.Close)
	env := &command.Env{Streams: terminal.Streams{Out: io.Discard, Err: io.Discard}, Lookup: func(string) (string, bool) { return "", false }}
	var h http.Handler
	c := Command(env)
	c.Action = func(c *cli.Context) (err error) {
		h, err = handler(c, env, &rest.Config{Host: api.URL + "/base", BearerToken: "mine"})
		return err
	}
	app := &cli.App{Commands: []*cli.Command{c}, DisableSliceFlagSeparator: true, ExitErrHandler: func(*cli.Context, error) {}}
	if err := app.RunContext(t.Context(), append([]string{"skiff", "proxy"}, flags...)); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestRequests(t *testing.T) {
	www := t.TempDir()
	for _, test := range []struct{ flags, method, host, path, origin, want string }{
		{"", "GET", "127.0.0.1:8001", "/api/v1/pods?x=y", "http://page.example", "200 GET /api/v1/pods?x=y Bearer mine"},
		{"", "GET", "localhost", "/version", "http://page.example", "200 GET /version Bearer mine"},
		{"", "GET", "[::1]:8001", "/version", "http://page.example", "200 GET /version Bearer mine"},
		{"", "GET", "evil.example", "/version", "http://page.example", "403 Forbidden"},
		{"", "GET", "localhost.evil.example", "/version", "http://page.example", "403 Forbidden"},
		{"", "GET", "localhost", "/api/v1/namespaces/a/pods/b/exec", "http://page.example", "403 Forbidden"},
		{"", "DELETE", "localhost", "/api/v1/pods/a", "", "200 DELETE /api/v1/pods/a Bearer mine"},
		{"--reject-methods=POST,DELETE", "DELETE", "localhost", "/api/v1/pods/a", "", "403 Forbidden"},
		{"--accept-paths=^/version$", "GET", "localhost", "/api", "http://page.example", "403 Forbidden"},
		{"--disable-filter", "GET", "evil.example", "/version", "http://page.example", "200 GET /version Bearer mine"},
		{"--append-server-path", "GET", "localhost", "/version", "http://page.example", "200 GET /base/version Bearer mine"},
		{"--api-prefix=/k8s", "GET", "localhost", "/k8s/version", "http://page.example", "200 GET /version Bearer mine"},
		{"--api-prefix=/k8s", "GET", "localhost", "/version", "http://page.example", "404 404 page not found"},
		{"--www=" + www, "GET", "localhost", "/static/", "http://page.example", "200 <"},
		{"", "DELETE", "localhost:8001", "/api/v1/pods/a", "http://page.example", "403 Forbidden"},
		{"", "POST", "localhost:8001", "/api/v1/namespaces/a/pods", "http://localhost:3000", "403 Forbidden"},
		{"", "POST", "localhost:8001", "/api/v1/namespaces/a/pods", "null", "403 Forbidden"},
		{"", "POST", "localhost:8001", "/api/v1/namespaces/a/pods", "http://localhost:8001", "200 POST /api/v1/namespaces/a/pods Bearer mine"},
		{"", "POST", "localhost:8001", "/api/v1/namespaces/a/pods/b/kill", "", "403 Forbidden"},
		{"", "PUT", "localhost:8001", "/api/v1/namespaces/a/pods/b/files", "", "403 Forbidden"},
	} {
		r := httptest.NewRequest(test.method, test.path, nil)
		r.Host = test.host
		r.Header.Set("Authorization", "Bearer theirs")
		if test.origin != "" {
			r.Header.Set("Origin", test.origin)
		}
		w := httptest.NewRecorder()
		proxied(t, strings.Fields(test.flags)...).ServeHTTP(w, r)
		if got := http.StatusText(w.Code); !strings.HasPrefix(strings.TrimSpace(strconv.Itoa(w.Code)+" "+w.Body.String()), test.want) {
			t.Errorf("%s %s %s of %s: %d %s: %s, want %s", test.flags, test.method, test.path, test.host, w.Code, got, w.Body, test.want)
		}
	}
}

// A page that the proxy has not served gets no connection to a container.
func TestPagesGetNoStreams(t *testing.T) {
	for origin, want := range map[string]int{"http://page.example": 403, "http://localhost:8001": 200, "": 200} {
		r := httptest.NewRequest("GET", "/api/v1/namespaces/a/pods/b/portforward", nil)
		r.Host = "localhost:8001"
		r.Header.Set("Upgrade", "websocket")
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		w := httptest.NewRecorder()
		proxied(t).ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("from %q: %d, want %d", origin, w.Code, want)
		}
	}
}

// The proxy ends with its context, requests under way included.
func TestServeEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	began := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- serve(ctx, l, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(began)
			<-r.Context().Done()
		}))
	}()
	conn, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-began
	cancel()
	if err := <-ended; err != context.Canceled {
		t.Errorf("ended with %v", err)
	}
}
