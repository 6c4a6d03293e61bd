package rbac

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy"
)

var update = flag.Bool("update", false, "write upstream's default roles to defaults.txt")

// TestDefaultsAreUpstreams compares the embedded roles with those of the Kubernetes modules.
func TestDefaultsAreUpstreams(t *testing.T) {
	want := format(upstream())
	if *update {
		if err := os.WriteFile("defaults.txt", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if defaultsText != want {
		t.Error("defaults.txt is not what upstream has: go test ./manifests/rbac -update")
	}
	parsed, err := parse(defaultsText)
	if err != nil {
		t.Fatal(err)
	}
	if got := format(parsed); got != want {
		t.Errorf("read as\n%s", got)
	}
}

func upstream() *Policy {
	p := &Policy{}
	for _, r := range slices.Concat(bootstrappolicy.ClusterRoles(), bootstrappolicy.ControllerRoles()) {
		p.ClusterRoles = append(p.ClusterRoles, &r)
	}
	for _, b := range slices.Concat(bootstrappolicy.ClusterRoleBindings(), bootstrappolicy.ControllerRoleBindings()) {
		p.ClusterRoleBindings = append(p.ClusterRoleBindings, &b)
	}
	roles, bindings := bootstrappolicy.NamespaceRoles(), bootstrappolicy.NamespaceRoleBindings()
	for _, namespace := range slices.Sorted(maps.Keys(roles)) {
		for _, r := range roles[namespace] {
			p.Roles = append(p.Roles, &r)
		}
	}
	for _, namespace := range slices.Sorted(maps.Keys(bindings)) {
		for _, b := range bindings[namespace] {
			p.RoleBindings = append(p.RoleBindings, &b)
		}
	}
	slices.SortFunc(p.ClusterRoles, func(a, b *rbacv1.ClusterRole) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(p.ClusterRoleBindings, func(a, b *rbacv1.ClusterRoleBinding) int { return strings.Compare(a.Name, b.Name) })
	return p
}

// format writes the form of defaults.txt.
func format(p *Policy) string {
	var out strings.Builder
	for _, r := range p.ClusterRoles {
		fmt.Fprintf(&out, "clusterrole %s", r.Name)
		for _, key := range slices.Sorted(maps.Keys(r.Labels)) {
			if to, ok := strings.CutPrefix(key, aggregateTo); ok {
				fmt.Fprintf(&out, " +%s", to)
			}
		}
		if r.AggregationRule != nil {
			for _, s := range r.AggregationRule.ClusterRoleSelectors {
				for key := range s.MatchLabels {
					fmt.Fprintf(&out, " =%s", strings.TrimPrefix(key, aggregateTo))
				}
			}
		}
		out.WriteString("\n" + formatRules(r.Rules))
	}
	for _, r := range p.Roles {
		fmt.Fprintf(&out, "role %s %s\n%s", r.Namespace, r.Name, formatRules(r.Rules))
	}
	for _, b := range p.ClusterRoleBindings {
		fmt.Fprintf(&out, "clusterrolebinding %s %s/%s%s\n", b.Name, b.RoleRef.Kind, b.RoleRef.Name, formatSubjects(b.Subjects))
	}
	for _, b := range p.RoleBindings {
		fmt.Fprintf(&out, "rolebinding %s %s %s/%s%s\n", b.Namespace, b.Name, b.RoleRef.Kind, b.RoleRef.Name, formatSubjects(b.Subjects))
	}
	return out.String()
}

func formatRules(rules []rbacv1.PolicyRule) string {
	var out strings.Builder
	for _, r := range rules {
		groups := slices.Clone(r.APIGroups)
		for i, g := range groups {
			if g == "" {
				groups[i] = "core"
			}
		}
		words := []string{strings.Join(r.Verbs, ","), strings.Join(groups, ","), strings.Join(r.Resources, ","), strings.Join(r.ResourceNames, ",")}
		if len(r.NonResourceURLs) > 0 {
			words = []string{strings.Join(r.Verbs, ","), "url", strings.Join(r.NonResourceURLs, ",")}
		}
		out.WriteString("  " + strings.TrimSpace(strings.Join(words, " ")) + "\n")
	}
	return out.String()
}

func formatSubjects(subjects []rbacv1.Subject) string {
	var out string
	for _, s := range subjects {
		switch s.Kind {
		case rbacv1.ServiceAccountKind:
			out += " account:" + s.Namespace + "/" + s.Name
		default:
			out += " " + strings.ToLower(s.Kind) + ":" + s.Name
		}
	}
	return out
}

// TestAggregatedDefaults: what edit may do admin may do too, and what view may do edit may.
func TestAggregatedDefaults(t *testing.T) {
	p, err := Defaults()
	if err != nil {
		t.Fatal(err)
	}
	rules := map[string]int{}
	for _, r := range p.ClusterRoles {
		rules[r.Name] = len(r.Rules)
	}
	if rules["view"] < 10 || rules["edit"] <= rules["view"] || rules["admin"] <= rules["edit"] {
		t.Errorf("view %d rules, edit %d, admin %d", rules["view"], rules["edit"], rules["admin"])
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"  get core pods", "clusterrole", "role only", "what is this", "clusterrole r\n  get core", "clusterrolebinding b ClusterRole/r nobody:x", "rolebinding n b"} {
		if _, err := parse(text); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}
