package dynamic

import (
	"context"
	"fmt"
	"sync"
	"time"

	arv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/cel/environment"

	"skiff/manifests"
	"skiff/manifests/expression"
	"skiff/manifests/webhook"
	"skiff/store"
)

// defaultTimeout is for a webhook that names none, which defaulting leaves none of.
const defaultTimeout = 10 * time.Second

// hook is one webhook, ready to be matched and called.
type hook struct {
	arv1.MutatingWebhook
	configuration string
	// key tells it from all others, also from those of the same name.
	key       string
	kind      string // as upstream's metrics call it
	target    webhook.Target
	rules     []arv1.NamedRuleWithOperations
	selectors selectors
	// conditions is compiled at the first request that all else matches.
	conditions func() matchconditions.Matcher
}

// configurations are the webhooks of one kind of configuration.
type configurations struct {
	resource string
	hooks    func(store.Object) []*hook
	cache    cache[[]*hook]
}

// all are the webhooks, by configuration's name and then as they are listed.
func (c *configurations) all(r Reader) []*hook {
	var out []*hook
	for _, hooks := range c.cache.all(r.Snapshot(c.resource), c.hooks) {
		out = append(out, hooks...)
	}
	return out
}

func mutatingHooks(o store.Object) []*hook {
	return newHooks(o, "admit", o.(*arv1.MutatingWebhookConfiguration).Webhooks)
}

func validatingHooks(o store.Object) []*hook {
	return newHooks(o, "validating", manifests.MutatingHooks(o.(*arv1.ValidatingWebhookConfiguration).Webhooks))
}

func newHooks(o store.Object, kind string, all []arv1.MutatingWebhook) []*hook {
	out := make([]*hook, len(all))
	for i, h := range all {
		made := &hook{
			MutatingWebhook: h, configuration: o.GetName(), key: fmt.Sprintf("%s/%s/%d", o.GetName(), h.Name, i), kind: kind,
			target: webhook.TargetOf(h.ClientConfig), rules: named(h.Rules), selectors: newSelectors(h.NamespaceSelector, h.ObjectSelector),
		}
		made.conditions = sync.OnceValue(made.compile)
		out[i] = made
	}
	return out
}

// compile makes a matcher of the match conditions.
func (h *hook) compile() matchconditions.Matcher {
	evaluator := expression.Conditions().CompileCondition(conditionsOf(h.MatchConditions),
		cel.OptionalVariableDeclarations{HasAuthorizer: true}, environment.StoredExpressions)
	return matchconditions.NewMatcher(evaluator, h.FailurePolicy, "webhook", h.kind, h.Name)
}

func conditionsOf(all []arv1.MatchCondition) []cel.ExpressionAccessor {
	out := make([]cel.ExpressionAccessor, len(all))
	for i := range all {
		out[i] = (*matchconditions.MatchCondition)(&all[i])
	}
	return out
}

func (h *hook) timeout() time.Duration {
	if h.TimeoutSeconds == nil {
		return defaultTimeout
	}
	return time.Duration(*h.TimeoutSeconds) * time.Second
}

func (h *hook) ignoresFailure() bool {
	return h.FailurePolicy != nil && *h.FailurePolicy == arv1.Ignore
}

// concerns finds in which version a webhook wants to see the request, if it does.
func (q *request) concerns(ctx context.Context, h *hook) (target, bool, error) {
	selected, unknown := q.selected(h.selectors)
	if !selected {
		return target{}, false, nil
	}
	t, ok := q.ruled(h.rules, h.MatchPolicy)
	if !ok || unknown != nil {
		return target{}, false, asStatus(unknown)
	}
	if len(h.MatchConditions) == 0 {
		return t, true, nil
	}
	v, err := q.versioned(t.kind)
	if err != nil {
		return target{}, false, err
	}
	result := h.conditions().Match(ctx, v, nil, q.extension.options.Authorizer)
	if result.Error != nil {
		return target{}, false, apierrors.NewForbidden(q.GetResource().GroupResource(), q.GetName(), result.Error)
	}
	return t, result.Matches, nil
}

// asStatus leaves API errors and nil as they are.
func asStatus(err error) error {
	if _, ok := err.(apierrors.APIStatus); ok || err == nil { //nolint:errorlint // a wrapped one would lose its context
		return err
	}
	return apierrors.NewInternalError(err)
}
