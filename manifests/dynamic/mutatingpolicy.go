package dynamic

import (
	"context"
	"errors"
	"fmt"

	arv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

// mutators are the compiled expressions of a MutatingAdmissionPolicy.
type mutators struct {
	err        error // why there are none
	conditions matchconditions.Matcher
	compiler   *cel.CompositedCompiler
	patchers   []patch.Patcher
}

func compileMutators(p *arv1.MutatingAdmissionPolicy) *mutators {
	declared := cel.OptionalVariableDeclarations{HasParams: p.Spec.ParamKind != nil, HasAuthorizer: true}
	compiler, conditions, err := composed(p.Spec.Variables, p.Spec.MatchConditions, p.Spec.FailurePolicy, p.Name, declared)
	if err != nil {
		return &mutators{err: err}
	}
	declared.HasPatchTypes = true
	m := &mutators{conditions: conditions, compiler: compiler}
	for _, mutation := range p.Spec.Mutations {
		switch {
		case mutation.JSONPatch != nil:
			x := &patch.JSONPatchCondition{Expression: mutation.JSONPatch.Expression}
			m.patchers = append(m.patchers, patch.NewJSONPatcher(compiler.CompileMutatingEvaluator(x, declared, environment.StoredExpressions)))
		case mutation.ApplyConfiguration != nil:
			x := &patch.ApplyConfigurationCondition{Expression: mutation.ApplyConfiguration.Expression}
			m.patchers = append(m.patchers, patch.NewApplyConfigurationPatcher(compiler.CompileMutatingEvaluator(x, declared, environment.StoredExpressions)))
		}
	}
	return m
}

type (
	mutatingPolicy     = policy[*arv1.MutatingAdmissionPolicy, *mutators]
	mutatingInvocation = invocation[*arv1.MutatingAdmissionPolicy, *mutators]
)

func (e *Extension) openMutating(p *arv1.MutatingAdmissionPolicy) *mutatingPolicy {
	return &mutatingPolicy{
		stored: p, evaluator: e.mutatingPolicies.compile(p), match: newConstraints(p.Spec.MatchConstraints),
		params: p.Spec.ParamKind, failure: p.Spec.FailurePolicy,
	}
}

// mutateByPolicies has all policies that the request concerns change the object, one after the other.
func (m *mutation) mutateByPolicies(ctx context.Context) (bool, error) {
	q, e := m.request, m.extension
	found, wrong := invocations(ctx, q, e.mutatingPolicies.inForce(e.options.Reader, mutatingBindings, e.openMutating))
	any := false
	for _, i := range found {
		if err := q.namespaceKnown(); err != nil {
			return false, err
		}
		matches, err := q.conditions(ctx, i.policy.evaluator.conditions, i.target, i.param)
		if err == nil {
			err = i.policy.evaluator.err
		}
		if err != nil {
			wrong = append(wrong, i.failed(err)...)
			continue
		}
		if !matches || !m.policyRounds.may(m.round, i.key()) {
			continue
		}
		changed, failed, err := q.mutateByPolicy(ctx, i)
		if err != nil {
			return false, err
		}
		wrong = append(wrong, failed...)
		if changed {
			any = true
			m.policyRounds.changed()
		}
		if i.policy.stored.Spec.ReinvocationPolicy == arv1.IfNeededReinvocationPolicy {
			m.policyRounds.ran(i.key())
		}
	}
	if len(wrong) > 0 {
		return false, q.denial(wrong)
	}
	return any, nil
}

// mutateByPolicy makes the mutations of one policy, in order. One that fails is left out.
func (q *request) mutateByPolicy(ctx context.Context, i mutatingInvocation) (changed bool, failed []verdict, err error) {
	ctx = i.policy.evaluator.compiler.CreateContext(ctx)
	for _, p := range i.policy.evaluator.patchers {
		v, err := q.versioned(i.target.kind)
		if err != nil {
			return false, nil, err
		}
		before := v.VersionedObject.Object()
		if before == nil {
			return false, nil, nil
		}
		made, err := q.mutated(ctx, p, v, i)
		var status *apierrors.StatusError
		if errors.As(err, &status) {
			return false, nil, status
		}
		if err != nil {
			failed = append(failed, i.failed(err)...)
			continue
		}
		if equality.Semantic.DeepEqual(before, made) {
			continue
		}
		changed = true
		if err := q.replace(made, i.target.kind); err != nil {
			return false, nil, apierrors.NewInternalError(fmt.Errorf("failed to convert object: %w", err))
		}
	}
	return changed, failed, nil
}

// mutated is the object with one mutation, defaulted.
func (q *request) mutated(ctx context.Context, p patch.Patcher, v *admission.VersionedAttributes, i mutatingInvocation) (runtime.Object, error) {
	types := q.types()
	if types == nil {
		return nil, apierrors.NewServiceUnavailable(fmt.Sprintf("Resource kind %s not found. There can be a delay between when CustomResourceDefinitions are created and when they are available.", i.target.kind))
	}
	made, err := p.Patch(ctx, patch.Request{
		MatchedResource: i.target.resource, VersionedAttributes: v, ObjectInterfaces: q.interfaces, Namespace: q.namespace, TypeConverter: types,
		OptionalVariables: cel.OptionalVariableBindings{VersionedParams: i.param, Authorizer: q.extension.options.Authorizer},
	}, celconfig.RuntimeCELCostBudget)
	if err != nil {
		return nil, err
	}
	if made, err = q.sameType(made, v.VersionedObject.Object()); err != nil {
		return nil, err
	}
	q.interfaces.GetObjectDefaulter().Default(made)
	return made, nil
}

func (q *request) types() managedfields.TypeConverter {
	if q.custom != nil {
		return q.custom.Types
	}
	return q.extension.options.Types
}

// sameType turns what a patch has made without its type into the type that the object has.
func (q *request) sameType(made, like runtime.Object) (runtime.Object, error) {
	u, ok := made.(*unstructured.Unstructured)
	if _, custom := like.(*unstructured.Unstructured); !ok || custom {
		return made, nil
	}
	out, err := q.interfaces.GetObjectCreater().New(like.GetObjectKind().GroupVersionKind())
	if err != nil {
		return nil, err
	}
	return out, runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, out)
}

// denial is the error of a request that MutatingAdmissionPolicies refuse.
func (q *request) denial(all []verdict) error {
	var err *apierrors.StatusError
	refused := errors.New("admission request denied by policy")
	if !errors.As(admission.NewForbidden(q.Attributes, refused), &err) {
		return apierrors.NewInternalError(refused)
	}
	for n, v := range all {
		text := fmt.Sprintf("policy %q denied request: %s", v.policy, v.message)
		if v.binding != "" {
			text = fmt.Sprintf("policy '%s' with binding '%s' denied request: %s", v.policy, v.binding, v.message)
		}
		if n == 0 {
			err.ErrStatus.Message = text
			if v.reason != "" {
				err.ErrStatus.Reason = v.reason
			}
		}
		err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{Message: text})
	}
	return err
}
