package admission_test

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/utils/ptr"

	"skiff/manifests/admission"
	"skiff/manifests/rbac"
	"skiff/manifests/registry"
	"skiff/store"
)

func rules(words ...string) []rbacv1.PolicyRule {
	var all []rbacv1.PolicyRule
	for _, w := range words { // verb group/resource
		verb, of, _ := strings.Cut(w, " ")
		group, resource, _ := strings.Cut(of, "/")
		all = append(all, rbacv1.PolicyRule{Verbs: []string{verb}, APIGroups: []string{group}, Resources: []string{resource}})
	}
	return all
}

// TestEscalation: who makes a role or a binding must have what it grants, or the right to grant more.
func TestEscalation(t *testing.T) {
	ref := func(kind, name string) rbacv1.RoleRef {
		return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: name}
	}
	has := func(name string, granted ...string) []store.Object {
		return []store.Object{
			&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "of-" + name}, Rules: rules(granted...)},
			&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: ref("ClusterRole", "of-"+name),
				Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: name}}},
		}
	}
	objects := append(has("reader", "get /pods"), has("escalator", "escalate rbac.authorization.k8s.io/roles")...)
	objects = append(objects, has("binder", "bind rbac.authorization.k8s.io/clusterroles")...)
	objects = append(objects, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "secrets"}, Rules: rules("get /secrets")},
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "pods"}, Rules: rules("get /pods")})
	s := state(t, objects...)
	e := admission.Escalation{Rules: rbac.RulesOf(s), Authorizer: rbac.NewAuthorizer(s, nil)}

	role := func(granted ...string) store.Object {
		return &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: "d", Name: "r"}, Rules: rules(granted...)}
	}
	binding := func(kind, name string) store.Object {
		return &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "d", Name: "b"}, RoleRef: ref(kind, name)}
	}
	aggregate := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "a"}, AggregationRule: &rbacv1.AggregationRule{
		ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"a": "b"}}},
	}}
	collected := role("get /secrets").(*rbacv1.Role).DeepCopy()
	collected.Finalizers = []string{"example.com/f"}
	for _, c := range []struct {
		name, who string
		obj, old  store.Object
		want      string
	}{
		{"what one has", "reader", role("get /pods"), nil, ""},
		{"what one lacks", "reader", role("get /pods", "get /secrets"), nil,
			"roles.rbac.authorization.k8s.io \"r\" is forbidden: user \"reader\" (groups=[]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\"]}"},
		{"an update", "reader", role("get /secrets"), role("get /pods"),
			"roles.rbac.authorization.k8s.io \"r\" is forbidden: user \"reader\" (groups=[]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\"]}"},
		{"a finalizer goes", "reader", role("get /secrets"), collected, ""},
		{"with escalate", "escalator", role("get /secrets"), nil, ""},
		{"skiff itself", "", role("get /secrets"), nil, ""},
		{"an aggregate", "reader", aggregate, nil, `clusterroles.rbac.authorization.k8s.io "a" is forbidden: must have cluster-admin privileges to use the aggregationRule`},
		{"a binding of what one has", "reader", binding("ClusterRole", "pods"), nil, ""},
		{"a binding of what one lacks", "reader", binding("ClusterRole", "secrets"), nil,
			"rolebindings.rbac.authorization.k8s.io \"b\" is forbidden: user \"reader\" (groups=[]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\"]}"},
		{"a binding of nothing", "reader", binding("Role", "none"), nil, `roles.rbac.authorization.k8s.io "none" not found`},
		{"with bind", "binder", binding("ClusterRole", "secrets"), nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := context.Background()
			if c.who != "" {
				ctx = request.WithUser(ctx, &user.DefaultInfo{Name: c.who})
			}
			r := creation(t, c.obj)
			if c.old != nil {
				r.Operation, r.Old = registry.Update, c.old
			}
			wantError(t, e.Validate(ctx, r), c.want)
		})
	}
}

// TestTokenVolumes: which pods get one, and into which containers.
func TestTokenVolumes(t *testing.T) {
	s := state(t, accountThat("quiet", false), accountThat("loud", true))
	for _, c := range []struct {
		name, account string
		pod           *bool
		want          int
	}{
		{"by default", "", nil, 1}, {"the account says no", "quiet", nil, 0}, {"the pod says no", "loud", new(bool), 0},
		{"the pod overrules", "quiet", yes(), 1}, {"both say yes", "loud", yes(), 1},
	} {
		p := pod()
		p.Spec.ServiceAccountName, p.Spec.AutomountServiceAccountToken = c.account, c.pod
		p.Spec.Containers, p.Spec.InitContainers = containers("a", "b"), containers("i")
		p.Spec.Containers[1].VolumeMounts = mounts("/var/run/secrets/kubernetes.io/serviceaccount")
		if err := (admission.ServiceAccount{Reader: s}).Admit(context.Background(), creation(t, p)); err != nil {
			t.Fatal(err)
		}
		if len(p.Spec.Volumes) != c.want || len(p.Spec.Containers[0].VolumeMounts) != c.want || len(p.Spec.InitContainers[0].VolumeMounts) != c.want || len(p.Spec.Containers[1].VolumeMounts) != 1 {
			t.Errorf("%s: %v %v", c.name, p.Spec.Volumes, p.Spec.Containers)
		}
	}
}

func accountThat(name string, automounts bool) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "d", Name: name}, AutomountServiceAccountToken: &automounts}
}

func yes() *bool { return ptr.To(true) }

func containers(names ...string) []corev1.Container {
	var all []corev1.Container
	for _, name := range names {
		all = append(all, corev1.Container{Name: name})
	}
	return all
}

func mounts(path string) []corev1.VolumeMount {
	return []corev1.VolumeMount{{Name: "mine", MountPath: path}}
}
