package create

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"skiff/cli/command"
)

// The verbs that mean something for resources, and for paths that are none, as kubectl knows them.
var (
	resourceVerbs = []string{"*", "get", "delete", "list", "create", "update", "patch", "watch", "proxy", "deletecollection", "use", "bind", "escalate", "impersonate"}
	pathVerbs     = []string{"*", "get", "post", "put", "delete", "patch", "head", "options"}
)

func ruleFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "verb", Usage: "`VERBS` that are allowed, joined by commas"},
		&cli.StringSliceFlag{Name: "resource", Usage: "`RESOURCES` they are allowed for, as RESOURCE.GROUP/SUBRESOURCE, joined by commas"},
		&cli.StringSliceFlag{Name: "resource-name", Usage: "`NAME` of the one object they are allowed for; may be repeated"},
	}
}

func role() generator {
	return generator{name: "role", usage: "Create a role with one rule", flags: ruleFlags(), bare: true,
		examples: []string{"skiff create role reader --verb=get,list,watch --resource=pods,pods/log"},
		make: func(c *cli.Context, m *maker, name string) (runtime.Object, error) {
			if len(command.List(c, "verb")) > 0 && len(command.List(c, "resource")) == 0 {
				return nil, errors.New("at least one resource must be specified")
			}
			rules, err := m.rules(c)
			return &rbacv1.Role{TypeMeta: typeMeta(rbacv1.SchemeGroupVersion.WithKind("Role")), ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}, err
		}}
}

func clusterRole() generator {
	return generator{name: "clusterrole", usage: "Create a cluster role", bare: true,
		flags: append(ruleFlags(),
			&cli.StringSliceFlag{Name: "non-resource-url", Usage: "`PATHS` they are allowed for, joined by commas"},
			&cli.StringSliceFlag{Name: "aggregation-rule", Usage: "`LABELS` of the cluster roles whose rules it has, joined by commas"}),
		examples: []string{"skiff create clusterrole reader --verb=get,list,watch --resource=pods", "skiff create clusterrole health --verb=get --non-resource-url=/healthz,/readyz"},
		make: func(c *cli.Context, m *maker, name string) (runtime.Object, error) {
			o := &rbacv1.ClusterRole{TypeMeta: typeMeta(rbacv1.SchemeGroupVersion.WithKind("ClusterRole")), ObjectMeta: metav1.ObjectMeta{Name: name}}
			selectors := command.List(c, "aggregation-rule")
			if len(selectors) == 0 {
				var err error
				o.Rules, err = m.rules(c)
				return o, err
			}
			for _, flag := range []string{"verb", "resource", "resource-name", "non-resource-url"} {
				if c.IsSet(flag) {
					return nil, errors.New("aggregation rule must be specified without nonResourceURLs, verbs, resources or resourceNames")
				}
			}
			labels := map[string]string{}
			for _, pair := range selectors {
				key, value, ok := strings.Cut(pair, "=")
				if !ok {
					return nil, fmt.Errorf("malformed pair, expect string=string: %s", pair)
				}
				labels[key] = value
			}
			o.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: labels}}}
			return o, nil
		}}
}

// unique are the words, each once, in their order.
func unique(words []string) []string {
	var out []string
	for _, word := range words {
		if !slices.Contains(out, word) {
			out = append(out, word)
		}
	}
	return out
}

// rules are what the flags allow: one rule a group, and one for paths.
func (m *maker) rules(c *cli.Context) ([]rbacv1.PolicyRule, error) {
	verbs := unique(command.List(c, "verb"))
	if slices.Contains(verbs, "*") {
		verbs = []string{"*"}
	}
	resources, paths := command.List(c, "resource"), unique(command.List(c, "non-resource-url"))
	switch {
	case len(verbs) == 0:
		return nil, errors.New("at least one verb must be specified")
	case len(resources)+len(paths) == 0:
		return nil, errors.New("one of resource or nonResourceURL must be specified")
	}
	groups, err := m.groups(resources, verbs)
	if err != nil {
		return nil, err
	}
	if err := checkPaths(paths, verbs); err != nil {
		return nil, err
	}
	var rules []rbacv1.PolicyRule
	for _, group := range slices.Sorted(maps.Keys(groups)) {
		rules = append(rules, rbacv1.PolicyRule{Verbs: verbs, Resources: groups[group], APIGroups: []string{group}, ResourceNames: unique(c.StringSlice("resource-name"))})
	}
	if len(paths) > 0 {
		rules = append(rules, rbacv1.PolicyRule{Verbs: verbs, NonResourceURLs: paths})
	}
	return rules, nil
}

// groups are the resources by their group, under their full names.
func (m *maker) groups(resources, verbs []string) (map[string][]string, error) {
	out := map[string][]string{}
	if len(resources) > 0 {
		for _, verb := range verbs {
			if !slices.Contains(resourceVerbs, verb) {
				fmt.Fprintf(m.env.Err, "Warning: '%s' is not a standard resource verb\n", verb)
			}
		}
	}
	for _, text := range resources {
		name, sub, _ := strings.Cut(text, "/")
		resource, group, _ := strings.Cut(name, ".")
		switch resource {
		case "":
			return nil, errors.New("resource must be specified if apiGroup/subresource specified")
		case "*":
		default:
			catalog, err := m.client.Catalog()
			if err != nil {
				return nil, err
			}
			mapping, err := catalog.Resource(name)
			if err != nil {
				return nil, err
			}
			resource, group = mapping.Resource.Resource, mapping.Resource.Group
		}
		if sub != "" {
			resource += "/" + sub
		}
		if !slices.Contains(out[group], resource) {
			out[group] = append(out[group], resource)
		}
	}
	return out, nil
}

func checkPaths(paths, verbs []string) error {
	if len(paths) == 0 {
		return nil
	}
	for _, verb := range verbs {
		if !slices.Contains(pathVerbs, verb) {
			return fmt.Errorf("invalid verb: '%s' for nonResourceURL", verb)
		}
	}
	for _, path := range paths {
		switch {
		case path == "*":
		case !strings.HasPrefix(path, "/"):
			return errors.New("nonResourceURL should start with /")
		case strings.Contains(path[:len(path)-1], "*"):
			return errors.New("nonResourceURL only supports wildcard matches when '*' is at the end")
		}
	}
	return nil
}
