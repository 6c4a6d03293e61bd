package manifests

import (
	"fmt"
	"strings"

	arv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateParamKind refuses what can be no kind; nil is none.
func validateParamKind(at *field.Path, k *arv1.ParamKind) field.ErrorList {
	if k == nil {
		return nil
	}
	errs := validateParamVersion(at.Child("apiVersion"), k.APIVersion)
	if k.Kind == "" {
		return append(errs, field.Required(at.Child("kind"), ""))
	}
	if wrong := utilvalidation.IsDNS1035Label(strings.ToLower(k.Kind)); len(wrong) > 0 {
		detail := "may have mixed case, but should otherwise match: " + strings.Join(wrong, ",")
		errs = append(errs, field.Invalid(at.Child("kind"), k.Kind, detail))
	}
	return errs
}

func validateParamVersion(at *field.Path, apiVersion string) field.ErrorList {
	if apiVersion == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	group, version, grouped := strings.Cut(apiVersion, "/")
	if !grouped {
		group, version = "", apiVersion
	}
	if strings.Contains(version, "/") && apiVersion != "/" {
		return field.ErrorList{field.Invalid(at, apiVersion, fmt.Sprintf("unexpected GroupVersion string: %v", apiVersion))}
	}
	var errs field.ErrorList
	if wrong := utilvalidation.IsDNS1123Subdomain(group); group != "" && len(wrong) > 0 {
		errs = append(errs, field.Invalid(at, group, strings.Join(wrong, ",")))
	}
	if version == "" {
		return append(errs, field.Invalid(at, apiVersion, "version must be specified"))
	}
	if wrong := utilvalidation.IsDNS1035Label(version); len(wrong) > 0 {
		errs = append(errs, field.Invalid(at, version, strings.Join(wrong, ",")))
	}
	return errs
}

// validateParamRef refuses what names no parameters, or in two ways; nil is none.
func validateParamRef(at *field.Path, r *arv1.ParamRef) field.ErrorList {
	if r == nil {
		return nil
	}
	var errs field.ErrorList
	const exclusive = "name and selector are mutually exclusive"
	if r.Name != "" {
		for _, wrong := range content.IsPathSegmentName(r.Name) {
			errs = append(errs, field.Invalid(at.Child("name"), r.Name, wrong))
		}
		if r.Selector != nil {
			errs = append(errs, field.Forbidden(at.Child("name"), exclusive))
		}
	}
	if r.Selector != nil {
		errs = append(errs, metavalidation.ValidateLabelSelector(r.Selector, metavalidation.LabelSelectorValidationOptions{}, at.Child("selector"))...)
		if r.Name != "" {
			errs = append(errs, field.Forbidden(at.Child("selector"), exclusive))
		}
	}
	if r.Name == "" && r.Selector == nil {
		errs = append(errs, field.Required(at, "one of name or selector must be specified"))
	}
	action := at.Child("parameterNotFoundAction")
	if r.ParameterNotFoundAction == nil || *r.ParameterNotFoundAction == "" {
		return append(errs, field.Required(action, ""))
	}
	// Deny comes first in upstream's message.
	return append(errs, oneOf(action, r.ParameterNotFoundAction, []arv1.ParameterNotFoundActionType{arv1.DenyAction, arv1.AllowAction})...)
}

func validatePolicyName(at *field.Path, name string) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	var errs field.ErrorList
	for _, wrong := range validation.NameIsDNSSubdomain(name, false) {
		errs = append(errs, field.Invalid(at, name, wrong))
	}
	return errs
}
