package filters

import (
	"errors"
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// Auditing says how much of which requests is recorded, and where.
type Auditing struct {
	Policy audit.PolicyRuleEvaluator
	Sink   audit.Sink
}

// Audit records requests in the stages that Kubernetes knows: RequestReceived, ResponseStarted for
// what goes on, ResponseComplete, Panic. A request that can not be recorded is not answered. Without
// auditing, whoever adds to a request's audit event later is told that nobody reads it. See
// https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/
func Audit(next http.Handler, errs Errors, auditing *Auditing) http.Handler {
	if auditing == nil {
		auditing = &Auditing{Policy: unaudited{}}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		event, long, err := auditing.begin(r)
		if err != nil {
			errs.Write(w, r, apierrors.NewInternalError(err))
			return
		}
		if !event.Enabled() {
			next.ServeHTTP(w, r)
			return
		}
		ctx := r.Context()
		if !event.ProcessEventStage(ctx, auditinternal.StageRequestReceived) {
			errs.Write(w, r, apierrors.NewInternalError(errors.New("the audit log can not be written; the daemon's log says why")))
			return
		}
		answer := &Recorder{ResponseWriter: w, begun: func(status int) {
			event.SetEventResponseStatusCode(int32(status))
			if long {
				event.ProcessEventStage(ctx, auditinternal.StageResponseStarted)
			}
		}}
		defer func() {
			if p := recover(); p != nil {
				event.SetEventResponseStatus(&metav1.Status{
					Code: http.StatusInternalServerError, Status: metav1.StatusFailure, Reason: metav1.StatusReasonInternalError,
					Message: fmt.Sprintf("the request's handler panicked: %v", p),
				})
				event.ProcessEventStage(ctx, auditinternal.StagePanic)
				panic(p)
			}
			if answer.Status() == 0 { // nothing was written, and net/http writes this now
				answer.begin(http.StatusOK)
			}
			event.ProcessEventStage(ctx, auditinternal.StageResponseComplete)
		}()
		next.ServeHTTP(answer, r)
	})
}

// begin decides how much of a request is recorded, and begins its event. long says that the request
// goes on until one side ends it.
func (a *Auditing) begin(r *http.Request) (event *audit.AuditContext, long bool, err error) {
	ctx := r.Context()
	info, ok := request.RequestInfoFrom(ctx)
	event = audit.AuditContextFrom(ctx)
	if !ok || event == nil {
		return nil, false, errors.New("a request without a meaning")
	}
	who, _ := request.UserFrom(ctx) // nobody, when the request is refused for that
	asked := attributesOf(who, info)
	config := a.Policy.EvaluatePolicyRule(asked)
	if err := event.Init(config, a.Sink); err != nil {
		return nil, false, fmt.Errorf("beginning an audit event: %w", err)
	}
	if received, ok := request.ReceivedTimestampFrom(ctx); ok && event.Enabled() {
		audit.LogRequestMetadata(ctx, r, received, asked)
	}
	return event, LongRunning(info), nil
}

// unaudited is the policy of an API without an audit log.
type unaudited struct{}

func (unaudited) EvaluatePolicyRule(authorizer.Attributes) audit.RequestAuditConfig {
	return audit.RequestAuditConfig{Level: auditinternal.LevelNone}
}

// decided notes on a request's audit event what the authorizer said of it.
func decided(r *http.Request, decision, reason string) {
	audit.AddAuditAnnotations(r.Context(), "authorization.k8s.io/decision", decision, "authorization.k8s.io/reason", reason)
}
