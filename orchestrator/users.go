package orchestrator

import (
	"context"

	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// as has a controller write as the user that upstream's controller of that name is: webhooks and
// policies tell writers apart by it.
// https://kubernetes.io/docs/reference/access-authn-authz/rbac/#controller-roles
func as(name string, r Runner) Runner {
	return running{r, serviceaccount.UserInfo("kube-system", name, "")}
}

// asComponent is as for what is no controller, but a component of its own.
func asComponent(name string, r Runner) Runner {
	return running{r, &user.DefaultInfo{Name: name, Groups: []string{user.AllAuthenticated}}}
}

// running is a Runner as a user.
type running struct {
	Runner
	user user.Info
}

// Run implements Runner.
func (r running) Run(ctx context.Context) error {
	return r.Runner.Run(request.WithUser(ctx, r.user))
}
