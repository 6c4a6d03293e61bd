// Package reviews answers the questions that clients ask about themselves and about others: who is
// that, and what may they do? These resources are never stored.
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
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
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
	answer func(ctx context.Context, who user.Info, asked runtime.Object) (runtime.Object, error)
}

// Options are what the answers come from. Tokens may be nil: then no token is good.
type Options struct {
	Clock      clock.PassiveClock
	Authorizer Authorizer
	Tokens     authenticator.Token
	// Audiences are those of the API, for which a token is asked about that names none.
	Audiences authenticator.Audiences
}

// Authorizer decides what users may do, and knows all that they may.
type Authorizer interface {
	authorizer.UnconditionalAuthorizer
	authorizer.RuleResolver
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
	s.AddKnownTypes(internal(authenticationv1.GroupName), &authenticationv1.SelfSubjectReview{}, &authenticationv1.TokenReview{})
	s.AddKnownTypes(internal(authorizationv1.GroupName), &authorizationv1.SelfSubjectAccessReview{},
		&authorizationv1.SelfSubjectRulesReview{}, &authorizationv1.SubjectAccessReview{}, &authorizationv1.LocalSubjectAccessReview{})
	return s, nil
}

// All returns every review.
func All(o Options) []*Storage {
	authentication, authorization := authenticationv1.SchemeGroupVersion, authorizationv1.SchemeGroupVersion
	access := access{o.Authorizer}
	return []*Storage{
		{
			Resource: authentication.WithResource("selfsubjectreviews"), Kind: "SelfSubjectReview", singular: "selfsubjectreview",
			empty: func() runtime.Object { return &authenticationv1.SelfSubjectReview{} },
			answer: func(_ context.Context, who user.Info, _ runtime.Object) (runtime.Object, error) {
				return describe(who, metav1.NewTime(o.Clock.Now())), nil
			},
		},
		{
			Resource: authentication.WithResource("tokenreviews"), Kind: "TokenReview", singular: "tokenreview",
			empty:  func() runtime.Object { return &authenticationv1.TokenReview{} },
			answer: tokens{o.Tokens, o.Audiences}.review,
		},
		{
			Resource: authorization.WithResource("selfsubjectaccessreviews"), Kind: "SelfSubjectAccessReview", singular: "selfsubjectaccessreview",
			empty:  func() runtime.Object { return &authorizationv1.SelfSubjectAccessReview{} },
			answer: access.self,
		},
		{
			Resource: authorization.WithResource("selfsubjectrulesreviews"), Kind: "SelfSubjectRulesReview", singular: "selfsubjectrulesreview",
			empty:  func() runtime.Object { return &authorizationv1.SelfSubjectRulesReview{} },
			answer: access.selfRules,
		},
		{
			Resource: authorization.WithResource("subjectaccessreviews"), Kind: "SubjectAccessReview", singular: "subjectaccessreview",
			empty:  func() runtime.Object { return &authorizationv1.SubjectAccessReview{} },
			answer: access.subject,
		},
		{
			Resource: authorization.WithResource("localsubjectaccessreviews"), Kind: "LocalSubjectAccessReview", singular: "localsubjectaccessreview",
			namespaced: true,
			empty:      func() runtime.Object { return &authorizationv1.LocalSubjectAccessReview{} },
			answer:     access.local,
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
	return s.answer(ctx, who, asked)
}

func describe(who user.Info, now metav1.Time) *authenticationv1.SelfSubjectReview {
	return &authenticationv1.SelfSubjectReview{
		ObjectMeta: metav1.ObjectMeta{CreationTimestamp: now},
		Status:     authenticationv1.SelfSubjectReviewStatus{UserInfo: userInfo(who)},
	}
}

func userInfo(who user.Info) authenticationv1.UserInfo {
	out := authenticationv1.UserInfo{Username: who.GetName(), UID: who.GetUID(), Groups: who.GetGroups()}
	for key, values := range who.GetExtra() {
		if out.Extra == nil {
			out.Extra = map[string]authenticationv1.ExtraValue{}
		}
		out.Extra[key] = values
	}
	return out
}
