package admission

import (
	"context"
	"errors"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/kubernetes/pkg/registry/rbac/validation"

	"skiff/manifests/rbac"
	"skiff/manifests/registry"
	"skiff/store"
)

// Escalation keeps users from granting, by roles and bindings, what they do not have themselves,
// unless they have the verbs escalate or bind. skiff's own parts, who are no users, may.
// https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping
type Escalation struct {
	Rules      rbac.Rules
	Authorizer authorizer.UnconditionalAuthorizer
}

// Admit implements registry.Admitter.
func (Escalation) Admit(context.Context, registry.Request) error { return nil }

// Validate implements registry.Validator.
func (e Escalation) Validate(ctx context.Context, r registry.Request) error {
	if r.Kind.GVK.Group != rbacv1.GroupName || r.Object == nil {
		return nil
	}
	who, ok := request.UserFrom(ctx)
	if !ok || rbac.Privileged(who) || r.Old != nil && onlyCollected(r.Object, r.Old) {
		return nil
	}
	ctx = request.WithNamespace(ctx, r.Namespace) // in which what the user has is looked for
	switch obj := r.Object.(type) {
	case *rbacv1.Role:
		return e.role(ctx, who, r, obj.Rules)
	case *rbacv1.ClusterRole:
		return e.clusterRole(ctx, who, r, obj)
	case *rbacv1.RoleBinding:
		return e.binding(ctx, who, r, obj.RoleRef)
	case *rbacv1.ClusterRoleBinding:
		return e.binding(ctx, who, r, obj.RoleRef)
	}
	return nil
}

func (e Escalation) role(ctx context.Context, who user.Info, r registry.Request, rules []rbacv1.PolicyRule) error {
	gr := r.Kind.GroupResource()
	asked := authorizer.AttributesRecord{
		User: who, Verb: "escalate", APIGroup: gr.Group, APIVersion: "*", Resource: gr.Resource, Name: r.Name, Namespace: r.Namespace, ResourceRequest: true,
	}
	if e.may(ctx, asked) {
		return nil
	}
	if err := validation.ConfirmNoEscalation(ctx, e.Rules, rules); err != nil {
		return apierrors.NewForbidden(gr, nameOf(r), err)
	}
	return nil
}

// everything is what a role that aggregates others may come to grant.
func everything() []rbacv1.PolicyRule {
	all := []string{"*"}
	return []rbacv1.PolicyRule{{Verbs: all, APIGroups: all, Resources: all}, {Verbs: all, NonResourceURLs: all}}
}

func (e Escalation) clusterRole(ctx context.Context, who user.Info, r registry.Request, role *rbacv1.ClusterRole) error {
	if err := e.role(ctx, who, r, role.Rules); err != nil {
		return err
	}
	old, _ := r.Old.(*rbacv1.ClusterRole)
	if !aggregates(role) && (old == nil || !aggregates(old)) {
		return nil
	}
	if e.role(ctx, who, r, everything()) != nil {
		return apierrors.NewForbidden(r.Kind.GroupResource(), nameOf(r), errors.New("must have cluster-admin privileges to use the aggregationRule"))
	}
	return nil
}

func aggregates(r *rbacv1.ClusterRole) bool {
	return r.AggregationRule != nil && len(r.AggregationRule.ClusterRoleSelectors) > 0
}

func (e Escalation) binding(ctx context.Context, who user.Info, r registry.Request, ref rbacv1.RoleRef) error {
	resource := "roles"
	if ref.Kind == "ClusterRole" {
		resource = "clusterroles"
	}
	asked := authorizer.AttributesRecord{
		User: who, Verb: "bind", APIGroup: ref.APIGroup, APIVersion: "*", Resource: resource, Name: ref.Name, Namespace: r.Namespace, ResourceRequest: true,
	}
	if e.may(ctx, asked) {
		return nil
	}
	rules, err := e.Rules.GetRoleReferenceRules(ctx, ref, r.Namespace)
	if err != nil {
		return err
	}
	if err := validation.ConfirmNoEscalation(ctx, e.Rules, rules); err != nil {
		return apierrors.NewForbidden(r.Kind.GroupResource(), nameOf(r), err)
	}
	return nil
}

func (e Escalation) may(ctx context.Context, asked authorizer.Attributes) bool {
	decision, _, err := e.Authorizer.Authorize(ctx, asked)
	return err == nil && decision == authorizer.DecisionAllow
}

// onlyCollected reports whether an update changes no more than what a garbage collector needs to, to
// have the object deleted in the end.
func onlyCollected(obj, old store.Object) bool {
	same := obj.DeepCopyObject().(store.Object)
	same.SetOwnerReferences(old.GetOwnerReferences())
	same.SetFinalizers(old.GetFinalizers())
	same.SetManagedFields(old.GetManagedFields())
	same.SetResourceVersion(old.GetResourceVersion())
	return equality.Semantic.DeepEqual(same, old)
}
