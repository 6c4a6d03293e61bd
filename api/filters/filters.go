// Package filters wraps the API's handlers with what every request needs: recovery from panics, the
// request's meaning and caller in its context, a deadline, warnings in the answer, and measurement.
// They do what the filters of k8s.io/apiserver/pkg/{endpoints,server}/filters do for
// kube-apiserver; those would bring all of GenericAPIServer along.
package filters

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/uuid"
	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// Errors answers with API status errors in the encoding the client accepts.
type Errors struct{ Codecs runtime.NegotiatedSerializer }

// Write answers r with err.
func (e Errors) Write(w http.ResponseWriter, r *http.Request, err error) {
	gv := schema.GroupVersion{Version: "v1"}
	if info, ok := request.RequestInfoFrom(r.Context()); ok && info.APIVersion != "" {
		gv = schema.GroupVersion{Group: info.APIGroup, Version: info.APIVersion}
	}
	responsewriters.ErrorNegotiated(err, e.Codecs, gv, w, r)
}

// Recover answers a request whose handler panics with an internal error, and logs the panic. When
// part of an answer is out already, it breaks the connection off instead, so that the client does
// not take the part for the whole.
func Recover(next http.Handler, errs Errors, logger *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := Record(w)
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			aborted := p == http.ErrAbortHandler //nolint:errorlint // what was panicked with is compared, as net/http does
			if !aborted {
				logger.Error("a request's handler panicked", "method", r.Method, "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
			}
			if aborted || rec.Status() != 0 {
				panic(http.ErrAbortHandler)
			}
			errs.Write(w, r, apierrors.NewInternalError(fmt.Errorf("this request made the API server panic; its log has the details")))
		}()
		next.ServeHTTP(rec, r)
	})
}

// Context puts into a request's context what upstream's handlers look for there: what is asked for,
// when it came, an audit event (they write to it without looking), a logger, and a recorder of
// warnings.
func Context(next http.Handler, errs Errors, clk clock.PassiveClock, logger *slog.Logger) http.Handler {
	resolver := &request.RequestInfoFactory{
		APIPrefixes:          sets.NewString("api", "apis"),
		GrouplessAPIPrefixes: sets.NewString("api"),
	}
	klogger := logr.FromSlogHandler(logger.Handler())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, err := resolver.NewRequestInfo(r)
		if err != nil {
			errs.Write(w, r, apierrors.NewBadRequest(err.Error()))
			return
		}
		w.Header().Set("Cache-Control", "no-cache, private")
		ctx := request.WithReceivedTimestamp(r.Context(), clk.Now())
		ctx = request.WithRequestInfo(ctx, info)
		ctx = withAudit(ctx, w.Header(), r.Header.Get(auditinternal.HeaderAuditID))
		ctx = klog.NewContext(ctx, klogger)
		ctx = warning.WithWarningRecorder(ctx, &warnings{header: w.Header()})
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// withAudit begins the audit event of a request, whose identifier is the client's or a new one and is
// told in the answer.
func withAudit(ctx context.Context, answer http.Header, id string) context.Context {
	if id == "" {
		id = string(uuid.NewUUID())
	}
	answer.Set(auditinternal.HeaderAuditID, id)
	ctx = audit.WithAuditContext(ctx)
	audit.WithAuditID(ctx, types.UID(id))
	return ctx
}

// LongRunning reports whether a request goes on until one side ends it: a watch, a log, a stream,
// or what a pod makes of it.
func LongRunning(info *request.RequestInfo) bool {
	if info.Verb == "watch" {
		return true
	}
	switch info.Subresource {
	case "log", "exec", "attach", "portforward", "proxy", "files":
		return info.IsResourceRequest
	}
	return false
}

// Deadline ends the context of a request that is not long-running after the time that its timeout
// parameter names, or after max when that is shorter or names none.
func Deadline(next http.Handler, errs Errors, max time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if info, ok := request.RequestInfoFrom(r.Context()); ok && LongRunning(info) {
			next.ServeHTTP(w, r)
			return
		}
		timeout, err := requestedTimeout(r.URL)
		if err != nil {
			errs.Write(w, r, apierrors.NewBadRequest("invalid timeout specified in the request URL - "+err.Error()))
			return
		}
		if timeout <= 0 || timeout > max {
			timeout = max
		}
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// requestedTimeout is the timeout parameter, 0 without one.
func requestedTimeout(u *url.URL) (time.Duration, error) {
	if !strings.Contains(u.RawQuery, "timeout=") { // timeoutSeconds, which lists have, is another
		return 0, nil
	}
	value := u.Query().Get("timeout")
	if value == "" {
		return 0, nil
	}
	return time.ParseDuration(value)
}
