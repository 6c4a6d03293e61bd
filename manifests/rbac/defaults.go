package rbac

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// defaults.txt holds upstream's default roles and bindings (k8s.io/kubernetes
// plugin/pkg/auth/authorizer/rbac/bootstrappolicy, which would add 10 MB), one a line:
//
//	clusterrole NAME [+AGGREGATED-TO]... [=AGGREGATES]...
//	role NAMESPACE NAME
//	  VERBS GROUPS RESOURCES [NAMES]      the rules of the role above; the group "" is written core
//	  VERBS url PATHS
//	clusterrolebinding NAME ROLE-KIND/ROLE SUBJECT...
//	rolebinding NAMESPACE NAME ROLE-KIND/ROLE SUBJECT...
//
// Subjects are user:NAME, group:NAME or account:NAMESPACE/NAME. `go test ./manifests/rbac -update`
// writes it after the Kubernetes modules were upgraded.
//
//go:embed defaults.txt
var defaultsText string

// ownText is what skiff adds: its own subresources, for whoever may run commands in a pod or read
// its logs.
const ownText = `
clusterrole skiff:aggregate-to-edit +edit
  get,update core pods/files
  create core pods/kill
clusterrole skiff:aggregate-to-view +view
  get batch jobs/log
`

const (
	bootstrappingLabel = "kubernetes.io/bootstrapping"
	bootstrappingValue = "rbac-defaults"
	aggregateTo        = "rbac.authorization.k8s.io/aggregate-to-"
)

// Policy is a set of roles and bindings.
type Policy struct {
	ClusterRoles        []*rbacv1.ClusterRole
	ClusterRoleBindings []*rbacv1.ClusterRoleBinding
	Roles               []*rbacv1.Role
	RoleBindings        []*rbacv1.RoleBinding
}

// Defaults are the roles and bindings that every cluster has. Roles that aggregate others have their
// rules.
func Defaults() (*Policy, error) {
	p, err := parse(defaultsText + ownText)
	if err != nil {
		return nil, fmt.Errorf("reading the default roles: %w", err)
	}
	// What a role aggregates may aggregate others itself: admin has edit, and that has view.
	for range 3 {
		for _, r := range p.ClusterRoles {
			if r.AggregationRule == nil {
				continue
			}
			if r.Rules, err = Aggregate(r, p.ClusterRoles); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

// Aggregate returns the rules of all roles that an aggregating role selects, each once: by selector,
// and then by the order of all, which is that of their names.
func Aggregate(to *rbacv1.ClusterRole, all []*rbacv1.ClusterRole) ([]rbacv1.PolicyRule, error) {
	var rules []rbacv1.PolicyRule
	for i := range to.AggregationRule.ClusterRoleSelectors {
		selector, err := metav1.LabelSelectorAsSelector(&to.AggregationRule.ClusterRoleSelectors[i])
		if err != nil {
			return nil, fmt.Errorf("selecting what ClusterRole %s aggregates: %w", to.Name, err)
		}
		for _, from := range all {
			if from.Name == to.Name || !selector.Matches(labels.Set(from.Labels)) {
				continue
			}
			for _, rule := range from.Rules {
				if !slices.ContainsFunc(rules, func(r rbacv1.PolicyRule) bool { return equality.Semantic.DeepEqual(r, rule) }) {
					rules = append(rules, rule)
				}
			}
		}
	}
	return rules, nil
}

// parse reads the form of defaults.txt.
func parse(text string) (*Policy, error) {
	p := &Policy{}
	var rules *[]rbacv1.PolicyRule
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if line[0] == ' ' {
			if rules == nil || len(words) < 3 {
				return nil, fmt.Errorf("%q is no rule", line)
			}
			*rules = append(*rules, parseRule(words))
			continue
		}
		if len(words) < 2 || words[0] != "clusterrole" && len(words) < 3 {
			return nil, fmt.Errorf("%q names nothing", line)
		}
		var err error
		if rules, err = p.add(words); err != nil {
			return nil, fmt.Errorf("%q: %w", strings.TrimSpace(line), err)
		}
	}
	return p, nil
}

// add begins an object, and returns where its rules belong.
func (p *Policy) add(words []string) (*[]rbacv1.PolicyRule, error) {
	switch words[0] {
	case "clusterrole":
		r := &rbacv1.ClusterRole{ObjectMeta: defaultMeta("", words[1])}
		aggregation(r, words[2:])
		p.ClusterRoles = append(p.ClusterRoles, r)
		return &r.Rules, nil
	case "role":
		r := &rbacv1.Role{ObjectMeta: defaultMeta(words[1], words[2])}
		p.Roles = append(p.Roles, r)
		return &r.Rules, nil
	case "clusterrolebinding":
		subjects, err := parseSubjects(words[3:])
		p.ClusterRoleBindings = append(p.ClusterRoleBindings, &rbacv1.ClusterRoleBinding{
			ObjectMeta: defaultMeta("", words[1]), RoleRef: parseRef(words[2]), Subjects: subjects,
		})
		return nil, err
	case "rolebinding":
		if len(words) < 4 {
			return nil, fmt.Errorf("a binding without a role")
		}
		subjects, err := parseSubjects(words[4:])
		p.RoleBindings = append(p.RoleBindings, &rbacv1.RoleBinding{
			ObjectMeta: defaultMeta(words[1], words[2]), RoleRef: parseRef(words[3]), Subjects: subjects,
		})
		return nil, err
	}
	return nil, fmt.Errorf("unknown kind")
}

func defaultMeta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: namespace, Name: name,
		Labels:      map[string]string{bootstrappingLabel: bootstrappingValue},
		Annotations: map[string]string{rbacv1.AutoUpdateAnnotationKey: "true"},
	}
}

func aggregation(r *rbacv1.ClusterRole, words []string) {
	for _, word := range words {
		key := aggregateTo + word[1:]
		if word[0] == '+' {
			r.Labels[key] = "true"
			continue
		}
		if r.AggregationRule == nil {
			r.AggregationRule = &rbacv1.AggregationRule{}
		}
		r.AggregationRule.ClusterRoleSelectors = append(r.AggregationRule.ClusterRoleSelectors,
			metav1.LabelSelector{MatchLabels: map[string]string{key: "true"}})
	}
}

func parseRule(words []string) rbacv1.PolicyRule {
	list := func(word string) []string { return strings.Split(word, ",") }
	if words[1] == "url" {
		return rbacv1.PolicyRule{Verbs: list(words[0]), NonResourceURLs: list(words[2])}
	}
	r := rbacv1.PolicyRule{Verbs: list(words[0]), APIGroups: list(words[1]), Resources: list(words[2])}
	for i, group := range r.APIGroups {
		if group == "core" {
			r.APIGroups[i] = ""
		}
	}
	if len(words) > 3 {
		r.ResourceNames = list(words[3])
	}
	return r
}

func parseRef(word string) rbacv1.RoleRef {
	kind, name, _ := strings.Cut(word, "/")
	return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: name}
}

func parseSubjects(words []string) ([]rbacv1.Subject, error) {
	var all []rbacv1.Subject
	for _, word := range words {
		kind, name, _ := strings.Cut(word, ":")
		switch kind {
		case "user":
			all = append(all, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name})
		case "group":
			all = append(all, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: name})
		case "account":
			namespace, name, _ := strings.Cut(name, "/")
			all = append(all, rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name})
		default:
			return nil, fmt.Errorf("%q is no subject", word)
		}
	}
	return all, nil
}
