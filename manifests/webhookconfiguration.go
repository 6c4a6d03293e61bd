package manifests

import (
	"context"
	"reflect"
	"slices"
	"strings"

	arv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/conversion"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"skiff/manifests/webhook"
)

func admissionKind(kind string, k Kind) *Kind {
	return newKind(arv1.SchemeGroupVersion.WithKind(kind), k)
}

// asIs is the conversion of a kind whose rules work on the stored type.
func asIs[T any](in, out *T, _ conversion.Scope) error { *out = *in; return nil }

func mutatingWebhookConfigurationKind() *Kind {
	type configuration = arv1.MutatingWebhookConfiguration
	return admissionKind("MutatingWebhookConfiguration", Kind{
		Resource: "mutatingwebhookconfigurations", Categories: []string{"api-extensions"}, RequireVersion: true,
		New: newOf[*configuration](), NewList: newOf[*arv1.MutatingWebhookConfigurationList](),
		Rules: &rules[*configuration, configuration]{
			toInternal: asIs[configuration], fromInternal: asIs[configuration],
			prepareCreate: func(c *configuration) { c.Generation = 1 },
			validateCreate: func(_ context.Context, c *configuration) field.ErrorList {
				return validateHooks(c, c.Webhooks, nil)
			},
			updates: map[string]update[configuration]{SubresourceNone: {
				prepare: func(c, old *configuration) { bump(&c.Generation, old.Generation, c.Webhooks, old.Webhooks) },
				validate: func(_ context.Context, c, old *configuration) field.ErrorList {
					return validateHooks(c, c.Webhooks, &old.Webhooks)
				},
			}},
		},
	})
}

func validatingWebhookConfigurationKind() *Kind {
	type configuration = arv1.ValidatingWebhookConfiguration
	return admissionKind("ValidatingWebhookConfiguration", Kind{
		Resource: "validatingwebhookconfigurations", Categories: []string{"api-extensions"}, RequireVersion: true,
		New: newOf[*configuration](), NewList: newOf[*arv1.ValidatingWebhookConfigurationList](),
		Rules: &rules[*configuration, configuration]{
			toInternal: asIs[configuration], fromInternal: asIs[configuration],
			prepareCreate: func(c *configuration) { c.Generation = 1 },
			validateCreate: func(_ context.Context, c *configuration) field.ErrorList {
				return validateHooks(c, MutatingHooks(c.Webhooks), nil)
			},
			updates: map[string]update[configuration]{SubresourceNone: {
				prepare: func(c, old *configuration) { bump(&c.Generation, old.Generation, c.Webhooks, old.Webhooks) },
				validate: func(_ context.Context, c, old *configuration) field.ErrorList {
					before := MutatingHooks(old.Webhooks)
					return validateHooks(c, MutatingHooks(c.Webhooks), &before)
				},
			}},
		},
	})
}

// MutatingHooks are validating webhooks as mutating ones, which are the same but for the reinvocation
// policy, nil here.
func MutatingHooks(hooks []arv1.ValidatingWebhook) []arv1.MutatingWebhook {
	out := make([]arv1.MutatingWebhook, len(hooks))
	for i, h := range hooks {
		out[i] = arv1.MutatingWebhook{
			Name: h.Name, ClientConfig: h.ClientConfig, Rules: h.Rules, FailurePolicy: h.FailurePolicy, MatchPolicy: h.MatchPolicy,
			NamespaceSelector: h.NamespaceSelector, ObjectSelector: h.ObjectSelector, SideEffects: h.SideEffects,
			TimeoutSeconds: h.TimeoutSeconds, AdmissionReviewVersions: h.AdmissionReviewVersions, MatchConditions: h.MatchConditions,
		}
	}
	return out
}

// leniency is what an update may leave as it is, because the stored object has it already.
type leniency struct {
	conditions, sideEffects, versions, names, labels bool
	stored                                           map[string]bool
}

func noSideEffects() []arv1.SideEffectClass {
	return []arv1.SideEffectClass{arv1.SideEffectClassNone, arv1.SideEffectClassNoneOnDryRun}
}

func reviewVersions() []string { return []string{"v1", "v1beta1"} }

// lenient finds out what is wrong with old hooks, nil for none.
func lenient(hooks []arv1.MutatingWebhook, old *[]arv1.MutatingWebhook) leniency {
	l := leniency{stored: map[string]bool{}}
	if old == nil {
		return l
	}
	l.conditions = len(hooks) == len(*old)
	names := map[string]bool{}
	for i, h := range *old {
		l.conditions = l.conditions && reflect.DeepEqual(hooks[i].MatchConditions, h.MatchConditions)
		l.sideEffects = l.sideEffects || h.SideEffects == nil || !slices.Contains(noSideEffects(), *h.SideEffects)
		l.versions = l.versions || len(h.AdmissionReviewVersions) > 0 && !knowsReviews(h.AdmissionReviewVersions)
		l.names = l.names || names[h.Name]
		l.labels = l.labels || len(validateSelectors(nil, h, false)) > 0
		names[h.Name] = true
		for _, c := range h.MatchConditions {
			l.stored[c.Expression] = true
		}
	}
	return l
}

func knowsReviews(versions []string) bool {
	return slices.ContainsFunc(versions, func(v string) bool { return slices.Contains(reviewVersions(), v) })
}

func validateHooks(c metav1.Object, hooks []arv1.MutatingWebhook, old *[]arv1.MutatingWebhook) field.ErrorList {
	errs := validation.ValidateObjectMetaAccessor(c, false, validation.NameIsDNSSubdomain, field.NewPath("metadata"))
	errs = append(errs, reservedName(c)...)
	l, names := lenient(hooks, old), map[string]bool{}
	for i, h := range hooks {
		at := field.NewPath("webhooks").Index(i)
		errs = append(errs, validateHook(at, h, l)...)
		errs = append(errs, validateReviewVersions(at.Child("admissionReviewVersions"), h.AdmissionReviewVersions, l)...)
		if h.Name != "" && names[h.Name] && !l.names {
			errs = append(errs, field.Duplicate(at.Child("name"), h.Name))
		}
		names[h.Name] = true
	}
	return errs
}

// reservedName refuses the names that upstream keeps for what is configured by files.
func reservedName(c metav1.Object) field.ErrorList {
	const suffix = ".static.k8s.io"
	if !strings.HasSuffix(c.GetName(), suffix) {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("metadata", "name"), c.GetName(),
		`names ending with "`+suffix+`" are reserved for static manifest-based configurations and cannot be managed via the API`)}
}

func validateHook(at *field.Path, h arv1.MutatingWebhook, l leniency) field.ErrorList {
	errs := utilvalidation.IsFullyQualifiedName(at.Child("name"), h.Name)
	for i := range h.Rules {
		errs = append(errs, validateRule(at.Child("rules").Index(i), &h.Rules[i])...)
	}
	errs = append(errs, oneOf(at.Child("failurePolicy"), h.FailurePolicy, failurePolicies())...)
	errs = append(errs, oneOf(at.Child("matchPolicy"), h.MatchPolicy, matchPolicies())...)
	errs = append(errs, validateSideEffects(at.Child("sideEffects"), h.SideEffects, l)...)
	if t := h.TimeoutSeconds; t != nil && (*t > 30 || *t < 1) {
		errs = append(errs, field.Invalid(at.Child("timeoutSeconds"), *t, "the timeout value must be between 1 and 30 seconds"))
	}
	errs = append(errs, validateSelectors(at, h, l.labels)...)
	errs = append(errs, oneOf(at.Child("reinvocationPolicy"), h.ReinvocationPolicy, reinvocationPolicies())...)
	errs = append(errs, validateClientConfig(at.Child("clientConfig"), h.ClientConfig)...)
	if !l.conditions {
		e := expressions{stored: l.stored}
		errs = append(errs, e.matchConditions(at.Child("matchConditions"), h.MatchConditions)...)
	}
	return errs
}

func validateSideEffects(at *field.Path, class *arv1.SideEffectClass, l leniency) field.ErrorList {
	known := noSideEffects()
	if l.sideEffects {
		known = append(known, arv1.SideEffectClassSome, arv1.SideEffectClassUnknown)
	}
	if class == nil {
		var names []string
		for _, k := range known {
			names = append(names, string(k))
		}
		return field.ErrorList{field.Required(at, "must specify one of "+strings.Join(names, ", "))}
	}
	return oneOf(at, class, known)
}

func validateSelectors(at *field.Path, h arv1.MutatingWebhook, anyLabels bool) field.ErrorList {
	var errs field.ErrorList
	o := metavalidation.LabelSelectorValidationOptions{AllowInvalidLabelValueInSelector: anyLabels}
	if h.NamespaceSelector != nil {
		errs = append(errs, metavalidation.ValidateLabelSelector(h.NamespaceSelector, o, at.Child("namespaceSelector"))...)
	}
	if h.ObjectSelector != nil {
		errs = append(errs, metavalidation.ValidateLabelSelector(h.ObjectSelector, o, at.Child("objectSelector"))...)
	}
	return errs
}

func validateClientConfig(at *field.Path, c arv1.WebhookClientConfig) field.ErrorList {
	switch {
	case (c.URL == nil) == (c.Service == nil):
		return field.ErrorList{field.Required(at, "exactly one of url or service is required")}
	case c.URL != nil:
		return webhook.ValidateURL(at.Child("url"), *c.URL)
	}
	port := webhook.DefaultPort
	if c.Service.Port != nil {
		port = *c.Service.Port
	}
	return webhook.ValidateService(at.Child("service"), c.Service.Namespace, c.Service.Name, c.Service.Path, port)
}

func validateReviewVersions(at *field.Path, versions []string, l leniency) field.ErrorList {
	known := strings.Join(reviewVersions(), ", ")
	if len(versions) == 0 {
		return field.ErrorList{field.Required(at, "must specify one of "+known)}
	}
	var errs field.ErrorList
	for i, v := range versions {
		if slices.Contains(versions[:i], v) {
			errs = append(errs, field.Invalid(at.Index(i), v, "duplicate version"))
			continue
		}
		for _, wrong := range utilvalidation.IsDNS1035Label(v) {
			errs = append(errs, field.Invalid(at.Index(i), v, wrong))
		}
	}
	if !l.versions && !knowsReviews(versions) {
		errs = append(errs, field.Invalid(at, versions, "must include at least one of "+known))
	}
	return errs
}
