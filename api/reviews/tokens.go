package reviews

import (
	"context"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
)

// tokens answers whose a token is.
type tokens struct {
	authenticator authenticator.Token
	audiences     authenticator.Audiences
}

func (t tokens) review(ctx context.Context, _ user.Info, asked runtime.Object) (runtime.Object, error) {
	review := asked.(*authenticationv1.TokenReview)
	if review.Spec.Token == "" {
		return nil, apierrors.NewBadRequest("token is required for TokenReview in authentication")
	}
	review.Status = authenticationv1.TokenReviewStatus{}
	if t.authenticator == nil {
		return review, nil
	}
	audiences := authenticator.Audiences(review.Spec.Audiences)
	if len(audiences) == 0 {
		audiences = t.audiences
	}
	found, ok, err := t.authenticator.AuthenticateToken(authenticator.WithAudiences(ctx, audiences), review.Spec.Token)
	review.Status.Authenticated = ok && err == nil
	if err != nil {
		review.Status.Error = err.Error()
	}
	if review.Status.Authenticated {
		review.Status.User = userInfo(found.User)
		review.Status.Audiences = found.Audiences
	}
	return review, nil
}
