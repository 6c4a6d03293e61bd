package reviews

import (
	"context"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// access answers what somebody may do, as upstream's reviews do
// (k8s.io/kubernetes/pkg/registry/authorization).
type access struct{ authorizer Authorizer }

func (a access) self(ctx context.Context, who user.Info, asked runtime.Object) (runtime.Object, error) {
	review := asked.(*authorizationv1.SelfSubjectAccessReview)
	if errs := oneKind(field.NewPath("spec"), review.Spec.ResourceAttributes, review.Spec.NonResourceAttributes); len(errs) > 0 {
		return nil, apierrors.NewInvalid(authorizationv1.SchemeGroupVersion.WithKind("SelfSubjectAccessReview").GroupKind(), "", errs)
	}
	review.Status = a.decide(ctx, who, review.Spec.ResourceAttributes, review.Spec.NonResourceAttributes)
	return review, nil
}

func (a access) subject(ctx context.Context, _ user.Info, asked runtime.Object) (runtime.Object, error) {
	review := asked.(*authorizationv1.SubjectAccessReview)
	if errs := checkAccess(&review.Spec); len(errs) > 0 {
		return nil, apierrors.NewInvalid(authorizationv1.SchemeGroupVersion.WithKind("SubjectAccessReview").GroupKind(), "", errs)
	}
	review.Status = a.decide(ctx, subjectOf(&review.Spec), review.Spec.ResourceAttributes, review.Spec.NonResourceAttributes)
	return review, nil
}

// local is subject within a namespace: the one that the review is created in.
func (a access) local(ctx context.Context, _ user.Info, asked runtime.Object) (runtime.Object, error) {
	review := asked.(*authorizationv1.LocalSubjectAccessReview)
	errs := checkAccess(&review.Spec)
	spec := field.NewPath("spec")
	if of := review.Spec.ResourceAttributes; of != nil && of.Namespace != review.Namespace {
		errs = append(errs, field.Invalid(spec.Child("resourceAttributes", "namespace"), of.Namespace, "must match metadata.namespace"))
	}
	if review.Spec.NonResourceAttributes != nil {
		errs = append(errs, field.Invalid(spec.Child("nonResourceAttributes"), review.Spec.NonResourceAttributes, "disallowed on this kind of request"))
	}
	if len(errs) > 0 {
		return nil, apierrors.NewInvalid(authorizationv1.SchemeGroupVersion.WithKind("LocalSubjectAccessReview").GroupKind(), "", errs)
	}
	review.Status = a.decide(ctx, subjectOf(&review.Spec), review.Spec.ResourceAttributes, nil)
	return review, nil
}

func checkAccess(s *authorizationv1.SubjectAccessReviewSpec) field.ErrorList {
	spec := field.NewPath("spec")
	errs := oneKind(spec, s.ResourceAttributes, s.NonResourceAttributes)
	if s.User == "" && len(s.Groups) == 0 {
		errs = append(errs, field.Invalid(spec.Child("user"), s.User, "at least one of user or group must be specified"))
	}
	return errs
}

// oneKind checks that an access review asks about a resource or about a path, as upstream's does
// (pkg/apis/authorization/validation in k8s.io/kubernetes).
func oneKind(spec *field.Path, resource *authorizationv1.ResourceAttributes, other *authorizationv1.NonResourceAttributes) field.ErrorList {
	if (resource == nil) != (other == nil) {
		return nil
	}
	return field.ErrorList{field.Invalid(spec, other, "exactly one of nonResourceAttributes or resourceAttributes must be specified")}
}

func subjectOf(s *authorizationv1.SubjectAccessReviewSpec) user.Info {
	who := &user.DefaultInfo{Name: s.User, Groups: s.Groups, UID: s.UID, Extra: map[string][]string{}}
	for key, values := range s.Extra {
		who.Extra[key] = values
	}
	return who
}

// decide asks about a resource, or about a path if it is nil.
func (a access) decide(ctx context.Context, who user.Info, of *authorizationv1.ResourceAttributes, path *authorizationv1.NonResourceAttributes) authorizationv1.SubjectAccessReviewStatus {
	asked := authorizer.AttributesRecord{User: who}
	if of != nil {
		asked.ResourceRequest = true
		asked.Verb, asked.Namespace, asked.APIGroup, asked.APIVersion = of.Verb, of.Namespace, of.Group, of.Version
		asked.Resource, asked.Subresource, asked.Name = of.Resource, of.Subresource, of.Name
	} else {
		asked.Verb, asked.Path = path.Verb, path.Path
	}
	decision, reason, err := a.authorizer.Authorize(ctx, asked)
	status := authorizationv1.SubjectAccessReviewStatus{
		Allowed: decision == authorizer.DecisionAllow, Denied: decision == authorizer.DecisionDeny, Reason: reason,
	}
	if err != nil {
		status.EvaluationError = err.Error()
	}
	return status
}

func (a access) selfRules(ctx context.Context, who user.Info, asked runtime.Object) (runtime.Object, error) {
	review := asked.(*authorizationv1.SelfSubjectRulesReview)
	if review.Spec.Namespace == "" {
		return nil, apierrors.NewBadRequest("no namespace on request")
	}
	resources, paths, incomplete, err := a.authorizer.RulesFor(ctx, who, review.Spec.Namespace)
	review.Status = authorizationv1.SubjectRulesReviewStatus{
		ResourceRules:    make([]authorizationv1.ResourceRule, 0, len(resources)),
		NonResourceRules: make([]authorizationv1.NonResourceRule, 0, len(paths)),
		Incomplete:       incomplete,
	}
	if err != nil {
		review.Status.EvaluationError = err.Error()
	}
	for _, r := range resources {
		review.Status.ResourceRules = append(review.Status.ResourceRules, authorizationv1.ResourceRule{
			Verbs: r.GetVerbs(), APIGroups: r.GetAPIGroups(), Resources: r.GetResources(), ResourceNames: r.GetResourceNames(),
		})
	}
	for _, r := range paths {
		review.Status.NonResourceRules = append(review.Status.NonResourceRules, authorizationv1.NonResourceRule{
			Verbs: r.GetVerbs(), NonResourceURLs: r.GetNonResourceURLs(),
		})
	}
	return review, nil
}
