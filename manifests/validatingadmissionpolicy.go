package manifests

import (
	"context"
	"fmt"
	"slices"
	"strings"

	arv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/client-go/util/jsonpath"

	"skiff/manifests/expression"
)

const (
	maxAuditAnnotations = 20
	// maxAuditExpression is the most bytes of an annotation's expression.
	maxAuditExpression = 5 * 1024
)

func validatingAdmissionPolicyKind() *Kind {
	type policy = arv1.ValidatingAdmissionPolicy
	return admissionKind("ValidatingAdmissionPolicy", Kind{
		Resource: "validatingadmissionpolicies", Categories: []string{"api-extensions"}, HasStatus: true, RequireVersion: true,
		New: newOf[*policy](), NewList: newOf[*arv1.ValidatingAdmissionPolicyList](),
		Rules: &rules[*policy, policy]{
			toInternal: asIs[policy], fromInternal: asIs[policy],
			prepareCreate:  func(p *policy) { p.Status, p.Generation = arv1.ValidatingAdmissionPolicyStatus{}, 1 },
			validateCreate: func(_ context.Context, p *policy) field.ErrorList { return validateValidatingPolicy(p, nil) },
			updates: map[string]update[policy]{
				SubresourceNone: {
					prepare: func(p, old *policy) {
						p.Status = old.Status
						bump(&p.Generation, old.Generation, p.Spec, old.Spec)
					},
					validate: func(_ context.Context, p, old *policy) field.ErrorList { return validateValidatingPolicy(p, old) },
				},
				SubresourceStatus: {
					prepare: func(p, old *policy) {
						p.Spec = old.Spec
						metav1.ResetObjectMetaForStatus(&p.ObjectMeta, &old.ObjectMeta)
					},
					validate: func(_ context.Context, p, _ *policy) field.ErrorList {
						return validatePolicyStatus(field.NewPath("status"), &p.Status)
					},
				},
			},
			reset: resetFields{
				SubresourceNone:   reset(v1Admission(), path("status")),
				SubresourceStatus: reset(v1Admission(), path("spec"), path("metadata")),
			},
		},
	})
}

func validateValidatingPolicy(p, old *arv1.ValidatingAdmissionPolicy) field.ErrorList {
	errs := validation.ValidateObjectMeta(&p.ObjectMeta, false, validation.NameIsDNSSubdomain, field.NewPath("metadata"))
	errs = append(errs, reservedName(p)...)
	spec, at := &p.Spec, field.NewPath("spec")
	errs = append(errs, required(at.Child("failurePolicy"), spec.FailurePolicy, failurePolicies())...)
	errs = append(errs, validateParamKind(at.Child("paramKind"), spec.ParamKind)...)
	errs = append(errs, validateConstraints(at.Child("matchConstraints"), spec.MatchConstraints)...)
	var stored []string
	sameConditions := false
	if old != nil {
		stored = policyExpressions(&old.Spec)
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
	if len(spec.Validations) == 0 && len(spec.AuditAnnotations) == 0 {
		const detail = "validations or auditAnnotations must contain at least one item"
		return append(errs, field.Required(at.Child("validations"), detail), field.Required(at.Child("auditAnnotations"), detail))
	}
	for i := range spec.Validations {
		errs = append(errs, e.validation(at.Child("validations").Index(i), &spec.Validations[i])...)
	}
	return append(errs, e.auditAnnotations(at.Child("auditAnnotations"), p.Name, spec.AuditAnnotations)...)
}

// policyExpressions are all of a policy that is stored.
func policyExpressions(s *arv1.ValidatingAdmissionPolicySpec) []string {
	var out []string
	for _, c := range s.MatchConditions {
		out = append(out, c.Expression)
	}
	for _, v := range s.Variables {
		out = append(out, v.Expression)
	}
	for _, v := range s.Validations {
		out = append(out, v.Expression, v.MessageExpression)
	}
	for _, a := range s.AuditAnnotations {
		out = append(out, a.ValueExpression)
	}
	return out
}

// validateConstraints wants a rule at least: it says of which type the objects are.
func validateConstraints(at *field.Path, m *arv1.MatchResources) field.ErrorList {
	if m == nil {
		return field.ErrorList{field.Required(at, "")}
	}
	return append(validateMatchResources(at, m), nonEmpty(at.Child("resourceRules"), m.ResourceRules)...)
}

func (e *expressions) validation(at *field.Path, v *arv1.Validation) field.ErrorList {
	var errs field.ErrorList
	if strings.TrimSpace(v.Expression) == "" {
		errs = append(errs, field.Required(at.Child("expression"), "expression is not specified"))
	} else {
		errs = append(errs, e.compile(at.Child("expression"), (*expression.Validation)(v), e.declared())...)
	}
	const blank = "must be non-empty if specified"
	switch {
	case v.MessageExpression == "":
	case strings.TrimSpace(v.MessageExpression) == "":
		errs = append(errs, field.Invalid(at.Child("messageExpression"), v.MessageExpression, blank))
	default:
		declared := plugincel.OptionalVariableDeclarations{HasParams: e.params}
		errs = append(errs, e.compile(at.Child("messageExpression"), expression.Message(v.MessageExpression), declared)...)
	}
	switch message := strings.TrimSpace(v.Message); {
	case v.Message != "" && message == "":
		errs = append(errs, field.Invalid(at.Child("message"), v.Message, blank))
	case strings.ContainsAny(message, "\n\r"):
		errs = append(errs, field.Invalid(at.Child("message"), v.Message, "must not contain line breaks"))
	}
	return append(errs, oneOf(at.Child("reason"), v.Reason, []metav1.StatusReason{
		metav1.StatusReasonForbidden, metav1.StatusReasonInvalid, metav1.StatusReasonRequestEntityTooLarge,
	})...)
}

func (e *expressions) auditAnnotations(at *field.Path, policy string, all []arv1.AuditAnnotation) field.ErrorList {
	var errs field.ErrorList
	if len(all) > maxAuditAnnotations {
		errs = append(errs, field.Invalid(at, all, fmt.Sprintf("must not have more than %d auditAnnotations", maxAuditAnnotations)))
	}
	for i := range all {
		errs = append(errs, e.auditAnnotation(at.Index(i), policy, &all[i])...)
		if slices.ContainsFunc(all[:i], func(a arv1.AuditAnnotation) bool { return a.Key == all[i].Key }) {
			errs = append(errs, field.Duplicate(at.Index(i).Child("key"), all[i].Key))
		}
	}
	return errs
}

func (e *expressions) auditAnnotation(at *field.Path, policy string, a *arv1.AuditAnnotation) field.ErrorList {
	var errs field.ErrorList
	if policy == "" {
		errs = append(errs, field.Invalid(at.Child("key"), a.Key, "requires metadata.name be non-empty"))
	} else {
		errs = append(errs, qualifiedName(at.Child("key"), policy+"/"+a.Key)...)
	}
	switch text := strings.TrimSpace(a.ValueExpression); {
	case text == "":
		return append(errs, field.Required(at.Child("valueExpression"), "valueExpression is not specified"))
	case len(text) > maxAuditExpression:
		return append(errs, field.Required(at.Child("valueExpression"), fmt.Sprintf("must not exceed %d bytes in length", maxAuditExpression)))
	}
	return append(errs, e.compile(at.Child("valueExpression"), (*expression.AuditAnnotation)(a), e.declared())...)
}

func validatePolicyStatus(at *field.Path, s *arv1.ValidatingAdmissionPolicyStatus) field.ErrorList {
	var errs field.ErrorList
	if s.TypeChecking != nil {
		for i, w := range s.TypeChecking.ExpressionWarnings {
			warning := at.Child("typeChecking", "expressionWarnings").Index(i)
			if w.Warning == "" {
				errs = append(errs, field.Required(warning.Child("warning"), ""))
			}
			errs = append(errs, validateFieldRef(warning.Child("fieldRef"), w.FieldRef)...)
		}
	}
	return append(errs, metavalidation.ValidateConditions(s.Conditions, at.Child("conditions"))...)
}

func validateFieldRef(at *field.Path, ref string) field.ErrorList {
	if ref = strings.TrimSpace(ref); ref == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	if err := jsonpath.New("spec").Parse("{" + ref + "}"); err != nil {
		return field.ErrorList{field.Invalid(at, ref, fmt.Sprintf("invalid JSONPath: %v", err))}
	}
	return nil
}

func validatingAdmissionPolicyBindingKind() *Kind {
	type binding = arv1.ValidatingAdmissionPolicyBinding
	return admissionKind("ValidatingAdmissionPolicyBinding", Kind{
		Resource: "validatingadmissionpolicybindings", Categories: []string{"api-extensions"}, RequireVersion: true,
		New: newOf[*binding](), NewList: newOf[*arv1.ValidatingAdmissionPolicyBindingList](),
		Rules: &rules[*binding, binding]{
			toInternal: asIs[binding], fromInternal: asIs[binding],
			prepareCreate:  func(b *binding) { b.Generation = 1 },
			validateCreate: func(_ context.Context, b *binding) field.ErrorList { return validateValidatingBinding(b) },
			updates: map[string]update[binding]{SubresourceNone: {
				prepare:  func(b, old *binding) { bump(&b.Generation, old.Generation, b.Spec, old.Spec) },
				validate: func(_ context.Context, b, _ *binding) field.ErrorList { return validateValidatingBinding(b) },
			}},
		},
	})
}

func validateValidatingBinding(b *arv1.ValidatingAdmissionPolicyBinding) field.ErrorList {
	errs := validation.ValidateObjectMeta(&b.ObjectMeta, false, validation.NameIsDNSSubdomain, field.NewPath("metadata"))
	errs = append(errs, reservedName(b)...)
	at := field.NewPath("spec")
	errs = append(errs, covered(validatePolicyName(at.Child("policyName"), b.Spec.PolicyName))...)
	errs = append(errs, validateParamRef(at.Child("paramRef"), b.Spec.ParamRef)...)
	errs = append(errs, validateMatchResources(at.Child("matchResources"), b.Spec.MatchResources)...)
	return append(errs, validateActions(at.Child("validationActions"), b.Spec.ValidationActions)...)
}

// covered marks what is required as upstream does where its declarative validation requires it too.
func covered(errs field.ErrorList) field.ErrorList {
	for _, err := range errs {
		if err.Type == field.ErrorTypeRequired {
			_ = err.MarkCoveredByDeclarative()
		}
	}
	return errs
}

func validateActions(at *field.Path, actions []arv1.ValidationAction) field.ErrorList {
	var errs field.ErrorList
	for i := range actions {
		errs = append(errs, oneOf(at.Index(i), &actions[i], []arv1.ValidationAction{arv1.Audit, arv1.Deny, arv1.Warn})...)
		if slices.Contains(actions[:i], actions[i]) {
			errs = append(errs, field.Duplicate(at.Index(i), actions[i]))
		}
	}
	if slices.Contains(actions, arv1.Deny) && slices.Contains(actions, arv1.Warn) {
		errs = append(errs, field.Invalid(at, actions, "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)"))
	}
	if len(actions) == 0 {
		errs = append(errs, field.Required(at, "at least one validation action is required").MarkCoveredByDeclarative())
	}
	return errs
}
