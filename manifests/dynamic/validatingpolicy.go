package dynamic

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/cel-go/common/types"
	admissionv1 "k8s.io/api/admission/v1"
	arv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/warning"

	"skiff/manifests/expression"
)

const (
	// maxAuditValue is the most bytes of an annotation that a policy makes; maxFailures is how many
	// failures the audit log is told of for one request.
	maxAuditValue = 10 * 1024
	maxFailures   = 50
)

// validators are the compiled expressions of a ValidatingAdmissionPolicy.
type validators struct {
	err                            error // why there are none
	conditions                     matchconditions.Matcher
	validations, messages, audited cel.ConditionEvaluator
}

func compileValidators(p *arv1.ValidatingAdmissionPolicy) *validators {
	declared := cel.OptionalVariableDeclarations{HasParams: p.Spec.ParamKind != nil, HasAuthorizer: true}
	compiler, conditions, err := composed(p.Spec.Variables, p.Spec.MatchConditions, p.Spec.FailurePolicy, p.Name, declared)
	if err != nil {
		return &validators{err: err}
	}
	n := len(p.Spec.Validations)
	validations, messages := make([]cel.ExpressionAccessor, n), make([]cel.ExpressionAccessor, n)
	for i := range p.Spec.Validations {
		v := &p.Spec.Validations[i]
		validations[i] = (*expression.Validation)(v)
		if v.MessageExpression != "" {
			messages[i] = expression.Message(v.MessageExpression)
		}
	}
	audited := make([]cel.ExpressionAccessor, len(p.Spec.AuditAnnotations))
	for i := range p.Spec.AuditAnnotations {
		audited[i] = (*expression.AuditAnnotation)(&p.Spec.AuditAnnotations[i])
	}
	unauthorized := cel.OptionalVariableDeclarations{HasParams: declared.HasParams}
	return &validators{
		conditions:  conditions,
		validations: compiler.CompileCondition(validations, declared, environment.StoredExpressions),
		messages:    compiler.CompileCondition(messages, unauthorized, environment.StoredExpressions),
		audited:     compiler.CompileCondition(audited, declared, environment.StoredExpressions),
	}
}

type (
	validatingPolicy     = policy[*arv1.ValidatingAdmissionPolicy, *validators]
	validatingInvocation = invocation[*arv1.ValidatingAdmissionPolicy, *validators]
)

// failure is what the audit log is told of a validation that is not true.
type failure struct {
	Message           string                  `json:"message"`
	Policy            string                  `json:"policy"`
	Binding           string                  `json:"binding"`
	ExpressionIndex   int                     `json:"expressionIndex"`
	ValidationActions []arv1.ValidationAction `json:"validationActions"`
}

// outcome gathers what the policies have to say of a request.
type outcome struct {
	denied   []verdict
	failures []failure
	// annotations are by policy/key, each value once.
	annotations map[string][]string
}

// validateByPolicies evaluates all policies that the request concerns.
func (q *request) validateByPolicies(ctx context.Context) error {
	e := q.extension
	found, wrong := invocations(ctx, q, e.validatingPolicies.inForce(e.options.Reader, validatingBindings, e.openValidating))
	o := outcome{denied: wrong, annotations: map[string][]string{}}
	for _, i := range found {
		if err := q.namespaceKnown(); err != nil {
			return err
		}
		o.evaluate(ctx, q, i)
	}
	o.publish(ctx)
	if len(o.denied) == 0 {
		return nil
	}
	return q.refusal(o.denied[0])
}

func (e *Extension) openValidating(p *arv1.ValidatingAdmissionPolicy) *validatingPolicy {
	return &validatingPolicy{
		stored: p, evaluator: e.validatingPolicies.compile(p), match: newConstraints(p.Spec.MatchConstraints),
		params: p.Spec.ParamKind, failure: p.Spec.FailurePolicy,
	}
}

// namespaceKnown is an error for an object whose namespace is gone, which expressions could not name.
func (q *request) namespaceKnown() error {
	name := q.GetNamespace()
	if name == "" || q.namespace != nil || isNamespaces(q.kind) {
		return nil
	}
	return apierrors.NewNotFound(corev1.Resource("namespaces"), name)
}

// evaluate asks one policy.
func (o *outcome) evaluate(ctx context.Context, q *request, i validatingInvocation) {
	x, err := newEvaluation(q, i)
	if err == nil && i.policy.evaluator.err != nil {
		err = i.policy.evaluator.err
	}
	matches := false
	if err == nil {
		matches, err = q.conditions(ctx, i.policy.evaluator.conditions, i.target, i.param)
	}
	if err == nil && matches {
		err = o.validations(ctx, x)
	}
	if err == nil && matches {
		err = o.audited(ctx, x)
	}
	if err != nil && !i.policy.ignoresFailure() {
		o.deny(ctx, i, 0, "", err.Error())
	}
}

// evaluation is what expressions are evaluated on.
type evaluation struct {
	validatingInvocation
	versioned *admission.VersionedAttributes
	request   *admissionv1.AdmissionRequest
	namespace *corev1.Namespace
	param     runtime.Object
	authz     authorizer.UnconditionalAuthorizer
}

func newEvaluation(q *request, i validatingInvocation) (*evaluation, error) {
	v, err := q.versioned(i.target.kind)
	if err != nil {
		return nil, err
	}
	return &evaluation{
		validatingInvocation: i, versioned: v, namespace: cel.CreateNamespaceObject(q.namespace), param: i.param, authz: q.extension.options.Authorizer,
		request: cel.CreateAdmissionRequest(v.Attributes, metav1.GroupVersionResource(i.target.resource), metav1.GroupVersionKind(i.target.kind)),
	}, nil
}

// run evaluates expressions within a budget, and returns what is left of it.
func (x *evaluation) run(ctx context.Context, e cel.ConditionEvaluator, budget int64) ([]cel.EvaluationResult, int64, error) {
	return e.ForInput(ctx, x.versioned, x.request, cel.OptionalVariableBindings{VersionedParams: x.param, Authorizer: x.authz}, x.namespace, budget)
}

// validations evaluates the policy's validations, and the messages of those that are not true.
func (o *outcome) validations(ctx context.Context, x *evaluation) error {
	compiled := x.policy.evaluator
	results, left, err := x.run(ctx, compiled.validations, celconfig.RuntimeCELCostBudget)
	if err != nil {
		return err
	}
	messages, _, costly := x.run(ctx, compiled.messages, left)
	for n, result := range results {
		v := &x.policy.stored.Spec.Validations[n]
		var broken string
		switch {
		case result.Error != nil:
			broken = result.Error.Error()
		case errors.Is(costly, apiservercel.ErrInternal) || errors.Is(costly, apiservercel.ErrOutOfBudget):
			broken = fmt.Sprintf("failed messageExpression: %s", costly)
		case result.EvalResult != types.True:
			o.deny(ctx, x.validatingInvocation, n, reasonOf(v), message(v, messages, n))
			continue
		default:
			continue
		}
		if !x.policy.ignoresFailure() {
			o.deny(ctx, x.validatingInvocation, n, "", broken)
		}
	}
	return nil
}

func reasonOf(v *arv1.Validation) metav1.StatusReason {
	if v.Reason == nil {
		return metav1.StatusReasonInvalid
	}
	return *v.Reason
}

// message is what a validation that is not true says: the value of its message expression, if that is a
// line of text that is not too long, or its message, or itself.
func message(v *arv1.Validation, results []cel.EvaluationResult, n int) string {
	if n < len(results) && results[n].Error == nil && results[n].EvalResult != nil {
		if text, ok := results[n].EvalResult.Value().(string); ok {
			text = strings.TrimSpace(text)
			if text != "" && len(text) <= celconfig.MaxEvaluatedMessageExpressionSizeBytes && !strings.Contains(text, "\n") {
				return text
			}
		}
	}
	if text := strings.TrimSpace(v.Message); text != "" {
		return text
	}
	return "failed expression: " + strings.TrimSpace(v.Expression)
}

// deny does what the binding wants done.
func (o *outcome) deny(ctx context.Context, i validatingInvocation, n int, reason metav1.StatusReason, text string) {
	name := i.policy.stored.Name
	if slices.Contains(i.binding.actions, arv1.Deny) {
		o.denied = append(o.denied, verdict{name, i.binding.name, reason, text})
	}
	if slices.Contains(i.binding.actions, arv1.Audit) {
		o.failures = append(o.failures, failure{text, name, i.binding.name, n, i.binding.actions})
	}
	if slices.Contains(i.binding.actions, arv1.Warn) {
		warning.AddWarning(ctx, "", fmt.Sprintf("Validation failed for ValidatingAdmissionPolicy '%s' with binding '%s': %s", name, i.binding.name, text))
	}
}

// audited evaluates the policy's audit annotations. An error refuses the request, whatever the binding
// wants done, unless the policy ignores failures.
func (o *outcome) audited(ctx context.Context, x *evaluation) error {
	results, _, err := x.run(ctx, x.policy.evaluator.audited, celconfig.RuntimeCELCostBudget)
	if err != nil {
		return err
	}
	for n, result := range results {
		a := &x.policy.stored.Spec.AuditAnnotations[n]
		text, err := annotation(a, result)
		if err != nil && (result.Error == nil || !x.policy.ignoresFailure()) {
			o.denied = append(o.denied, verdict{policy: x.policy.stored.Name, binding: x.binding.name, message: err.Error()})
		}
		key := x.policy.stored.Name + "/" + a.Key
		if text != "" && !slices.Contains(o.annotations[key], text) {
			o.annotations[key] = append(o.annotations[key], text)
		}
	}
	return nil
}

// annotation is an annotation's value, "" for none.
func annotation(a *arv1.AuditAnnotation, r cel.EvaluationResult) (string, error) {
	if r.Error != nil {
		return "", r.Error
	}
	switch r.EvalResult.Type() {
	case types.StringType:
		text := strings.TrimSpace(r.EvalResult.Value().(string))
		return text[:min(len(text), maxAuditValue)], nil
	case types.NullType:
		return "", nil
	}
	return "", fmt.Errorf("valueExpression '%v' resulted in unsupported return type: %v. Return type must be either string or null.", a.ValueExpression, r.EvalResult.Type())
}

func (o *outcome) publish(ctx context.Context) {
	for key, values := range o.annotations {
		audit.AddAuditAnnotation(ctx, key, strings.Join(values, ", "))
	}
	if len(o.failures) > 0 {
		note(ctx, "validation.policy.admission.k8s.io/validation_failure", o.failures[:min(len(o.failures), maxFailures)])
	}
}

// refusal is the error of a request that a ValidatingAdmissionPolicy refuses.
func (q *request) refusal(v verdict) error {
	text := fmt.Sprintf("ValidatingAdmissionPolicy '%s' denied request: %s", v.policy, v.message)
	if v.binding != "" {
		text = fmt.Sprintf("ValidatingAdmissionPolicy '%s' with binding '%s' denied request: %s", v.policy, v.binding, v.message)
	}
	var err *apierrors.StatusError
	if !errors.As(admission.NewForbidden(q.Attributes, errors.New(text)), &err) {
		return apierrors.NewInternalError(errors.New(text))
	}
	err.ErrStatus.Reason, err.ErrStatus.Code = metav1.StatusReasonInvalid, http.StatusUnprocessableEntity
	if v.reason != "" {
		err.ErrStatus.Reason = v.reason
	}
	switch v.reason {
	case metav1.StatusReasonForbidden:
		err.ErrStatus.Code = http.StatusForbidden
	case metav1.StatusReasonUnauthorized:
		err.ErrStatus.Code = http.StatusUnauthorized
	case metav1.StatusReasonRequestEntityTooLarge:
		err.ErrStatus.Code = http.StatusRequestEntityTooLarge
	}
	err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{Message: text})
	return err
}
