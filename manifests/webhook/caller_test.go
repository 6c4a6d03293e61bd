package webhook

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

type message struct{ Text string }

// serve starts a webhook and returns where it is.
func serve(t testing.TB, h http.HandlerFunc) (Target, *httptest.Server) {
	t.Helper()
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	s.Config.ErrorLog = nil
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	return Target{URL: s.URL + "/hook", CABundle: ca}, s
}

func echo(w http.ResponseWriter, r *http.Request) {
	var in message
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_ = json.NewEncoder(w).Encode(message{in.Text + " " + r.Method + " " + r.URL.Path + " " + r.Header.Get("Content-Type")})
}

func TestCall(t *testing.T) {
	target, _ := serve(t, echo)
	var out message
	if err := NewCaller(nil).Call(t.Context(), target, message{"hello"}, &out); err != nil {
		t.Fatal(err)
	}
	if want := "hello POST /hook application/json"; out.Text != want {
		t.Errorf("got %q, want %q", out.Text, want)
	}
}

func TestCallSaysHowLongItWaits(t *testing.T) {
	var query atomic.Value
	target, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		query.Store(r.URL.RawQuery)
		_, _ = w.Write([]byte("{}"))
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
	defer cancel()
	if err := NewCaller(nil).Call(ctx, target, message{}, &message{}); err != nil {
		t.Fatal(err)
	}
	if got := query.Load(); got != "timeout=3s" {
		t.Errorf("the webhook is told %q", got)
	}
}

func TestConnectionsAreReused(t *testing.T) {
	var connections atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(echo))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.StartTLS()
	defer s.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	c := NewCaller(nil)
	defer c.Close()
	for i := range 10 {
		target := Target{URL: fmt.Sprintf("%s/%d", s.URL, i), CABundle: ca}
		if err := c.Call(t.Context(), target, message{}, &message{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections for ten calls", n)
	}
	// A server that has closed the connection meanwhile is called over another one.
	s.CloseClientConnections()
	if err := c.Call(t.Context(), Target{URL: s.URL, CABundle: ca}, message{}, &message{}); err != nil {
		t.Errorf("after the connection was closed: %v", err)
	}
}

func TestTargetsAreForgotten(t *testing.T) {
	target, _ := serve(t, echo)
	c := NewCaller(nil)
	for i := range 2 * maxTargets {
		other := Target{URL: fmt.Sprintf("https://127.0.0.1:%d/", 20000+i), CABundle: target.CABundle}
		u, err := other.address()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.client(other, u); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(c.clients); n > maxTargets {
		t.Errorf("the connections of %d targets are kept", n)
	}
	if err := c.Call(t.Context(), target, message{}, &message{}); err != nil {
		t.Error(err)
	}
}

// TestService: the certificate must be for the Service's own name, which is not looked up anywhere.
func TestService(t *testing.T) {
	target, s := serve(t, echo)
	var asked string
	c := NewCaller(func(ctx context.Context, namespace, name string, port int32) (net.Conn, error) {
		asked = fmt.Sprintf("%s/%s:%d", namespace, name, port)
		return (&net.Dialer{}).DialContext(ctx, "tcp", s.Listener.Addr().String())
	})
	target.URL, target.Service = "", &Service{Namespace: "n", Name: "s", Path: "/p"}
	err := c.Call(t.Context(), target, message{}, &message{})
	if err == nil || !strings.Contains(err.Error(), "not s.n.svc") {
		t.Errorf("a certificate for another name: %v", err)
	}
	if !strings.HasPrefix(err.Error(), `Post "https://s.n.svc:443/p": `) {
		t.Errorf("the error is %v", err)
	}
	if asked != "n/s:443" {
		t.Errorf("dialed %q", asked)
	}
	err = NewCaller(nil).Call(t.Context(), target, message{}, &message{})
	if err == nil || !strings.Contains(err.Error(), `no endpoints available for service "s"`) {
		t.Errorf("without a network: %v", err)
	}
}

func TestBadAnswers(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"garbage", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, "decoding the answer"},
		{"nothing", func(http.ResponseWriter, *http.Request) {}, "decoding the answer"},
		{"an error", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "so broken", http.StatusInternalServerError)
		},
			`an error on the server ("so broken") has prevented the request from succeeding`},
		{"not found", http.NotFound, "the server could not find the requested resource"},
		{"a status", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"not now","code":409}`)
		}, "not now"},
		{"a redirection", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://127.0.0.1:1/", http.StatusFound)
		}, "302"},
		{"too much", func(w http.ResponseWriter, _ *http.Request) {
			block := make([]byte, 1<<20)
			for range MaxAnswer>>20 + 1 {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		}, errTooLarge.Error()},
	} {
		t.Run(test.name, func(t *testing.T) {
			target, _ := serve(t, test.answer)
			err := NewCaller(nil).Call(t.Context(), target, message{}, &message{})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestHangs(t *testing.T) {
	release := make(chan struct{})
	target, _ := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := NewCaller(nil).Call(ctx, target, message{}, &message{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestUnknownAuthority(t *testing.T) {
	target, _ := serve(t, echo)
	for name, bundle := range map[string][]byte{"the machine's own": nil, "nonsense": []byte("x")} {
		target.CABundle = bundle
		err := NewCaller(nil).Call(t.Context(), target, message{}, &message{})
		var status apierrors.APIStatus
		if err == nil || errors.As(err, &status) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestValidate(t *testing.T) {
	at := field.NewPath("url")
	for text, want := range map[string]string{
		"https://example.com/a":   "",
		"http://example.com":      "'https' is the only allowed URL scheme; desired format: https://host[/path]",
		"https:///a":              "host must be specified; desired format: https://host[/path]",
		"https://u:p@example.com": "user information is not permitted in the URL",
		"https://example.com/?a":  "query parameters are not permitted in the URL",
		"https://example.com/#a":  "fragments are not permitted in the URL",
		"https://%":               "url must be a valid URL",
	} {
		wantErrors(t, text, ValidateURL(at, text), want)
	}
	for path, want := range map[string]string{
		"": "", "/": "", "/a/b.c": "", "/a/": "", "//": "segment[0] may not be empty", "a": "must start with a '/'",
		"/a//b": "segment[1] may not be empty", "/A": "segment[0]: a lowercase RFC 1123 subdomain",
	} {
		wantErrors(t, path, ValidateService(field.NewPath("service"), "n", "s", &path, 443), want)
	}
	wantErrors(t, "port 0", ValidateService(at, "n", "s", nil, 0), "port is not valid: must be between 1 and 65535, inclusive")
	wantErrors(t, "no name", ValidateService(at, "n", "", nil, 1), "url.name: Required value")
	wantErrors(t, "no namespace", ValidateService(at, "", "s", nil, 1), "url.namespace: Required value")
}

func wantErrors(t *testing.T, what string, errs field.ErrorList, want string) {
	t.Helper()
	if want == "" && len(errs) == 0 {
		return
	}
	if err := errs.ToAggregate(); want == "" || err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: got %v, want %q", what, err, want)
	}
}

func BenchmarkCall(b *testing.B) {
	target, _ := serve(b, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "{}")
	})
	c := NewCaller(nil)
	defer c.Close()
	for b.Loop() {
		if err := c.Call(b.Context(), target, message{}, &message{}); err != nil {
			b.Fatal(err)
		}
	}
}
