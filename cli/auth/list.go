package auth

import (
	"fmt"

	"github.com/urfave/cli/v2"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/cli-runtime/pkg/printers"

	"skiff/cli/access"
	"skiff/cli/command"
)

// listAccess prints all that the user may do in a namespace.
func listAccess(c *cli.Context, env *command.Env) error {
	cl, err := env.Connect(c)
	if err != nil {
		return err
	}
	question := &authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: cl.Namespace}}
	answer := &authorizationv1.SelfSubjectRulesReview{}
	if err := review(c, cl, authorizationv1.SchemeGroupVersion.WithKind("SelfSubjectRulesReview"), question, answer); err != nil {
		return err
	}
	if answer.Status.Incomplete {
		fmt.Fprintf(env.Err, "Warning: the list may be incomplete: %s\n", answer.Status.EvaluationError)
	}
	w := printers.GetNewTabWriter(env.Out)
	if !c.Bool("no-headers") {
		fmt.Fprintln(w, "Resources\tNon-Resource URLs\tResource Names\tVerbs")
	}
	for _, r := range access.Rows(rulesOf(&answer.Status)) {
		fmt.Fprintf(w, "%s\t%v\t%v\t%v\n", r.Resource, r.Paths, r.Names, r.Verbs)
	}
	return w.Flush()
}

func rulesOf(s *authorizationv1.SubjectRulesReviewStatus) []rbacv1.PolicyRule {
	var rules []rbacv1.PolicyRule
	for _, r := range s.ResourceRules {
		rules = append(rules, rbacv1.PolicyRule{Verbs: r.Verbs, APIGroups: r.APIGroups, Resources: r.Resources, ResourceNames: r.ResourceNames})
	}
	for _, r := range s.NonResourceRules {
		rules = append(rules, rbacv1.PolicyRule{Verbs: r.Verbs, NonResourceURLs: r.NonResourceURLs})
	}
	return rules
}
