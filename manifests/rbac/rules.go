// Package rbac decides by roles and bindings who may do what, as upstream's authorizer of that name
// does (k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac), and knows the roles that every cluster has.
// https://kubernetes.io/docs/reference/access-authn-authz/rbac/
package rbac

import (
	"context"
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/kubernetes/pkg/registry/rbac/validation"

	"skiff/manifests/registry"
	"skiff/store"
)

// Names of what is read, as the store has them.
const (
	roles               = "roles.rbac.authorization.k8s.io"
	clusterRoles        = "clusterroles.rbac.authorization.k8s.io"
	roleBindings        = "rolebindings.rbac.authorization.k8s.io"
	clusterRoleBindings = "clusterrolebindings.rbac.authorization.k8s.io"
)

// Reader is the state with registry.Indexes; *store.Store is one.
type Reader interface {
	Get(store.Key) (store.Object, bool)
	ByIndex(resource, index, value string) []store.Object
	Snapshot(resource string) store.Snapshot
}

// Rules finds the rules that hold for a user. Only bindings of which the user, or one of the user's
// groups, is a subject are looked at, and what is found is kept until a role or a binding changes.
type Rules struct {
	state Reader
	known *grants
}

var _ validation.AuthorizationRuleResolver = Rules{}

// RulesOf reads the rules of a state.
func RulesOf(state Reader) Rules { return Rules{state: state, known: &grants{}} }

// GetRoleReferenceRules implements validation.AuthorizationRuleResolver.
func (r Rules) GetRoleReferenceRules(_ context.Context, ref rbacv1.RoleRef, namespace string) ([]rbacv1.PolicyRule, error) {
	return r.of(ref, namespace)
}

// of are the rules of the role that a binding in a namespace, or in none, refers to.
func (r Rules) of(ref rbacv1.RoleRef, namespace string) ([]rbacv1.PolicyRule, error) {
	switch ref.Kind {
	case "Role":
		if found, ok := r.state.Get(store.Key{Resource: roles, Namespace: namespace, Name: ref.Name}); ok {
			return found.(*rbacv1.Role).Rules, nil
		}
		return nil, apierrors.NewNotFound(schema.GroupResource{Group: rbacv1.GroupName, Resource: "roles"}, ref.Name)
	case "ClusterRole":
		if found, ok := r.state.Get(store.Key{Resource: clusterRoles, Name: ref.Name}); ok {
			return found.(*rbacv1.ClusterRole).Rules, nil
		}
		return nil, apierrors.NewNotFound(schema.GroupResource{Group: rbacv1.GroupName, Resource: "clusterroles"}, ref.Name)
	}
	return nil, fmt.Errorf("unsupported role reference kind: %q", ref.Kind)
}

// RulesFor implements validation.AuthorizationRuleResolver.
func (r Rules) RulesFor(ctx context.Context, who user.Info, namespace string) ([]rbacv1.PolicyRule, error) {
	var rules []rbacv1.PolicyRule
	var errs []error
	r.VisitRulesFor(ctx, who, namespace, func(_ fmt.Stringer, rule *rbacv1.PolicyRule, err error) bool {
		if rule != nil {
			rules = append(rules, *rule)
		}
		if err != nil {
			errs = append(errs, err)
		}
		return true
	})
	return rules, utilerrors.NewAggregate(errs)
}

// VisitRulesFor implements validation.AuthorizationRuleResolver.
func (r Rules) VisitRulesFor(_ context.Context, who user.Info, namespace string, visit func(fmt.Stringer, *rbacv1.PolicyRule, error) bool) {
	if r.visit(clusterRoleBindings, "", who, visit) && namespace != "" {
		r.visit(roleBindings, namespace, who, visit)
	}
}

// visit goes through the bindings of a kind, and returns false once the visitor has.
func (r Rules) visit(resource, namespace string, who user.Info, visit func(fmt.Stringer, *rbacv1.PolicyRule, error) bool) bool {
	if !r.visitSubject(subject{resource, namespace, rbacv1.UserKind, who.GetName()}, visit) {
		return false
	}
	for _, group := range who.GetGroups() {
		if !r.visitSubject(subject{resource, namespace, rbacv1.GroupKind, group}, visit) {
			return false
		}
	}
	return true
}

func (r Rules) visitSubject(s subject, visit func(fmt.Stringer, *rbacv1.PolicyRule, error) bool) bool {
	for _, g := range r.known.of(r.state, s, r.find) {
		if g.err != nil && !visit(nil, nil, g.err) {
			return false
		}
		for i := range g.rules {
			if !visit(g.from, &g.rules[i], nil) {
				return false
			}
		}
	}
	return true
}

// find looks up what bindings grant to a subject.
func (r Rules) find(s subject) []grant {
	var all []grant
	for _, found := range r.state.ByIndex(s.bindings, registry.IndexSubject, registry.SubjectOf(s.namespace, s.kind, s.name)) {
		from := &source{binding: found, kind: s.kind, name: s.name}
		rules, err := r.of(from.role(), s.namespace)
		all = append(all, grant{from: from, rules: rules, err: err})
	}
	return all
}

// source is the binding that grants a rule, and the user or group to whom.
type source struct {
	binding    store.Object
	kind, name string
}

func (s *source) role() rbacv1.RoleRef {
	if b, ok := s.binding.(*rbacv1.RoleBinding); ok {
		return b.RoleRef
	}
	return s.binding.(*rbacv1.ClusterRoleBinding).RoleRef
}

// String says it in upstream's words.
func (s *source) String() string {
	kind, name, subjects := "ClusterRoleBinding", s.binding.GetName(), []rbacv1.Subject(nil)
	if b, ok := s.binding.(*rbacv1.RoleBinding); ok {
		kind, name, subjects = "RoleBinding", name+"/"+b.Namespace, b.Subjects
	} else {
		subjects = s.binding.(*rbacv1.ClusterRoleBinding).Subjects
	}
	role := s.role()
	return kind + ` "` + name + `" of ` + role.Kind + ` "` + role.Name + `" to ` + s.subject(subjects)
}

// subject is the subject in the form in which the binding names it.
func (s *source) subject(subjects []rbacv1.Subject) string {
	for _, subject := range subjects {
		if subject.Kind == s.kind && subject.Name == s.name {
			return s.kind + ` "` + s.name + `"`
		}
	}
	for _, subject := range subjects {
		if subject.Kind != rbacv1.ServiceAccountKind {
			continue
		}
		of := subject.Namespace
		if of == "" {
			of = s.binding.GetNamespace()
		}
		if s.name == "system:serviceaccount:"+of+":"+subject.Name {
			return subject.Kind + ` "` + subject.Name + "/" + of + `"`
		}
	}
	return s.kind + ` "` + s.name + `"`
}
