package set

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"skiff/cli/command"
)

func subjectCommand(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "subject", Usage: "Add users, groups and service accounts to a role binding", ArgsUsage: "(-f FILE | TYPE NAME) [--user=NAME] [--group=NAME] [--serviceaccount=NAMESPACE:NAME]",
		Flags: command.Flags(flags(), command.SelectorFlag(),
			&cli.StringSliceFlag{Name: "user", Usage: "`NAME` of a user; may be repeated"},
			&cli.StringSliceFlag{Name: "group", Usage: "`NAME` of a group; may be repeated"},
			&cli.StringSliceFlag{Name: "serviceaccount", Usage: "`NAMESPACE:NAME` of a service account; may be repeated"}),
		Action: func(c *cli.Context) error { return runSubject(c, env) },
	}, "skiff set subject rolebinding/admin --user=jane --serviceaccount=default:robot")
}

func runSubject(c *cli.Context, env *command.Env) error {
	s := &change{done: "subjects updated", failed: "failed to patch subjects to rolebinding"}
	q, err := s.open(c, env)
	if err != nil {
		return err
	}
	q.Args = c.Args().Slice()
	if err := s.check(q); err != nil {
		return err
	}
	subjects, err := readSubjects(c)
	if err != nil {
		return err
	}
	s.apply = func(obj *unstructured.Unstructured, name string) error {
		kind := obj.GetKind()
		if kind != "RoleBinding" && kind != "ClusterRoleBinding" {
			return fmt.Errorf("error: %s setting subjects is only supported for RoleBinding/ClusterRoleBinding", name)
		}
		return addSubjects(obj, subjects, s)
	}
	return s.run(command.Global(c), q) // --user is the binding's, not the kubeconfig's
}

// readSubjects reads the flags. A service account without a namespace is in that of the binding.
func readSubjects(c *cli.Context) ([]map[string]any, error) {
	var out []map[string]any
	for _, kind := range []struct{ flag, kind string }{{"user", rbacv1.UserKind}, {"group", rbacv1.GroupKind}} {
		for _, name := range sorted(c.StringSlice(kind.flag)) {
			out = append(out, map[string]any{"kind": kind.kind, "apiGroup": rbacv1.GroupName, "name": name})
		}
	}
	for _, account := range sorted(c.StringSlice("serviceaccount")) {
		namespace, name, ok := strings.Cut(account, ":")
		if !ok || name == "" || strings.Contains(name, ":") {
			return nil, errors.New("serviceaccount must be <namespace>:<name>")
		}
		out = append(out, map[string]any{"kind": rbacv1.ServiceAccountKind, "namespace": namespace, "name": name})
	}
	if len(out) == 0 {
		return nil, errors.New("you must specify at least one value of user, group or serviceaccount")
	}
	return out, nil
}

// sorted are the words in order, each once.
func sorted(words []string) []string {
	words = slices.Clone(words)
	slices.Sort(words)
	return slices.Compact(words)
}

func addSubjects(obj *unstructured.Unstructured, subjects []map[string]any, s *change) error {
	have, _, err := unstructured.NestedSlice(obj.Object, "subjects")
	if err != nil {
		return err
	}
	for _, subject := range subjects {
		if namespace, account := subject["namespace"]; account && namespace == "" {
			if obj.GetKind() == "ClusterRoleBinding" {
				return errors.New("serviceaccount must be <namespace>:<name>, namespace must be specified")
			}
			subject["namespace"] = obj.GetNamespace()
			if s.client != nil && obj.GetNamespace() == "" {
				subject["namespace"] = s.client.Namespace
			}
		}
		if !slices.ContainsFunc(have, func(one any) bool { return reflect.DeepEqual(one, any(subject)) }) {
			have = append(have, subject)
		}
	}
	return unstructured.SetNestedSlice(obj.Object, have, "subjects")
}
