package filters

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit"
	auditpolicy "k8s.io/apiserver/pkg/audit/policy"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	clocktesting "k8s.io/utils/clock/testing"
)

// auditLog is a sink that keeps what tests compare of events. full makes it refuse them.
type auditLog struct {
	full  bool
	lines []string
}

func (l *auditLog) ProcessEvents(events ...*auditinternal.Event) bool {
	for _, e := range events {
		line := fmt.Sprintf("%s %s %s by %q", e.Stage, e.Verb, e.RequestURI, e.User.Username)
		if e.ResponseStatus != nil {
			line += fmt.Sprintf(": %d %s", e.ResponseStatus.Code, e.ResponseStatus.Message)
		}
		l.lines = append(l.lines, strings.TrimSpace(line))
	}
	return !l.full
}

func TestAudit(t *testing.T) {
	says := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
	}
	for _, test := range []struct {
		name, path string
		level      auditinternal.Level
		omit       []auditinternal.Stage
		handler    http.HandlerFunc
		want       []string
	}{
		{"a get", "/api/v1/pods", auditinternal.LevelMetadata, nil, says(404), []string{
			`RequestReceived list /api/v1/pods by "eve"`,
			`ResponseComplete list /api/v1/pods by "eve": 404`,
		}},
		{"an answer without a word", "/version", auditinternal.LevelMetadata, nil, func(http.ResponseWriter, *http.Request) {}, []string{
			`RequestReceived get /version by "eve"`,
			`ResponseComplete get /version by "eve": 200`,
		}},
		{"a watch", "/api/v1/pods?watch=1", auditinternal.LevelMetadata, nil, says(200), []string{
			`RequestReceived watch /api/v1/pods?watch=1 by "eve"`,
			`ResponseStarted watch /api/v1/pods?watch=1 by "eve": 200`,
			`ResponseComplete watch /api/v1/pods?watch=1 by "eve": 200`,
		}},
		{"stages left out", "/api/v1/pods?watch=1", auditinternal.LevelMetadata,
			[]auditinternal.Stage{auditinternal.StageRequestReceived, auditinternal.StageResponseStarted}, says(200), []string{
				`ResponseComplete watch /api/v1/pods?watch=1 by "eve": 200`,
			}},
		{"a panic", "/api/v1/pods", auditinternal.LevelMetadata, nil, func(http.ResponseWriter, *http.Request) { panic("oops") }, []string{
			`RequestReceived list /api/v1/pods by "eve"`,
			`Panic list /api/v1/pods by "eve": 500 the request's handler panicked: oops`,
		}},
		{"none", "/api/v1/pods", auditinternal.LevelNone, nil, says(200), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			log := new(auditLog)
			auditing := &Auditing{Policy: auditpolicy.NewFakePolicyRuleEvaluator(test.level, test.omit), Sink: log}
			func() {
				defer func() { _ = recover() }() // Recover, which is not a part of this chain, answers
				chain(test.path, func(next http.Handler) http.Handler { return asEve(Audit(next, testErrors(), auditing)) }, test.handler)
			}()
			if !slices.Equal(log.lines, test.want) {
				t.Errorf("recorded\n%s\nwant\n%s", strings.Join(log.lines, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

// asEve makes every request eve's.
func asEve(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(request.WithUser(r.Context(), &user.DefaultInfo{Name: "eve"})))
	})
}

// TestWhatIsNotRecordedIsNotDone holds that a full disk does not let requests pass unseen.
func TestWhatIsNotRecordedIsNotDone(t *testing.T) {
	auditing := &Auditing{Policy: auditpolicy.NewFakePolicyRuleEvaluator(auditinternal.LevelMetadata, nil), Sink: &auditLog{full: true}}
	w := chain("/api/v1/pods", func(next http.Handler) http.Handler { return Audit(next, testErrors(), auditing) },
		func(http.ResponseWriter, *http.Request) { t.Error("the request was handled") })
	if w.Code != http.StatusInternalServerError {
		t.Errorf("answered %d", w.Code)
	}
}

// TestAuditIsOffByDefault holds that nobody collects for an event that is not recorded.
func TestAuditIsOffByDefault(t *testing.T) {
	chain("/api/v1/pods", func(next http.Handler) http.Handler { return Audit(next, testErrors(), nil) }, func(_ http.ResponseWriter, r *http.Request) {
		if audit.AuditContextFrom(r.Context()).Enabled() {
			t.Error("the event is collected for")
		}
	})
}

func TestAuditID(t *testing.T) {
	for _, sent := range []string{"", "mine"} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/version", nil)
		if sent != "" {
			r.Header.Set(auditinternal.HeaderAuditID, sent)
		}
		var id string
		note := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			id = string(audit.AuditContextFrom(r.Context()).AuditID())
		})
		Context(note, testErrors(), clocktesting.NewFakePassiveClock(time.Unix(1, 0)), slog.New(slog.DiscardHandler)).ServeHTTP(w, r)
		if got := w.Header().Get(auditinternal.HeaderAuditID); got != id || got == "" || sent != "" && got != sent {
			t.Errorf("sent %q: answered %q, recorded %q", sent, got, id)
		}
	}
}
