// Package fairness shares the API out among those who call it: each request belongs to a flow of a
// priority level, and a level that is busy answers its flows in turn.
// https://kubernetes.io/docs/concepts/cluster-administration/flow-control/
package fairness

import (
	"cmp"
	"slices"
	"strings"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// class is where a request belongs.
type class struct {
	schema *flowcontrolv1.FlowSchema
	level  *flowcontrolv1.PriorityLevelConfiguration
	// flow is within the level: requests of the same flow wait for one another.
	flow string
}

// classify finds the first schema, by precedence and then by name, that matches a request and whose
// level exists. There may be none: then nothing limits the request.
func classify(schemas []*flowcontrolv1.FlowSchema, levels []*flowcontrolv1.PriorityLevelConfiguration, who user.Info, info *request.RequestInfo) (class, bool) {
	var found class
	for _, s := range schemas {
		if found.schema != nil && compare(found.schema, s) <= 0 || !matches(s, who, info) {
			continue
		}
		at := slices.IndexFunc(levels, func(l *flowcontrolv1.PriorityLevelConfiguration) bool {
			return l.Name == s.Spec.PriorityLevelConfiguration.Name
		})
		if at >= 0 {
			found = class{schema: s, level: levels[at], flow: flowOf(s, who, info)}
		}
	}
	return found, found.schema != nil
}

func compare(a, b *flowcontrolv1.FlowSchema) int {
	return cmp.Or(cmp.Compare(a.Spec.MatchingPrecedence, b.Spec.MatchingPrecedence), strings.Compare(a.Name, b.Name))
}

// flowOf names the flow of a request that a schema matches.
func flowOf(s *flowcontrolv1.FlowSchema, who user.Info, info *request.RequestInfo) string {
	flow := string(s.UID) + "/"
	if by := s.Spec.DistinguisherMethod; by != nil {
		switch by.Type {
		case flowcontrolv1.FlowDistinguisherMethodByUserType:
			flow += who.GetName()
		case flowcontrolv1.FlowDistinguisherMethodByNamespaceType:
			flow += info.Namespace
		}
	}
	return flow
}

// matches reports whether one of a schema's rules is about a request and its user.
func matches(s *flowcontrolv1.FlowSchema, who user.Info, info *request.RequestInfo) bool {
	return slices.ContainsFunc(s.Spec.Rules, func(r flowcontrolv1.PolicyRulesWithSubjects) bool {
		about := func() bool { return slices.ContainsFunc(r.NonResourceRules, ofPath(info)) }
		if info.IsResourceRequest {
			about = func() bool { return slices.ContainsFunc(r.ResourceRules, ofResource(info)) }
		}
		return slices.ContainsFunc(r.Subjects, ofUser(who)) && about()
	})
}

// every is what stands for all verbs, groups, resources, namespaces and paths.
const every = "*"

func has(list []string, value string) bool {
	return slices.Contains(list, every) || slices.Contains(list, value)
}

func ofUser(who user.Info) func(flowcontrolv1.Subject) bool {
	return func(s flowcontrolv1.Subject) bool {
		switch {
		case s.User != nil:
			return s.User.Name == every || s.User.Name == who.GetName()
		case s.Group != nil:
			return s.Group.Name == every || slices.Contains(who.GetGroups(), s.Group.Name)
		case s.ServiceAccount != nil:
			namespace, name, err := serviceaccount.SplitUsername(who.GetName())
			return err == nil && namespace == s.ServiceAccount.Namespace && (s.ServiceAccount.Name == every || s.ServiceAccount.Name == name)
		}
		return false
	}
}

func ofResource(info *request.RequestInfo) func(flowcontrolv1.ResourcePolicyRule) bool {
	resource := info.Resource
	if info.Subresource != "" {
		resource += "/" + info.Subresource
	}
	return func(r flowcontrolv1.ResourcePolicyRule) bool {
		if !has(r.Verbs, info.Verb) || !has(r.APIGroups, info.APIGroup) || !has(r.Resources, resource) {
			return false
		}
		if info.Namespace == "" {
			return r.ClusterScope
		}
		return has(r.Namespaces, info.Namespace)
	}
}

func ofPath(info *request.RequestInfo) func(flowcontrolv1.NonResourcePolicyRule) bool {
	return func(r flowcontrolv1.NonResourcePolicyRule) bool {
		return has(r.Verbs, info.Verb) && slices.ContainsFunc(r.NonResourceURLs, func(url string) bool {
			below, open := strings.CutSuffix(url, every)
			return url == info.Path || open && strings.HasPrefix(info.Path, below)
		})
	}
}
