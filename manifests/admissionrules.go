package manifests

import (
	"fmt"
	"slices"
	"strings"

	arv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// What webhooks and policies match is validated here, with upstream's messages
// (k8s.io/kubernetes/pkg/apis/admissionregistration/validation): that package would add 10 MB.

func failurePolicies() []arv1.FailurePolicyType {
	return []arv1.FailurePolicyType{arv1.Fail, arv1.Ignore}
}

func matchPolicies() []arv1.MatchPolicyType {
	return []arv1.MatchPolicyType{arv1.Equivalent, arv1.Exact}
}

func reinvocationPolicies() []arv1.ReinvocationPolicyType {
	return []arv1.ReinvocationPolicyType{arv1.IfNeededReinvocationPolicy, arv1.NeverReinvocationPolicy}
}

// changing are the operations of which there is an object to change.
func changing() []arv1.OperationType {
	return []arv1.OperationType{arv1.OperationAll, arv1.Connect, arv1.Create, arv1.Update}
}

// oneOf refuses a value that is not among those known; there may be none.
func oneOf[T ~string](at *field.Path, value *T, known []T) field.ErrorList {
	if value == nil || slices.Contains(known, *value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(at, *value, known)}
}

// required is oneOf for a value that there must be.
func required[T ~string](at *field.Path, value *T, known []T) field.ErrorList {
	if value == nil {
		return field.ErrorList{field.Required(at, "")}
	}
	return oneOf(at, value, known)
}

func validateRule(at *field.Path, r *arv1.RuleWithOperations) field.ErrorList {
	operations := at.Child("operations")
	errs := nonEmpty(operations, r.Operations)
	errs = append(errs, aloneIfAll(operations, r.Operations, "if '*' is present, must not specify other operations")...)
	for i := range r.Operations {
		known := []arv1.OperationType{arv1.OperationAll, arv1.Connect, arv1.Create, arv1.Delete, arv1.Update}
		errs = append(errs, oneOf(operations.Index(i), &r.Operations[i], known)...)
	}
	groups, versions := at.Child("apiGroups"), at.Child("apiVersions")
	errs = append(errs, nonEmpty(groups, r.APIGroups)...)
	errs = append(errs, aloneIfAll(groups, r.APIGroups, "if '*' is present, must not specify other API groups")...)
	errs = append(errs, nonEmpty(versions, r.APIVersions)...)
	errs = append(errs, aloneIfAll(versions, r.APIVersions, "if '*' is present, must not specify other API versions")...)
	for i, v := range r.APIVersions {
		if v == "" {
			errs = append(errs, field.Required(versions.Index(i), ""))
		}
	}
	errs = append(errs, validateRuleResources(at.Child("resources"), r.Resources)...)
	return append(errs, oneOf(at.Child("scope"), r.Scope, []arv1.ScopeType{arv1.AllScopes, arv1.ClusterScope, arv1.NamespacedScope})...)
}

func nonEmpty[T any](at *field.Path, list []T) field.ErrorList {
	if len(list) > 0 {
		return nil
	}
	return field.ErrorList{field.Required(at, "")}
}

func aloneIfAll[T ~string](at *field.Path, list []T, detail string) field.ErrorList {
	if len(list) < 2 || !slices.Contains(list, "*") {
		return nil
	}
	return field.ErrorList{field.Invalid(at, list, detail)}
}

// validateRuleResources refuses resources, written as resource/subresource with wildcards on either side,
// that say the same twice.
func validateRuleResources(at *field.Path, resources []string) field.ErrorList {
	errs := nonEmpty(at, resources)
	allSubresources, allResources := map[string]bool{}, map[string]bool{} // of which resource, subresource
	last := ""
	for i, text := range resources {
		if text == "" {
			errs = append(errs, field.Required(at.Index(i), ""))
			continue
		}
		resource, subresource, divided := strings.Cut(text, "/")
		if !divided {
			last = text
			continue
		}
		if allSubresources[resource] {
			errs = append(errs, field.Invalid(at.Index(i), text, fmt.Sprintf("if '%s/*' is present, must not specify %s", resource, text)))
		}
		if allResources[subresource] {
			errs = append(errs, field.Invalid(at.Index(i), text, fmt.Sprintf("if '*/%s' is present, must not specify %s", subresource, text)))
		}
		allSubresources[resource] = allSubresources[resource] || subresource == "*"
		allResources[subresource] = allResources[subresource] || resource == "*"
	}
	if len(resources) > 1 && slices.Contains(resources, "*/*") {
		errs = append(errs, field.Invalid(at, resources, "if '*/*' is present, must not specify other resources"))
	}
	// Upstream looks at the last that has no subresource, not at all of them.
	if slices.Contains(resources, "*") && last != "*" {
		errs = append(errs, field.Invalid(at, resources, "if '*' is present, must not specify other resources without subresources"))
	}
	return errs
}

// validateMatchResources is for policies; there may be nothing to validate.
func validateMatchResources(at *field.Path, m *arv1.MatchResources) field.ErrorList {
	if m == nil {
		return nil
	}
	errs := required(at.Child("matchPolicy"), m.MatchPolicy, matchPolicies())
	for _, s := range []struct {
		name     string
		selector *metav1.LabelSelector
	}{{"namespaceSelector", m.NamespaceSelector}, {"objectSelector", m.ObjectSelector}} {
		name, selector := s.name, s.selector
		if selector == nil {
			errs = append(errs, field.Required(at.Child(name), ""))
			continue
		}
		errs = append(errs, metavalidation.ValidateLabelSelector(selector, metavalidation.LabelSelectorValidationOptions{}, at.Child(name))...)
	}
	for i := range m.ResourceRules {
		errs = append(errs, validateNamedRule(at.Child("resourceRules").Index(i), &m.ResourceRules[i])...)
	}
	for i := range m.ExcludeResourceRules {
		errs = append(errs, validateNamedRule(at.Child("excludeResourceRules").Index(i), &m.ExcludeResourceRules[i])...)
	}
	return errs
}

func validateNamedRule(at *field.Path, r *arv1.NamedRuleWithOperations) field.ErrorList {
	var errs field.ErrorList
	for i, name := range r.ResourceNames {
		for _, wrong := range content.IsPathSegmentName(name) {
			errs = append(errs, field.Invalid(at.Child("resourceNames").Index(i), name, wrong))
		}
		if slices.Contains(r.ResourceNames[:i], name) {
			errs = append(errs, field.Duplicate(at.Child("resourceNames").Index(i), name))
		}
	}
	return append(errs, validateRule(at, &r.RuleWithOperations)...)
}

// validateChanging refuses operations of which there is no object to change.
func validateChanging(at *field.Path, m *arv1.MatchResources) field.ErrorList {
	if m == nil {
		return nil
	}
	var errs field.ErrorList
	for _, rule := range m.ResourceRules {
		for i := range rule.Operations {
			errs = append(errs, oneOf(at.Child("resourceRules", "operations"), &rule.Operations[i], changing())...)
		}
	}
	return errs
}
