// Package access shows what roles grant, in kubectl's words.
package access

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/component-helpers/auth/rbac/validation"
)

// Row is what is granted of one resource, or at one path.
type Row struct {
	Resource string // RESOURCE.GROUP/SUBRESOURCE, empty for a path
	Paths    []string
	Names    []string
	Verbs    []string
}

// Rows are the rules in kubectl's order, a row for each resource with all its verbs.
func Rows(rules []rbacv1.PolicyRule) []Row {
	var single []rbacv1.PolicyRule
	for _, r := range rules {
		for _, one := range validation.BreakdownRule(r) {
			single = addTo(single, one)
		}
	}
	slices.SortStableFunc(single, func(a, b rbacv1.PolicyRule) int { return strings.Compare(a.String(), b.String()) })
	rows := make([]Row, 0, len(single))
	for _, r := range single {
		rows = append(rows, Row{Resource: resource(r), Paths: r.NonResourceURLs, Names: r.ResourceNames, Verbs: r.Verbs})
	}
	return rows
}

// addTo adds the verb of a rule to the one about the same resource, if there is one.
func addTo(rules []rbacv1.PolicyRule, one rbacv1.PolicyRule) []rbacv1.PolicyRule {
	if len(one.NonResourceURLs) > 0 {
		return append(rules, one)
	}
	for i := range rules {
		r := &rules[i]
		if !slices.Equal(r.APIGroups, one.APIGroups) || !slices.Equal(r.Resources, one.Resources) || !slices.Equal(r.ResourceNames, one.ResourceNames) {
			continue
		}
		if !slices.Contains(r.Verbs, one.Verbs[0]) {
			r.Verbs = append(r.Verbs, one.Verbs[0])
		}
		return rules
	}
	return append(rules, one)
}

func resource(r rbacv1.PolicyRule) string {
	if len(r.Resources) == 0 {
		return ""
	}
	name, sub, below := strings.Cut(r.Resources[0], "/")
	if len(r.APIGroups) > 0 && r.APIGroups[0] != "" {
		name += "." + r.APIGroups[0]
	}
	if below {
		name += "/" + sub
	}
	return name
}
