package rbac

import (
	"context"
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	krbacv1 "k8s.io/kubernetes/pkg/apis/rbac/v1"
)

// Authorizer lets members of system:masters do everything, and others what roles let them.
type Authorizer struct {
	rules Rules
	ready <-chan struct{}
}

var (
	_ authorizer.UnconditionalAuthorizer = (*Authorizer)(nil)
	_ authorizer.RuleResolver            = (*Authorizer)(nil)
)

// NewAuthorizer decides by the roles of a state. Until ready is closed, because the roles that every
// cluster has are there, whoever is no member of system:masters waits. A nil channel is ready.
func NewAuthorizer(state Reader, ready <-chan struct{}) *Authorizer {
	return &Authorizer{rules: RulesOf(state), ready: ready}
}

// Authorize implements authorizer.UnconditionalAuthorizer.
func (a *Authorizer) Authorize(ctx context.Context, asked authorizer.Attributes) (authorizer.Decision, string, error) {
	who := asked.GetUser()
	if who == nil {
		return authorizer.DecisionNoOpinion, "", nil
	}
	if Privileged(who) {
		return authorizer.DecisionAllow, "", nil
	}
	if err := a.await(ctx); err != nil {
		return authorizer.DecisionNoOpinion, "", err
	}
	var reason string
	var errs []error
	a.rules.VisitRulesFor(ctx, who, asked.GetNamespace(), func(from fmt.Stringer, rule *rbacv1.PolicyRule, err error) bool {
		if rule != nil && allows(rule, asked) {
			reason = "RBAC: allowed by " + from.String()
			return false
		}
		if err != nil {
			errs = append(errs, err)
		}
		return true
	})
	if reason != "" {
		return authorizer.DecisionAllow, reason, nil
	}
	if len(errs) > 0 {
		reason = fmt.Sprintf("RBAC: %v", utilerrors.NewAggregate(errs))
	}
	return authorizer.DecisionNoOpinion, reason, nil
}

func (a *Authorizer) await(ctx context.Context) error {
	if a.ready == nil {
		return nil
	}
	select {
	case <-a.ready:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the default roles: %w", ctx.Err())
	}
}

// Privileged reports whether a user is a member of system:masters, who may do everything.
func Privileged(who user.Info) bool {
	return slices.Contains(who.GetGroups(), user.SystemPrivilegedGroup)
}

// allows reports whether a rule allows what is asked for.
func allows(rule *rbacv1.PolicyRule, asked authorizer.Attributes) bool {
	if !krbacv1.VerbMatches(rule, asked.GetVerb()) {
		return false
	}
	if !asked.IsResourceRequest() {
		return krbacv1.NonResourceURLMatches(rule, asked.GetPath())
	}
	if !krbacv1.APIGroupMatches(rule, asked.GetAPIGroup()) || !krbacv1.ResourceNameMatches(rule, asked.GetName()) {
		return false
	}
	resource := asked.GetResource()
	if sub := asked.GetSubresource(); sub != "" {
		resource += "/" + sub
	}
	return krbacv1.ResourceMatches(rule, resource, asked.GetSubresource())
}

// RulesFor implements authorizer.RuleResolver.
func (a *Authorizer) RulesFor(ctx context.Context, who user.Info, namespace string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	var resources []authorizer.ResourceRuleInfo
	var paths []authorizer.NonResourceRuleInfo
	if Privileged(who) {
		all := []string{"*"}
		resources = append(resources, &authorizer.DefaultResourceRuleInfo{Verbs: all, APIGroups: all, Resources: all})
		paths = append(paths, &authorizer.DefaultNonResourceRuleInfo{Verbs: all, NonResourceURLs: all})
	}
	if err := a.await(ctx); err != nil {
		return nil, nil, true, err
	}
	rules, err := a.rules.RulesFor(ctx, who, namespace)
	for _, r := range rules {
		if len(r.Resources) > 0 {
			resources = append(resources, &authorizer.DefaultResourceRuleInfo{
				Verbs: r.Verbs, APIGroups: r.APIGroups, Resources: r.Resources, ResourceNames: r.ResourceNames,
			})
		}
		if len(r.NonResourceURLs) > 0 {
			paths = append(paths, &authorizer.DefaultNonResourceRuleInfo{Verbs: r.Verbs, NonResourceURLs: r.NonResourceURLs})
		}
	}
	return resources, paths, false, err
}
