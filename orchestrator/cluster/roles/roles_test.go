package roles

import (
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/orchestrator/internal/testbed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func ensureDefaults(t *testing.T, b *testbed.Bed) {
	t.Helper()
	if err := EnsureDefaults(t.Context(), b.Registry); err != nil {
		t.Fatal(err)
	}
}

func TestEnsureDefaults(t *testing.T) {
	b := testbed.New(t)
	ensureDefaults(t, b)
	view, ok := testbed.Get[*rbacv1.ClusterRole](b, "", "view")
	if !ok || view.Labels["kubernetes.io/bootstrapping"] != "rbac-defaults" || len(view.Rules) < 10 {
		t.Fatalf("view: %v", view)
	}
	before := b.Store.Revision()
	ensureDefaults(t, b)
	if after := b.Store.Revision(); after != before {
		t.Errorf("a further start wrote %d times", after-before)
	}

	// What somebody has added stays, what somebody has taken away comes back, and a role that has opted
	// out is left alone.
	own := rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"widgets"}}
	testbed.Update(b, "", "system:discovery", func(r *rbacv1.ClusterRole) { r.Rules, r.Labels["mine"] = []rbacv1.PolicyRule{own}, "yes" })
	testbed.Update(b, "", "system:basic-user", func(r *rbacv1.ClusterRole) {
		r.Rules, r.Annotations[rbacv1.AutoUpdateAnnotationKey] = nil, "false"
	})
	testbed.Update(b, "", "system:discovery", func(b *rbacv1.ClusterRoleBinding) { b.Subjects = nil })
	testbed.Delete[*rbacv1.ClusterRoleBinding](b, "", "system:basic-user")
	testbed.Create(b, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "system:basic-user"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
	})
	ensureDefaults(t, b)
	discovery, _ := testbed.Get[*rbacv1.ClusterRole](b, "", "system:discovery")
	if len(discovery.Rules) < 2 || discovery.Rules[0].Resources[0] != "widgets" || discovery.Labels["mine"] != "yes" {
		t.Errorf("system:discovery %v", discovery)
	}
	if user, _ := testbed.Get[*rbacv1.ClusterRole](b, "", "system:basic-user"); user.Rules != nil {
		t.Errorf("one that has opted out: %v", user)
	}
	if bound, _ := testbed.Get[*rbacv1.ClusterRoleBinding](b, "", "system:discovery"); len(bound.Subjects) != 1 {
		t.Errorf("subjects %v", bound.Subjects)
	}
	if bound, _ := testbed.Get[*rbacv1.ClusterRoleBinding](b, "", "system:basic-user"); bound.RoleRef.Name != "system:basic-user" || len(bound.Subjects) != 1 {
		t.Errorf("a binding of another role: %v", bound)
	}
}

func TestAggregation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := testbed.New(t)
		b.Run(NewAggregation(b.Env()).Run)
		part := func(name, resource string) *rbacv1.ClusterRole {
			return &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"to": "all"}},
				Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{resource}}}}
		}
		testbed.Create(b, part("b", "pods"))
		testbed.Create(b, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "all"},
			Rules:           []rbacv1.PolicyRule{{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}}},
			AggregationRule: &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"to": "all"}}}}})
		want := func(when, want string) {
			t.Helper()
			synctest.Wait()
			var got string
			all, _ := testbed.Get[*rbacv1.ClusterRole](b, "", "all")
			for _, r := range all.Rules {
				got += r.Resources[0] + " "
			}
			if got != want {
				t.Errorf("%s: %q, want %q", when, got, want)
			}
		}
		want("at first", "pods ")
		testbed.Create(b, part("a", "secrets"))
		want("with another", "secrets pods ")
		testbed.Create(b, part("c", "pods"))
		want("with the same again", "secrets pods ")
		testbed.Update(b, "", "a", func(r *rbacv1.ClusterRole) { r.Labels = nil })
		want("without the label", "pods ")
		testbed.Delete[*rbacv1.ClusterRole](b, "", "b")
		testbed.Delete[*rbacv1.ClusterRole](b, "", "c")
		want("when all are gone", "")
	})
}
