package rbac_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"skiff/manifests"
	"skiff/manifests/rbac"
	"skiff/manifests/registry"
	"skiff/store"
)

// state is a store with objects in it.
func state(t testing.TB, objects ...store.Object) *store.Store {
	t.Helper()
	s, err := store.Open(store.Options{Path: filepath.Join(t.TempDir(), "skiff.db"), Codec: manifests.StoreCodec(), Indexes: registry.Indexes()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, s.Close()); err != nil {
			t.Error(err)
		}
	})
	var changes []store.Change
	for _, obj := range objects {
		gvks, _, err := manifests.Scheme().ObjectKinds(obj)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range manifests.Kinds() {
			if k.GVK == gvks[0] {
				key := store.Key{Resource: k.GroupResource().String(), Namespace: obj.GetNamespace(), Name: obj.GetName()}
				changes = append(changes, store.Change{Key: key, Object: obj})
			}
		}
	}
	if len(changes) > 0 {
		if _, err := s.Commit(ctx, changes...); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func defaults(t testing.TB) []store.Object {
	t.Helper()
	p, err := rbac.Defaults()
	if err != nil {
		t.Fatal(err)
	}
	var all []store.Object
	for _, r := range p.ClusterRoles {
		all = append(all, r)
	}
	for _, b := range p.ClusterRoleBindings {
		all = append(all, b)
	}
	for _, r := range p.Roles {
		all = append(all, r)
	}
	for _, b := range p.RoleBindings {
		all = append(all, b)
	}
	return all
}

func bind(namespace, name, role string, subjects ...rbacv1.Subject) store.Object {
	kind := "Role"
	if role[0] == '*' {
		kind, role = "ClusterRole", role[1:]
	}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role}
	if namespace == "" {
		return &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: ref, Subjects: subjects}
	}
	return &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, RoleRef: ref, Subjects: subjects}
}

func person(name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: name}
}

func account(namespace, name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}
}

func role(namespace, name string, rules ...rbacv1.PolicyRule) store.Object {
	return &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Rules: rules}
}

func clusterRole(name string, rules ...rbacv1.PolicyRule) store.Object {
	return &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
}

func rule(verbs, groups, resources []string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: verbs, APIGroups: groups, Resources: resources, ResourceNames: names}
}

type list = []string

// TestExamplesOfTheDocumentation: the roles of
// https://kubernetes.io/docs/reference/access-authn-authz/rbac/ and what they grant.
func TestExamplesOfTheDocumentation(t *testing.T) {
	core, read := list{""}, list{"get", "watch", "list"}
	s := state(t,
		role("default", "pod-reader", rule(read, core, list{"pods"})),
		clusterRole("secret-reader", rule(read, core, list{"secrets"})),
		clusterRole("pod-and-pod-logs-reader", rule(list{"get", "list"}, core, list{"pods", "pods/log"})),
		clusterRole("configmap-updater", rule(list{"update", "get"}, core, list{"configmaps"}, "my-configmap")),
		clusterRole("scaler", rule(list{"*"}, list{"*"}, list{"*/scale"})),
		clusterRole("everything-of-apps", rule(list{"*"}, list{"apps"}, list{"*"})),
		clusterRole("healthy", rbacv1.PolicyRule{Verbs: list{"get", "post"}, NonResourceURLs: list{"/healthz", "/healthz/*"}}),
		bind("default", "read-pods", "pod-reader", person("jane")),
		bind("development", "read-secrets", "*secret-reader", person("dave")),
		bind("", "read-secrets-global", "*secret-reader", rbacv1.Subject{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: "manager"}),
		bind("default", "logs", "*pod-and-pod-logs-reader", account("", "own"), account("qa", "other")),
		bind("", "nobody", "*pod-and-pod-logs-reader", rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Name: "nowhere"}),
		bind("default", "update", "*configmap-updater", person("upd")),
		bind("", "scale", "*scaler", person("scale")),
		bind("", "apps", "*everything-of-apps", person("apps")),
		bind("", "health", "*healthy", person("health")),
		bind("default", "lost", "gone", person("lost")),
	)
	a := rbac.NewAuthorizer(s, nil)
	for _, c := range []struct {
		who, asked string // verb group resource[/sub] namespace name; or verb path
		want       string
	}{
		{"jane", "get - pods default x", `Allow RBAC: allowed by RoleBinding "read-pods/default" of Role "pod-reader" to User "jane"`},
		{"jane", "get - pods other x", "NoOpinion "},
		{"jane", "list - pods - -", "NoOpinion "},
		{"jane", "delete - pods default x", "NoOpinion "},
		{"jane", "get - pods/log default x", "NoOpinion "},
		{"jane", "get apps pods default x", "NoOpinion "},
		{"JANE", "get - pods default x", "NoOpinion "},
		{"dave", "get - secrets development x", `Allow RBAC: allowed by RoleBinding "read-secrets/development" of ClusterRole "secret-reader" to User "dave"`},
		{"dave", "get - secrets default x", "NoOpinion "},
		{"boss of manager", "list - secrets - -", `Allow RBAC: allowed by ClusterRoleBinding "read-secrets-global" of ClusterRole "secret-reader" to Group "manager"`},
		{"manager", "list - secrets - -", "NoOpinion "},
		{"system:serviceaccount:default:own", "get - pods/log default x", `Allow RBAC: allowed by RoleBinding "logs/default" of ClusterRole "pod-and-pod-logs-reader" to ServiceAccount "own/default"`},
		{"system:serviceaccount:qa:other", "get - pods default x", `Allow RBAC: allowed by RoleBinding "logs/default" of ClusterRole "pod-and-pod-logs-reader" to ServiceAccount "other/qa"`},
		{"system:serviceaccount:qa:own", "get - pods default x", "NoOpinion "},
		{"system:serviceaccount::nowhere", "get - pods default x", "NoOpinion "},
		{"upd", "update - configmaps default my-configmap", `Allow RBAC: allowed by RoleBinding "update/default" of ClusterRole "configmap-updater" to User "upd"`},
		{"upd", "update - configmaps default other", "NoOpinion "},
		{"upd", "list - configmaps default -", "NoOpinion "},
		{"scale", "update apps deployments/scale x y", `Allow RBAC: allowed by ClusterRoleBinding "scale" of ClusterRole "scaler" to User "scale"`},
		{"scale", "update apps deployments x y", "NoOpinion "},
		{"apps", "patch apps deployments/status x y", `Allow RBAC: allowed by ClusterRoleBinding "apps" of ClusterRole "everything-of-apps" to User "apps"`},
		{"apps", "patch batch jobs x y", "NoOpinion "},
		{"health", "get /healthz/x", `Allow RBAC: allowed by ClusterRoleBinding "health" of ClusterRole "healthy" to User "health"`},
		{"health", "get /healthzz", "NoOpinion "},
		{"health", "put /healthz", "NoOpinion "},
		{"lost", "get - pods default x", `NoOpinion RBAC: roles.rbac.authorization.k8s.io "gone" not found`},
		{"root of system:masters", "anything at all now -", "Allow "},
	} {
		decision, reason, err := a.Authorize(t.Context(), parseAsked(c.who, c.asked))
		if got := fmt.Sprint(decision, " ", reason); got != c.want || err != nil {
			t.Errorf("%s: %s:\n got %s %v\nwant %s", c.who, c.asked, got, err, c.want)
		}
	}
}

func parseAsked(who, asked string) authorizer.AttributesRecord {
	var name, of, group string
	if n, _ := fmt.Sscanf(who, "%s %s %s", &name, &of, &group); n < 3 {
		group = user.AllAuthenticated
	}
	a := authorizer.AttributesRecord{User: &user.DefaultInfo{Name: name, Groups: []string{group}}}
	var resource string
	n, _ := fmt.Sscanf(asked, "%s %s %s %s %s", &a.Verb, &a.APIGroup, &resource, &a.Namespace, &a.Name)
	if n == 2 {
		a.Path, a.APIGroup = a.APIGroup, ""
		return a
	}
	a.ResourceRequest = true
	for _, f := range []*string{&a.APIGroup, &a.Namespace, &a.Name} {
		if *f == "-" {
			*f = ""
		}
	}
	a.Resource = resource
	for i := range resource {
		if resource[i] == '/' {
			a.Resource, a.Subresource = resource[:i], resource[i+1:]
		}
	}
	return a
}

// TestWhoIsNobodyInParticular: what upstream grants to all who are known, and to strangers.
func TestWhoIsNobodyInParticular(t *testing.T) {
	a := rbac.NewAuthorizer(state(t, defaults(t)...), nil)
	for asked, want := range map[string]string{
		"get /api": "yes no", "get /apis/apps/v1": "yes no", "get /openapi/v2": "yes no", "get /version": "yes yes", "get /healthz": "yes yes",
		"get /metrics": "no no", "post /api": "no no", "get /": "no no", "get /logs": "no no",
		"create authorization.k8s.io selfsubjectaccessreviews - -": "yes no",
		"create authorization.k8s.io subjectaccessreviews - -":     "no no",
		"create authentication.k8s.io selfsubjectreviews - -":      "yes no",
		"create authentication.k8s.io tokenreviews - -":            "no no",
		"get - pods default x":                                     "no no", "list - namespaces - -": "no no", "get - secrets default x": "no no",
	} {
		var got string
		for _, who := range []string{"someone of system:authenticated", "system:anonymous of system:unauthenticated"} {
			decision, _, err := a.Authorize(t.Context(), parseAsked(who, asked))
			word := "no"
			if decision == authorizer.DecisionAllow {
				word = "yes"
			}
			if got += word + " "; err != nil {
				t.Error(err)
			}
		}
		if got != want+" " {
			t.Errorf("%s: %s, want %s", asked, got, want)
		}
	}
}

// TestNobodyElseBeforeTheRoles: until the default roles are there only the administrator is served.
func TestNobodyElseBeforeTheRoles(t *testing.T) {
	a := rbac.NewAuthorizer(state(t), make(chan struct{}))
	if d, _, err := a.Authorize(t.Context(), parseAsked("root of system:masters", "get - pods default x")); d != authorizer.DecisionAllow || err != nil {
		t.Error(d, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if d, _, err := a.Authorize(ctx, parseAsked("eve", "get - pods default x")); d == authorizer.DecisionAllow || err == nil {
		t.Error(d, err)
	}
}

// BenchmarkAuthorize is with a hundred roles and bindings beside the default ones.
func BenchmarkAuthorize(b *testing.B) {
	objects := defaults(b)
	for i := range 100 {
		name := fmt.Sprintf("r%d", i)
		objects = append(objects, role("default", name, rule(list{"get"}, list{""}, list{"pods"}, name), rule(list{"list"}, list{"apps"}, list{"deployments"})),
			bind("default", name, name, account("default", name)), bind("", name, "*view", person(name)))
	}
	a := rbac.NewAuthorizer(state(b, objects...), nil)
	account := &user.DefaultInfo{Name: "system:serviceaccount:default:r50", Groups: list{"system:serviceaccounts", "system:serviceaccounts:default", user.AllAuthenticated}}
	for name, asked := range map[string]authorizer.AttributesRecord{
		"allowed": {User: account, Verb: "list", APIGroup: "apps", Resource: "deployments", Namespace: "default", ResourceRequest: true},
		"denied":  {User: account, Verb: "list", APIGroup: "batch", Resource: "jobs", Namespace: "default", ResourceRequest: true},
		"path":    {User: account, Verb: "get", Path: "/apis"},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := a.Authorize(b.Context(), asked); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
