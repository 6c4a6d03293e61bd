package roles

import (
	"context"
	"fmt"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"skiff/manifests/rbac"
	"skiff/manifests/registry"
	"skiff/orchestrator/controller"
)

// Aggregation gives ClusterRoles that select others the rules of those
// (k8s.io/kubernetes/pkg/controller/clusterroleaggregation).
// https://kubernetes.io/docs/reference/access-authn-authz/rbac/#aggregated-clusterroles
type Aggregation struct {
	env   controller.Env
	roles registry.Client[*rbacv1.ClusterRole]
}

// NewAggregation returns the controller.
func NewAggregation(env controller.Env) *Aggregation {
	return &Aggregation{env: env, roles: registry.For[*rbacv1.ClusterRole](env.Registry)}
}

// Run works until ctx ends.
func (a *Aggregation) Run(ctx context.Context) error {
	loop := controller.Loop[string]{
		Name: "clusterrole-aggregation", Reconcile: a.reconcile,
		Sources: []controller.Source[string]{
			controller.Follow(a.env.Feeds.Of("clusterroles.rbac.authorization.k8s.io"), func(now, before *rbacv1.ClusterRole, add func(string)) {
				if now != nil && before != nil && now.AggregationRule == nil && equality.Semantic.DeepEqual(now.Rules, before.Rules) && equality.Semantic.DeepEqual(now.Labels, before.Labels) {
					return
				}
				add(everyRole)
			}),
		},
		Env: a.env,
	}
	return loop.Run(ctx)
}

// everyRole is the one key: a role that changes may be selected by any other.
const everyRole = "clusterroles"

func (a *Aggregation) reconcile(ctx context.Context, _ string) (time.Duration, error) {
	all := a.roles.List("", nil)
	for _, role := range all {
		if role.AggregationRule == nil || role.DeletionTimestamp != nil {
			continue
		}
		if err := a.aggregate(ctx, role, all); err != nil && !apierrors.IsNotFound(err) {
			return 0, fmt.Errorf("aggregating ClusterRole %s: %w", role.Name, err)
		}
	}
	return 0, nil
}

func (a *Aggregation) aggregate(ctx context.Context, role *rbacv1.ClusterRole, all []*rbacv1.ClusterRole) error {
	rules, err := rbac.Aggregate(role, all)
	if err != nil || equality.Semantic.DeepEqual(rules, role.Rules) {
		return err
	}
	_, err = a.roles.Update(ctx, "", role.Name, func(r *rbacv1.ClusterRole) error {
		if r.AggregationRule != nil {
			r.Rules = rules
		}
		return nil
	})
	return err
}
