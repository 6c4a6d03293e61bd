package dynamic

import (
	"context"
	"errors"
	"fmt"

	arv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/cel/environment"

	"skiff/manifests/expression"
	"skiff/store"
)

var (
	mutatingBindings   = resourceOf("mutatingadmissionpolicybindings")
	validatingBindings = resourceOf("validatingadmissionpolicybindings")
)

// policies are those of one kind. P is the stored type, E what its expressions are compiled to.
type policies[P store.Object, E any] struct {
	resource string
	compile  func(P) E
	compiled cache[*policy[P, E]]
	bound    cache[*binding]
}

func newPolicies[P store.Object, E any](resource string, compile func(P) E) policies[P, E] {
	return policies[P, E]{resource: resourceOf(resource), compile: compile}
}

// policy is a policy, ready to be matched and evaluated.
type policy[P store.Object, E any] struct {
	stored    P
	evaluator E
	match     constraints
	params    *arv1.ParamKind
	failure   *arv1.FailurePolicyType
	bindings  []*binding
}

// binding puts a policy into force.
type binding struct {
	name, policy string
	params       *arv1.ParamRef
	match        *constraints // nil: whatever the policy matches
	actions      []arv1.ValidationAction
}

// constraints are the match constraints of a policy or a binding.
type constraints struct {
	selectors      selectors
	rules, exclude []arv1.NamedRuleWithOperations
	policy         *arv1.MatchPolicyType
}

func newConstraints(m *arv1.MatchResources) constraints {
	if m == nil {
		return constraints{selectors: selectors{err: errors.New("policy contained no match constraints, a required field")}}
	}
	return constraints{newSelectors(m.NamespaceSelector, m.ObjectSelector), m.ResourceRules, m.ExcludeResourceRules, m.MatchPolicy}
}

// match finds in which version constraints match the request, if they do.
func (q *request) match(c *constraints) (target, bool, error) {
	selected, unknown := q.selected(c.selectors)
	if !selected {
		return target{}, false, nil
	}
	if _, excluded := q.ruled(c.exclude, c.policy); excluded {
		return target{}, false, nil
	}
	t, ok := target{q.GetResource(), q.GetKind()}, true
	if len(c.rules) > 0 {
		t, ok = q.ruled(c.rules, c.policy)
	}
	if !ok {
		return target{}, false, nil
	}
	return t, true, unknown
}

func bindingOf(o store.Object) *binding {
	switch b := o.(type) {
	case *arv1.ValidatingAdmissionPolicyBinding:
		return newBinding(b.Name, b.Spec.PolicyName, b.Spec.ParamRef, b.Spec.MatchResources, b.Spec.ValidationActions)
	case *arv1.MutatingAdmissionPolicyBinding:
		return newBinding(b.Name, b.Spec.PolicyName, b.Spec.ParamRef, b.Spec.MatchResources, nil)
	}
	return &binding{}
}

func newBinding(name, policy string, params *arv1.ParamRef, m *arv1.MatchResources, actions []arv1.ValidationAction) *binding {
	b := &binding{name: name, policy: policy, params: params, actions: actions}
	if m != nil {
		c := newConstraints(m)
		b.match = &c
	}
	return b
}

// inForce are the policies that bindings put into force, by name, with their bindings.
func (p *policies[P, E]) inForce(r Reader, bindings string, open func(P) *policy[P, E]) []*policy[P, E] {
	by := map[string][]*binding{}
	for _, b := range p.bound.all(r.Snapshot(bindings), bindingOf) {
		by[b.policy] = append(by[b.policy], b)
	}
	var out []*policy[P, E]
	for _, known := range p.compiled.all(r.Snapshot(p.resource), func(o store.Object) *policy[P, E] { return open(o.(P)) }) {
		if found := by[known.stored.GetName()]; len(found) > 0 {
			own := *known
			own.bindings = found
			out = append(out, &own)
		}
	}
	return out
}

// invocation is a policy that is to be evaluated for the request, with a binding and a parameter.
type invocation[P store.Object, E any] struct {
	policy  *policy[P, E]
	binding *binding
	target  target
	param   runtime.Object // nil for none
}

// key tells an invocation from all others of the request.
func (i invocation[P, E]) key() string {
	key := i.policy.stored.GetName() + "\n" + i.binding.name
	if i.param == nil {
		return key
	}
	if m, err := meta.Accessor(i.param); err == nil {
		key += "\n" + m.GetNamespace() + "/" + m.GetName()
	}
	return key
}

// failed refuses the request, unless the policy ignores its failures.
func (i invocation[P, E]) failed(err error) []verdict {
	if i.policy.ignoresFailure() {
		return nil
	}
	return []verdict{{i.policy.stored.GetName(), i.binding.name, metav1.StatusReasonInvalid, err.Error()}}
}

// verdict is why a policy refuses a request.
type verdict struct {
	policy, binding string // the latter may be empty
	reason          metav1.StatusReason
	message         string
}

// invocations are all that the request concerns, in order, and what is wrong with their configuration.
func invocations[P store.Object, E any](ctx context.Context, q *request, all []*policy[P, E]) (found []invocation[P, E], wrong []verdict) {
	for _, p := range all {
		name := p.stored.GetName()
		t, ok, err := q.match(&p.match)
		if err == nil && ok {
			_, err = q.extension.paramKind(p.params)
		}
		if err != nil {
			wrong = append(wrong, p.misconfigured(name, "", fmt.Errorf("failed to configure policy: %w", err))...)
			continue
		}
		if !ok {
			continue
		}
		for _, b := range p.bindings {
			params, ok, err := q.bound(ctx, p.params, b)
			if err != nil {
				wrong = append(wrong, p.misconfigured(name, b.name, fmt.Errorf("failed to configure binding: %w", err))...)
			}
			if err != nil || !ok {
				continue
			}
			for _, param := range params {
				found = append(found, invocation[P, E]{p, b, t, param})
			}
		}
	}
	return found, wrong
}

// bound reports whether a binding applies to the request, and with which parameters: one nil for none.
func (q *request) bound(ctx context.Context, kind *arv1.ParamKind, b *binding) ([]runtime.Object, bool, error) {
	if b.match != nil {
		if _, ok, err := q.match(b.match); err != nil || !ok {
			return nil, false, err
		}
	}
	params, err := q.extension.params(ctx, kind, b.params, q.GetNamespace())
	return params, true, err
}

// misconfigured refuses the request, unless the policy ignores its failures.
func (p *policy[P, E]) misconfigured(name, binding string, err error) []verdict {
	if p.ignoresFailure() {
		return nil
	}
	return []verdict{{policy: name, binding: binding, message: err.Error()}}
}

func (p *policy[P, E]) ignoresFailure() bool { return p.failure != nil && *p.failure == arv1.Ignore }

// composed compiles the variables and match conditions that policies of both kinds have.
func composed(variables []arv1.Variable, conditions []arv1.MatchCondition, failure *arv1.FailurePolicyType, name string,
	declared cel.OptionalVariableDeclarations) (*cel.CompositedCompiler, matchconditions.Matcher, error) {
	compiler, err := expression.Composed()
	if err != nil {
		return nil, nil, fmt.Errorf("failed to initialize CEL compiler: %w", err)
	}
	for i := range variables {
		compiler.CompileAndStoreVariable((*expression.Variable)(&variables[i]), declared, environment.StoredExpressions)
	}
	if len(conditions) == 0 {
		return compiler, nil, nil
	}
	evaluator := compiler.CompileCondition(conditionsOf(conditions), declared, environment.StoredExpressions)
	return compiler, matchconditions.NewMatcher(evaluator, failure, "policy", "validate", name), nil
}

// conditions reports whether a policy's match conditions are met.
func (q *request) conditions(ctx context.Context, m matchconditions.Matcher, t target, param runtime.Object) (bool, error) {
	if m == nil {
		return true, nil
	}
	v, err := q.versioned(t.kind)
	if err != nil {
		return false, err
	}
	result := m.Match(ctx, v, param, q.extension.options.Authorizer)
	return result.Matches, result.Error
}
