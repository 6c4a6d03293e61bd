// Package roles looks after roles: those that every cluster has, and those that are made of others.
package roles

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/auth/rbac/validation"

	"skiff/manifests/rbac"
	"skiff/manifests/registry"
	"skiff/store"
)

// together is how many objects are written at a time: they share transactions.
const together = 32

// EnsureDefaults makes the roles and bindings that every cluster has, and gives those that are there
// what they lack, unless their annotation rbac.authorization.kubernetes.io/autoupdate is "false":
// permissions, subjects, labels and annotations. It takes nothing away, but a binding that has come
// to refer to another role is made anew. If nothing is missing it writes nothing.
// https://kubernetes.io/docs/reference/access-authn-authz/rbac/#auto-reconciliation
func EnsureDefaults(ctx context.Context, r *registry.Registry) error {
	wanted, err := rbac.Defaults()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(together)
	ensureAll(ctx, group, wanted.ClusterRoles, defaults[*rbacv1.ClusterRole]{client: registry.For[*rbacv1.ClusterRole](r), add: addToClusterRole})
	ensureAll(ctx, group, wanted.Roles, defaults[*rbacv1.Role]{client: registry.For[*rbacv1.Role](r), add: addToRole})
	ensureAll(ctx, group, wanted.ClusterRoleBindings, defaults[*rbacv1.ClusterRoleBinding]{
		client: registry.For[*rbacv1.ClusterRoleBinding](r), add: addToClusterRoleBinding,
		other: func(have, want *rbacv1.ClusterRoleBinding) bool { return have.RoleRef != want.RoleRef },
	})
	ensureAll(ctx, group, wanted.RoleBindings, defaults[*rbacv1.RoleBinding]{
		client: registry.For[*rbacv1.RoleBinding](r), add: addToRoleBinding,
		other: func(have, want *rbacv1.RoleBinding) bool { return have.RoleRef != want.RoleRef },
	})
	return group.Wait()
}

// defaults is how the objects of a kind are made and completed.
type defaults[T store.Object] struct {
	client registry.Client[T]
	// add gives an object what it lacks.
	add func(have, want T)
	// other, unless nil, reports whether an object has to be made anew because no update can make it
	// the wanted one.
	other func(have, want T) bool
}

// ensureAll has the group make each wanted object, or complete what is there.
func ensureAll[T store.Object](ctx context.Context, group *errgroup.Group, wanted []T, d defaults[T]) {
	for _, want := range wanted {
		group.Go(func() error {
			if err := d.ensure(ctx, want); err != nil {
				return fmt.Errorf("making the default %T %s: %w", want, want.GetName(), err)
			}
			return nil
		})
	}
}

func (d defaults[T]) ensure(ctx context.Context, want T) error {
	have, err := d.client.Get(want.GetNamespace(), want.GetName())
	if apierrors.IsNotFound(err) {
		_, err = d.client.Create(ctx, want)
		return err
	}
	if err != nil || have.GetAnnotations()[rbacv1.AutoUpdateAnnotationKey] == "false" {
		return err
	}
	if d.other != nil && d.other(have, want) {
		uid := have.GetUID()
		o := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}}
		if err := d.client.Delete(ctx, want.GetNamespace(), want.GetName(), o); err != nil {
			return err
		}
		_, err = d.client.Create(ctx, want)
		return err
	}
	complete := func(have T) error {
		have.SetLabels(merged(want.GetLabels(), have.GetLabels()))
		have.SetAnnotations(merged(want.GetAnnotations(), have.GetAnnotations()))
		d.add(have, want)
		return nil
	}
	// An update that changes nothing writes nothing, but is checked as a whole.
	tried := have.DeepCopyObject().(T)
	if err := complete(tried); err != nil || equality.Semantic.DeepEqual(tried, have) {
		return err
	}
	_, err = d.client.Update(ctx, want.GetNamespace(), want.GetName(), complete)
	return err
}

// merged holds both maps; of a key that both have, the second's value.
func merged(a, b map[string]string) map[string]string {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

func addToClusterRole(have, want *rbacv1.ClusterRole) {
	switch {
	case want.AggregationRule == nil:
		have.AggregationRule = nil
		have.Rules = withMissingRules(have.Rules, want.Rules)
	case have.AggregationRule == nil:
		have.AggregationRule = want.AggregationRule
	default: // what it aggregates is the business of Aggregation
		for _, selector := range want.AggregationRule.ClusterRoleSelectors {
			if !slices.ContainsFunc(have.AggregationRule.ClusterRoleSelectors, func(s metav1.LabelSelector) bool { return equality.Semantic.DeepEqual(s, selector) }) {
				have.AggregationRule.ClusterRoleSelectors = append(have.AggregationRule.ClusterRoleSelectors, selector)
			}
		}
	}
}

func addToRole(have, want *rbacv1.Role) { have.Rules = withMissingRules(have.Rules, want.Rules) }

func withMissingRules(have, want []rbacv1.PolicyRule) []rbacv1.PolicyRule {
	if equality.Semantic.DeepEqual(have, want) {
		return have // as nearly always; to compare what rules cover is dear
	}
	_, missing := validation.Covers(have, want)
	return append(have, missing...)
}

func addToClusterRoleBinding(have, want *rbacv1.ClusterRoleBinding) {
	have.Subjects = withMissingSubjects(have.Subjects, want.Subjects)
}

func addToRoleBinding(have, want *rbacv1.RoleBinding) {
	have.Subjects = withMissingSubjects(have.Subjects, want.Subjects)
}

func withMissingSubjects(have, want []rbacv1.Subject) []rbacv1.Subject {
	for _, s := range want {
		if !slices.Contains(have, s) {
			have = append(have, s)
		}
	}
	return have
}
