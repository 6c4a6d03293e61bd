package manifests

import (
	"context"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/rbac"
	krbacv1 "k8s.io/kubernetes/pkg/apis/rbac/v1"
	"k8s.io/kubernetes/pkg/apis/rbac/validation"
)

func roleKind() *Kind {
	return newKind(rbacv1.SchemeGroupVersion.WithKind("Role"), Kind{
		Resource: "roles", Namespaced: true, CreateOnUpdate: true,
		New: newOf[*rbacv1.Role](), NewList: newOf[*rbacv1.RoleList](),
		Rules: &rules[*rbacv1.Role, rbac.Role]{
			namespaced:   true,
			toInternal:   krbacv1.Convert_v1_Role_To_rbac_Role,
			fromInternal: krbacv1.Convert_rbac_Role_To_v1_Role,
			validateCreate: func(_ context.Context, r *rbac.Role) field.ErrorList {
				return validation.ValidateRole(r)
			},
			updates: map[string]update[rbac.Role]{
				SubresourceNone: {validate: func(_ context.Context, r, old *rbac.Role) field.ErrorList {
					return validation.ValidateRoleUpdate(r, old)
				}},
			},
		},
	})
}

func roleBindingKind() *Kind {
	return newKind(rbacv1.SchemeGroupVersion.WithKind("RoleBinding"), Kind{
		Resource: "rolebindings", Namespaced: true, CreateOnUpdate: true,
		New: newOf[*rbacv1.RoleBinding](), NewList: newOf[*rbacv1.RoleBindingList](),
		Rules: &rules[*rbacv1.RoleBinding, rbac.RoleBinding]{
			namespaced:   true,
			toInternal:   krbacv1.Convert_v1_RoleBinding_To_rbac_RoleBinding,
			fromInternal: krbacv1.Convert_rbac_RoleBinding_To_v1_RoleBinding,
			validateCreate: func(_ context.Context, b *rbac.RoleBinding) field.ErrorList {
				return validation.ValidateRoleBinding(b)
			},
			updates: map[string]update[rbac.RoleBinding]{
				SubresourceNone: {validate: func(_ context.Context, b, old *rbac.RoleBinding) field.ErrorList {
					return validation.ValidateRoleBindingUpdate(b, old)
				}},
			},
		},
	})
}

func clusterRoleKind() *Kind {
	return newKind(rbacv1.SchemeGroupVersion.WithKind("ClusterRole"), Kind{
		Resource: "clusterroles", CreateOnUpdate: true,
		New: newOf[*rbacv1.ClusterRole](), NewList: newOf[*rbacv1.ClusterRoleList](),
		Rules: &rules[*rbacv1.ClusterRole, rbac.ClusterRole]{
			toInternal:   krbacv1.Convert_v1_ClusterRole_To_rbac_ClusterRole,
			fromInternal: krbacv1.Convert_rbac_ClusterRole_To_v1_ClusterRole,
			validateCreate: func(_ context.Context, r *rbac.ClusterRole) field.ErrorList {
				return validation.ValidateClusterRole(r, validation.ClusterRoleValidationOptions{})
			},
			updates: map[string]update[rbac.ClusterRole]{
				SubresourceNone: {validate: func(_ context.Context, r, old *rbac.ClusterRole) field.ErrorList {
					o := validation.ClusterRoleValidationOptions{AllowInvalidLabelValueInSelector: aggregatesByInvalidLabels(old)}
					return validation.ValidateClusterRoleUpdate(r, old, o)
				}},
			},
		},
	})
}

func clusterRoleBindingKind() *Kind {
	return newKind(rbacv1.SchemeGroupVersion.WithKind("ClusterRoleBinding"), Kind{
		Resource: "clusterrolebindings", CreateOnUpdate: true,
		New: newOf[*rbacv1.ClusterRoleBinding](), NewList: newOf[*rbacv1.ClusterRoleBindingList](),
		Rules: &rules[*rbacv1.ClusterRoleBinding, rbac.ClusterRoleBinding]{
			toInternal:   krbacv1.Convert_v1_ClusterRoleBinding_To_rbac_ClusterRoleBinding,
			fromInternal: krbacv1.Convert_rbac_ClusterRoleBinding_To_v1_ClusterRoleBinding,
			validateCreate: func(_ context.Context, b *rbac.ClusterRoleBinding) field.ErrorList {
				return validation.ValidateClusterRoleBinding(b)
			},
			updates: map[string]update[rbac.ClusterRoleBinding]{
				SubresourceNone: {validate: func(_ context.Context, b, old *rbac.ClusterRoleBinding) field.ErrorList {
					return validation.ValidateClusterRoleBindingUpdate(b, old)
				}},
			},
		},
	})
}

// aggregatesByInvalidLabels reports whether a role that is stored aggregates by a selector that is
// refused today, which it may keep.
func aggregatesByInvalidLabels(r *rbac.ClusterRole) bool {
	if r.AggregationRule == nil {
		return false
	}
	for _, selector := range r.AggregationRule.ClusterRoleSelectors {
		if len(metav1validation.ValidateLabelSelector(&selector, metav1validation.LabelSelectorValidationOptions{}, nil)) > 0 {
			return true
		}
	}
	return false
}
