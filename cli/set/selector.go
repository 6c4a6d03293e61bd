package set

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"skiff/cli/command"
)

func selectorCommand(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "selector", Usage: "Set the selector of a service", ArgsUsage: "(-f FILE | TYPE NAME) LABELS",
		Flags: command.Flags(flags(),
			&cli.StringFlag{Name: "resource-version", Usage: "the `VERSION` that the one object must have, or it is left alone"}),
		Action: func(c *cli.Context) error { return runSelector(c, env) },
	}, "skiff set selector service/web app=web,version=v2")
}

func runSelector(c *cli.Context, env *command.Env) error {
	s := &change{done: "selector updated", failed: "failed to patch the selector"}
	q, err := s.open(c, env)
	if err != nil {
		return err
	}
	words := c.Args().Slice()
	if len(words) == 0 {
		return errors.New("one selector is required")
	}
	q.Args = words[:len(words)-1]
	if err := s.check(q); err != nil {
		return err
	}
	selector, err := metav1.ParseToLabelSelector(words[len(words)-1])
	if err != nil {
		return err
	}
	version := c.String("resource-version")
	s.apply = func(obj *unstructured.Unstructured, _ string) error {
		switch {
		case obj.GetKind() != "Service":
			return errors.New("setting a selector is only supported for Services")
		case len(selector.MatchExpressions) > 0:
			return fmt.Errorf("match expression %v not supported on this object", selector.MatchExpressions)
		}
		if version != "" {
			obj.SetResourceVersion(version) // goes with the patch unless it is the one the object has
		}
		return unstructured.SetNestedStringMap(obj.Object, selector.MatchLabels, "spec", "selector")
	}
	return s.run(c, q)
}
