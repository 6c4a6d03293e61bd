package filters

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/warning"
	clocktesting "k8s.io/utils/clock/testing"
)

func testErrors() Errors {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, metav1.Unversioned)
	return Errors{Codecs: serializer.NewCodecFactory(scheme)}
}

// chain serves one request through Context and around, which is nil for nothing.
func chain(path string, around func(http.Handler) http.Handler, h http.HandlerFunc) *httptest.ResponseRecorder {
	var handler http.Handler = h
	if around != nil {
		handler = around(handler)
	}
	handler = Context(handler, testErrors(), clocktesting.NewFakePassiveClock(time.Unix(1, 0)), slog.New(slog.DiscardHandler))
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

func TestContext(t *testing.T) {
	chain("/api/v1/namespaces/x/pods/p/log", nil, func(w http.ResponseWriter, r *http.Request) {
		info, ok := request.RequestInfoFrom(r.Context())
		if !ok || info.Resource+" "+info.Subresource+" "+info.Namespace+" "+info.Name != "pods log x p" {
			t.Errorf("request is %+v", info)
		}
		if at, ok := request.ReceivedTimestampFrom(r.Context()); !ok || !at.Equal(time.Unix(1, 0)) {
			t.Errorf("came at %v", at)
		}
		if got := w.Header().Get("Cache-Control"); got != "no-cache, private" {
			t.Errorf("cache control %q", got)
		}
	})
}

func TestLongRunning(t *testing.T) {
	for path, want := range map[string]bool{
		"/api/v1/pods":                                  false,
		"/api/v1/pods?watch=true":                       true,
		"/api/v1/pods?watch=0":                          false,
		"/api/v1/watch/pods":                            true,
		"/api/v1/namespaces/x/pods/p/log":               true,
		"/api/v1/namespaces/x/pods/p/exec":              true,
		"/api/v1/namespaces/x/pods/p/attach":            true,
		"/api/v1/namespaces/x/pods/p/portforward":       true,
		"/api/v1/namespaces/x/pods/p/status":            false,
		"/healthz":                                      false,
		"/apis/apps/v1/namespaces/x/replicasets?watch=": true,
	} {
		chain(path, nil, func(_ http.ResponseWriter, r *http.Request) {
			info, _ := request.RequestInfoFrom(r.Context())
			if got := LongRunning(info); got != want {
				t.Errorf("%s: %v, want %v", path, got, want)
			}
		})
	}
}

func TestDeadline(t *testing.T) {
	for path, want := range map[string]string{
		"/api/v1/pods":                               "1m",
		"/api/v1/pods?timeout=5s":                    "5s",
		"/api/v1/pods?timeout=0s":                    "1m",
		"/api/v1/pods?timeout=2h":                    "1m",
		"/api/v1/pods?timeoutSeconds=5":              "1m",
		"/api/v1/pods?watch=true":                    "none",
		"/api/v1/pods?watch=true&timeout=5s":         "none",
		"/api/v1/namespaces/x/pods/p/exec?timeout=x": "none",
	} {
		around := func(h http.Handler) http.Handler { return Deadline(h, testErrors(), time.Minute) }
		w := chain(path, around, func(_ http.ResponseWriter, r *http.Request) {
			deadline, ok := r.Context().Deadline()
			if !ok {
				if want != "none" {
					t.Errorf("%s has no deadline", path)
				}
				return
			}
			limit, err := time.ParseDuration(want)
			if left := time.Until(deadline); err != nil || left > limit || left < limit/2 {
				t.Errorf("%s: %v left, want %s", path, left, want)
			}
		})
		if w.Code != http.StatusOK {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	w := chain("/api/v1/pods?timeout=x", func(h http.Handler) http.Handler { return Deadline(h, testErrors(), time.Minute) }, func(http.ResponseWriter, *http.Request) {
		t.Error("passed with a bad timeout")
	})
	if w.Code != http.StatusBadRequest {
		t.Errorf("bad timeout: %d", w.Code)
	}
}

func TestRecover(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	serve := func(h http.HandlerFunc) (w *httptest.ResponseRecorder, aborted any) {
		log.Reset()
		defer func() { aborted = recover() }()
		w = httptest.NewRecorder()
		Recover(h, testErrors(), logger).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/x", nil))
		return w, nil
	}
	w, aborted := serve(func(http.ResponseWriter, *http.Request) { panic("a bug") })
	if w.Code != 500 || aborted != nil || !strings.Contains(w.Body.String(), `"reason":"InternalError"`) {
		t.Errorf("%d %s, aborted with %v", w.Code, w.Body, aborted)
	}
	if !strings.Contains(log.String(), `panic="a bug"`) || !strings.Contains(log.String(), "filters_test.go") {
		t.Errorf("logged %s", log.String())
	}
	if _, aborted = serve(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "half"); panic("a bug") }); aborted != http.ErrAbortHandler {
		t.Errorf("with half an answer out: %v", aborted)
	}
	if _, aborted = serve(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }); aborted != http.ErrAbortHandler || log.Len() > 0 {
		t.Errorf("an abort: %v, logged %s", aborted, log.String())
	}
}

func TestWarnings(t *testing.T) {
	warned := func(texts ...string) []string {
		return chain("/", nil, func(_ http.ResponseWriter, r *http.Request) {
			for _, text := range texts {
				warning.AddWarning(r.Context(), "", text)
			}
		}).Header().Values("Warning")
	}
	if got := fmt.Sprint(warned("one", "two", "one", "")); got != `[299 - "one" 299 - "two"]` {
		t.Error(got)
	}
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprintf("%d %s", i, strings.Repeat("x", 100)))
	}
	got := warned(many...)
	if n := len(strings.Join(got, "")); n > 2*maxWarnings || n < maxWarnings/2 {
		t.Errorf("%d bytes of warnings", n)
	}
	if last := got[len(got)-1]; last != `299 - "there are more warnings than fit into an answer"` {
		t.Error(last)
	}
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	m, err := NewMetrics(reg, clocktesting.NewFakePassiveClock(time.Unix(1, 0)))
	if err != nil {
		t.Fatal(err)
	}
	observe := func(resource string) func(http.Handler) http.Handler {
		return func(h http.Handler) http.Handler { return m.Observe(resource, h) }
	}
	chain("/api/v1/pods", observe("pods"), func(http.ResponseWriter, *http.Request) {})
	chain("/api/v1/pods?watch=1", observe("pods"), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(410) })
	chain("/x", observe(""), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) })
	func() {
		defer func() { recover() }()
		chain("/api/v1/pods", observe("pods"), func(http.ResponseWriter, *http.Request) { panic("a bug") })
	}()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(&text, family); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{
		`skiff_api_requests_total{code="200",resource="pods",verb="list"} 1`,
		`skiff_api_requests_total{code="404",resource="",verb="get"} 1`,
		`skiff_api_requests_total{code="410",resource="pods",verb="watch"} 1`,
		`skiff_api_requests_total{code="500",resource="pods",verb="list"} 1`,
		`skiff_api_requests_in_flight{long_running="false"} 0`,
		`skiff_api_requests_in_flight{long_running="true"} 0`,
		`skiff_api_request_duration_seconds_count{resource="pods",verb="list"} 2`,
	} {
		if !strings.Contains(text.String(), want+"\n") {
			t.Errorf("no %s in\n%s", want, text.String())
		}
	}
	if strings.Contains(text.String(), `duration_seconds_count{resource="pods",verb="watch"}`) {
		t.Error("a watch counts as a slow request")
	}
	if _, err := NewMetrics(reg, clocktesting.NewFakePassiveClock(time.Unix(1, 0))); err == nil {
		t.Error("registered twice")
	}
}

func TestRecorder(t *testing.T) {
	rec := Record(httptest.NewRecorder())
	if Record(rec) != rec {
		t.Error("a recorder was wrapped")
	}
	if rec.Status() != 0 {
		t.Error("a status before the answer")
	}
	if _, _, err := rec.Hijack(); !errors.Is(err, http.ErrNotSupported) || rec.Status() != 0 {
		t.Errorf("taking over what can not be: %v, status %d", err, rec.Status())
	}
	rec.Flush()
	rec.WriteHeader(201)
	rec.WriteHeader(500)
	if rec.Status() != 201 {
		t.Errorf("status %d", rec.Status())
	}
	if http.NewResponseController(rec).Flush() != nil {
		t.Error("a controller does not reach the connection")
	}
}
