package dynamic

import (
	"context"
	"errors"
	"fmt"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/audit"
)

// call is one webhook that is to see the request.
type call struct {
	hook      *hook
	versioned *admission.VersionedAttributes
	target    target
}

// validateByHooks asks all webhooks that the request concerns, at the same time. The first, in their
// order, that refuses has its say.
func (q *request) validateByHooks(ctx context.Context) error {
	var calls []call
	for _, h := range q.extension.validating.all(q.extension.options.Reader) {
		t, ok, err := q.concerns(ctx, h)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		v, err := q.versioned(t.kind)
		if err != nil {
			return err
		}
		calls = append(calls, call{h, v, t})
	}
	if len(calls) == 0 {
		return nil
	}
	if ctx.Err() != nil {
		return errTimeout
	}
	refusals := make([]error, len(calls))
	var asked sync.WaitGroup
	for i, c := range calls {
		asked.Go(func() {
			_, err := q.ask(ctx, c.hook, c.versioned, c.target, false)
			refusals[i] = q.failed(ctx, c.hook, err, fmt.Sprintf("failed-open.validating.webhook.admission.k8s.io/round_0_index_%d", i))
		})
	}
	asked.Wait()
	for _, err := range refusals {
		if err != nil {
			return err
		}
	}
	return nil
}

var errTimeout = apierrors.NewTimeoutError("request did not complete within requested timeout", 0)

// failed is what a webhook's error means for the request: nothing, if it is that of a webhook whose
// failures are to be ignored, which the audit log and skiff's own learn.
func (q *request) failed(ctx context.Context, h *hook, err error, annotation string) error {
	var call *callError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &call):
		return asStatus(err)
	case !h.ignoresFailure():
		return apierrors.NewInternalError(err)
	case ctx.Err() != nil:
		return errTimeout
	}
	audit.AddAuditAnnotation(ctx, annotation, h.Name)
	q.extension.options.Logger.Warn("a webhook failed; its failures are ignored", "webhook", h.Name, "error", err)
	return nil
}
