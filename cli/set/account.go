package set

import (
	"errors"
	"slices"

	"github.com/urfave/cli/v2"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"skiff/cli/command"
)

func accountCommand(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "serviceaccount", Aliases: []string{"sa"}, Usage: "Set the service account of a pod template", ArgsUsage: "(-f FILE | TYPE NAME) SERVICE_ACCOUNT",
		Flags:  flags(),
		Action: func(c *cli.Context) error { return runAccount(c, env) },
	}, "skiff set serviceaccount deployment/kubia robot")
}

func runAccount(c *cli.Context, env *command.Env) error {
	s := &change{done: "serviceaccount updated", failed: "failed to patch ServiceAccountName"}
	q, err := s.open(c, env)
	if err != nil {
		return err
	}
	words := c.Args().Slice()
	if len(words) == 0 {
		return errors.New("serviceaccount is required")
	}
	account := words[len(words)-1]
	q.Args = words[:len(words)-1]
	if err := s.check(q); err != nil {
		return err
	}
	s.apply = func(obj *unstructured.Unstructured, name string) error {
		at, err := podSpecPath(obj, name)
		if err != nil {
			return err
		}
		return unstructured.SetNestedField(obj.Object, account, append(slices.Clone(at), "serviceAccountName")...)
	}
	return s.run(c, q)
}
