package manifests

import (
	"context"
	"strings"

	arv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch"
)

func v1Admission() []schema.GroupVersion { return []schema.GroupVersion{arv1.SchemeGroupVersion} }

func mutatingAdmissionPolicyKind() *Kind {
	type policy = arv1.MutatingAdmissionPolicy
	return admissionKind("MutatingAdmissionPolicy", Kind{
		Resource: "mutatingadmissionpolicies", Categories: []string{"api-extensions"}, RequireVersion: true,
		New: newOf[*policy](), NewList: newOf[*arv1.MutatingAdmissionPolicyList](),
		Rules: &rules[*policy, policy]{
			toInternal: asIs[policy], fromInternal: asIs[policy],
			prepareCreate:  func(p *policy) { p.Generation = 1 },
			validateCreate: func(_ context.Context, p *policy) field.ErrorList { return validateMutatingPolicy(p, nil) },
			updates: map[string]update[policy]{SubresourceNone: {
				prepare:  func(p, old *policy) { bump(&p.Generation, old.Generation, p.Spec, old.Spec) },
				validate: func(_ context.Context, p, old *policy) field.ErrorList { return validateMutatingPolicy(p, old) },
			}},
		},
	})
}

func validateMutatingPolicy(p, old *arv1.MutatingAdmissionPolicy) field.ErrorList {
	errs := validation.ValidateObjectMeta(&p.ObjectMeta, false, validation.NameIsDNSSubdomain, field.NewPath("metadata"))
	errs = append(errs, reservedName(p)...)
	spec, at := &p.Spec, field.NewPath("spec")
	errs = append(errs, required(at.Child("failurePolicy"), spec.FailurePolicy, failurePolicies())...)
	errs = append(errs, validateParamKind(at.Child("paramKind"), spec.ParamKind)...)
	errs = append(errs, validateConstraints(at.Child("matchConstraints"), spec.MatchConstraints)...)
	errs = append(errs, validateChanging(at.Child("matchConstraints"), spec.MatchConstraints)...)
	var stored []string
	sameConditions := false
	if old != nil {
		stored = mutatingExpressions(&old.Spec)
		sameConditions = equality.Semantic.DeepEqual(spec.ParamKind, old.Spec.ParamKind) &&
			equality.Semantic.DeepEqual(spec.MatchConditions, old.Spec.MatchConditions)
	}
	e, failed := newExpressions(spec.ParamKind, stored...)
	if e == nil {
		return append(errs, failed...)
	}
	if !sameConditions {
		errs = append(errs, e.matchConditions(at.Child("matchConditions"), spec.MatchConditions)...)
	}
	errs = append(errs, e.variables(at.Child("variables"), spec.Variables)...)
	if len(spec.Mutations) == 0 {
		errs = append(errs, field.Required(at.Child("mutations"), "mutations must contain at least one item"))
	}
	for i := range spec.Mutations {
		errs = append(errs, e.mutation(at.Child("mutations").Index(i), &spec.Mutations[i])...)
	}
	if spec.ReinvocationPolicy == "" {
		return append(errs, field.Required(at.Child("reinvocationPolicy"), ""))
	}
	return append(errs, oneOf(at.Child("reinvocationPolicy"), &spec.ReinvocationPolicy, reinvocationPolicies())...)
}

// mutatingExpressions are all of a policy that is stored.
func mutatingExpressions(s *arv1.MutatingAdmissionPolicySpec) []string {
	var out []string
	for _, c := range s.MatchConditions {
		out = append(out, c.Expression)
	}
	for _, v := range s.Variables {
		out = append(out, v.Expression)
	}
	for _, m := range s.Mutations {
		if m.ApplyConfiguration != nil {
			out = append(out, strings.TrimSpace(m.ApplyConfiguration.Expression))
		}
		if m.JSONPatch != nil {
			out = append(out, strings.TrimSpace(m.JSONPatch.Expression))
		}
	}
	return out
}

func (e *expressions) mutation(at *field.Path, m *arv1.Mutation) field.ErrorList {
	apply, jsonPatch := at.Child("applyConfiguration"), at.Child("jsonPatch")
	var errs field.ErrorList
	switch m.PatchType {
	case "":
		return field.ErrorList{field.Required(at.Child("patchType"), "")}
	case arv1.PatchTypeJSONPatch:
		if m.JSONPatch == nil {
			errs = append(errs, field.Required(jsonPatch, "must be specified when patchType is JSONPatch"))
		} else {
			errs = append(errs, e.patch(jsonPatch, &patch.JSONPatchCondition{Expression: strings.TrimSpace(m.JSONPatch.Expression)})...)
		}
		if m.ApplyConfiguration != nil {
			errs = append(errs, field.Invalid(apply, "{applyConfiguration}", "must not be specified when patchType is JSONPatch"))
		}
	case arv1.PatchTypeApplyConfiguration:
		if m.ApplyConfiguration == nil {
			errs = append(errs, field.Required(apply, "must be specified when patchType is ApplyConfiguration"))
		} else {
			errs = append(errs, e.patch(apply, &patch.ApplyConfigurationCondition{Expression: strings.TrimSpace(m.ApplyConfiguration.Expression)})...)
		}
		if m.JSONPatch != nil {
			errs = append(errs, field.Invalid(jsonPatch, "{jsonPatch}", "must not be specified when patchType is ApplyConfiguration"))
		}
	default:
		known := []arv1.PatchType{arv1.PatchTypeApplyConfiguration, arv1.PatchTypeJSONPatch}
		return oneOf(at.Child("patchType"), &m.PatchType, known)
	}
	return errs
}

// patch validates an expression that makes a patch.
func (e *expressions) patch(at *field.Path, x plugincel.ExpressionAccessor) field.ErrorList {
	if x.GetExpression() == "" {
		return field.ErrorList{field.Required(at.Child("expression"), "")}
	}
	declared := e.declared()
	declared.HasPatchTypes = true
	return e.compile(at.Child("expression"), x, declared)
}

func mutatingAdmissionPolicyBindingKind() *Kind {
	type binding = arv1.MutatingAdmissionPolicyBinding
	return admissionKind("MutatingAdmissionPolicyBinding", Kind{
		Resource: "mutatingadmissionpolicybindings", Categories: []string{"api-extensions"}, RequireVersion: true,
		New: newOf[*binding](), NewList: newOf[*arv1.MutatingAdmissionPolicyBindingList](),
		Rules: &rules[*binding, binding]{
			toInternal: asIs[binding], fromInternal: asIs[binding],
			prepareCreate:  func(b *binding) { b.Generation = 1 },
			validateCreate: func(_ context.Context, b *binding) field.ErrorList { return validateMutatingBinding(b) },
			updates: map[string]update[binding]{SubresourceNone: {
				prepare:  func(b, old *binding) { bump(&b.Generation, old.Generation, b.Spec, old.Spec) },
				validate: func(_ context.Context, b, _ *binding) field.ErrorList { return validateMutatingBinding(b) },
			}},
		},
	})
}

func validateMutatingBinding(b *arv1.MutatingAdmissionPolicyBinding) field.ErrorList {
	errs := validation.ValidateObjectMeta(&b.ObjectMeta, false, validation.NameIsDNSSubdomain, field.NewPath("metadata"))
	errs = append(errs, reservedName(b)...)
	at := field.NewPath("spec")
	errs = append(errs, validatePolicyName(at.Child("policyName"), b.Spec.PolicyName)...)
	errs = append(errs, validateParamRef(at.Child("paramRef"), b.Spec.ParamRef)...)
	errs = append(errs, validateMatchResources(at.Child("matchResources"), b.Spec.MatchResources)...)
	return append(errs, validateChanging(at.Child("matchResources"), b.Spec.MatchResources)...)
}
