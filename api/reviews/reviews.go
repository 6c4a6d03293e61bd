// Package reviews answers the questions clients ask about themselves: who am I, and what may I do?
// In skiff whoever is known may do everything, so these resources are never stored: they exist for
// `kubectl auth`, helm and k9s, which ask before they act.
package reviews

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/utils/clock"
)

// Storage is a resource that can only be created, and answers on the spot.
type Storage struct {
	// Resource and Kind name it.
	Resource schema.GroupVersionResource
	Kind     string
	singular string
	// namespaced says that it is created in a namespace.
	namespaced bool

	empty  func() runtime.Object
	answer func(who user.Info, asked runtime.Object) (runtime.Object, error)
}

var (
	_ rest.Creater              = (*Storage)(nil)
	_ rest.Scoper               = (*Storage)(nil)
	_ rest.SingularNameProvider = (*Storage)(nil)
)

// Scheme knows the types of all reviews. Its internal versions are the served ones.
func Scheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	metav1.AddToGroupVersion(s, metav1.Unversioned)
	for _, add := range []func(*runtime.Scheme) error{authenticationv1.AddToScheme, authorizationv1.AddToScheme} {
		if err := add(s); err != nil {
			return nil, fmt.Errorf("registering the types of reviews: %w", err)
		}
	}
	internal := func(group string) schema.GroupVersion {
		return schema.GroupVersion{Group: group, Version: runtime.APIVersionInternal}
	}
	s.AddKnownTypes(internal(authenticationv1.GroupName), &authenticationv1.SelfSubjectReview{})
	s.AddKnownTypes(internal(authorizationv1.GroupName), &authorizationv1.SelfSubjectAccessReview{},
		&authorizationv1.SelfSubjectRulesReview{}, &authorizationv1.SubjectAccessReview{}, &authorizationv1.LocalSubjectAccessReview{})
	return s, nil
}

// All returns every review.
func All(clk clock.PassiveClock) []*Storage {
	authentication, authorization := authenticationv1.SchemeGroupVersion, authorizationv1.SchemeGroupVersion
	return []*Storage{
		{
			Resource: authentication.WithResource("selfsubjectreviews"), Kind: "SelfSubjectReview", singular: "selfsubjectreview",
			empty: func() runtime.Object { return &authenticationv1.SelfSubjectReview{} },
			answer: func(who user.Info, _ runtime.Object) (runtime.Object, error) {
				return describe(who, metav1.NewTime(clk.Now())), nil
			},
		},
		{
			Resource: authorization.WithResource("selfsubjectaccessreviews"), Kind: "SelfSubjectAccessReview", singular: "selfsubjectaccessreview",
			empty:  func() runtime.Object { return &authorizationv1.SelfSubjectAccessReview{} },
			answer: selfAccess,
		},
		{
			Resource: authorization.WithResource("selfsubjectrulesreviews"), Kind: "SelfSubjectRulesReview", singular: "selfsubjectrulesreview",
			empty:  func() runtime.Object { return &authorizationv1.SelfSubjectRulesReview{} },
			answer: selfRules,
		},
		{
			Resource: authorization.WithResource("subjectaccessreviews"), Kind: "SubjectAccessReview", singular: "subjectaccessreview",
			empty:  func() runtime.Object { return &authorizationv1.SubjectAccessReview{} },
			answer: access,
		},
		{
			Resource: authorization.WithResource("localsubjectaccessreviews"), Kind: "LocalSubjectAccessReview", singular: "localsubjectaccessreview",
			namespaced: true,
			empty:      func() runtime.Object { return &authorizationv1.LocalSubjectAccessReview{} },
			answer:     localAccess,
		},
	}
}

// New implements rest.Storage.
func (s *Storage) New() runtime.Object { return s.empty() }

// Destroy implements rest.Storage.
func (s *Storage) Destroy() {}

// NamespaceScoped implements rest.Scoper.
func (s *Storage) NamespaceScoped() bool { return s.namespaced }

// GetSingularName implements rest.SingularNameProvider.
func (s *Storage) GetSingularName() string { return s.singular }

// Create implements rest.Creater: it answers the review.
func (s *Storage) Create(ctx context.Context, asked runtime.Object, validate rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	who, ok := request.UserFrom(ctx)
	if !ok {
		return nil, apierrors.NewBadRequest("no user present on request")
	}
	if validate != nil {
		if err := validate(ctx, asked); err != nil {
			return nil, err
		}
	}
	return s.answer(who, asked)
}

func describe(who user.Info, now metav1.Time) *authenticationv1.SelfSubjectReview {
	out := &authenticationv1.SelfSubjectReview{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: now}}
	out.Status.UserInfo = authenticationv1.UserInfo{Username: who.GetName(), UID: who.GetUID(), Groups: who.GetGroups()}
	for key, values := range who.GetExtra() {
		if out.Status.UserInfo.Extra == nil {
			out.Status.UserInfo.Extra = map[string]authenticationv1.ExtraValue{}
		}
		out.Status.UserInfo.Extra[key] = values
	}
	return out
}

// allowed is the verdict on everything that a known user asks for.
func allowed() authorizationv1.SubjectAccessReviewStatus {
	return authorizationv1.SubjectAccessReviewStatus{Allowed: true, Reason: "skiff lets every known user do everything"}
}

func selfAccess(_ user.Info, asked runtime.Object) (runtime.Object, error) {
	review := asked.(*authorizationv1.SelfSubjectAccessReview)
	spec := field.NewPath("spec")
	if errs := oneKind(spec, review.Spec.ResourceAttributes, review.Spec.NonResourceAttributes); len(errs) > 0 {
		return nil, apierrors.NewInvalid(authorizationv1.SchemeGroupVersion.WithKind("SelfSubjectAccessReview").GroupKind(), "", errs)
	}
	review.Status = allowed()
	return review, nil
}

func access(_ user.Info, asked runtime.Object) (runtime.Object, error) {
	review := asked.(*authorizationv1.SubjectAccessReview)
	if errs := checkAccess(&review.Spec); len(errs) > 0 {
		return nil, apierrors.NewInvalid(authorizationv1.SchemeGroupVersion.WithKind("SubjectAccessReview").GroupKind(), "", errs)
	}
	review.Status = allowed()
	return review, nil
}

// localAccess is access within a namespace: the one that the review is created in.
func localAccess(_ user.Info, asked runtime.Object) (runtime.Object, error) {
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
	review.Status = allowed()
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

func selfRules(_ user.Info, asked runtime.Object) (runtime.Object, error) {
	review := asked.(*authorizationv1.SelfSubjectRulesReview)
	if review.Spec.Namespace == "" {
		return nil, apierrors.NewBadRequest("no namespace on request")
	}
	all := []string{"*"}
	review.Status = authorizationv1.SubjectRulesReviewStatus{
		ResourceRules:    []authorizationv1.ResourceRule{{Verbs: all, APIGroups: all, Resources: all}},
		NonResourceRules: []authorizationv1.NonResourceRule{{Verbs: all, NonResourceURLs: all}},
	}
	return review, nil
}
