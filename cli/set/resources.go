package set

import (
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"skiff/cli/command"
)

func resourcesCommand(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "resources", Usage: "Update the resource requests and limits of a pod template", ArgsUsage: "(-f FILE | TYPE NAME) [--limits=LIMITS] [--requests=REQUESTS]",
		Flags: command.Flags(flags(), command.SelectorFlag(), containersFlag(),
			&cli.StringFlag{Name: "limits", Usage: "`LIMITS` of each container, such as cpu=200m,memory=512Mi"},
			&cli.StringFlag{Name: "requests", Usage: "`REQUESTS` of each container, such as cpu=100m,memory=256Mi"}),
		Action: func(c *cli.Context) error { return runResources(c, env) },
	}, "skiff set resources deployment/kubia --limits=cpu=200m,memory=512Mi --requests=cpu=100m,memory=256Mi", "skiff set resources deployment/kubia -c nodejs --limits=memory=1Gi")
}

func runResources(c *cli.Context, env *command.Env) error {
	s := &change{done: "resource requirements updated", failed: "failed to patch resources update to pod template"}
	q, err := s.open(c, env)
	if err != nil {
		return err
	}
	q.Args = c.Args().Slice()
	if err := s.check(q); err != nil {
		return err
	}
	wanted := map[string]map[string]any{}
	for _, kind := range []string{"limits", "requests"} {
		if wanted[kind], err = quantities(c.String(kind)); err != nil {
			return err
		}
	}
	if len(wanted["limits"])+len(wanted["requests"]) == 0 {
		return errors.New("you must specify an update to requests or limits (in the form of --requests/--limits)")
	}
	pattern := c.String("containers")
	s.apply = func(obj *unstructured.Unstructured, name string) error {
		n, err := chosen(obj, name, pattern, func(container map[string]any) error { return require(container, wanted) })
		if err == nil && n == 0 {
			err = fmt.Errorf("error: unable to find container named %s", pattern)
		}
		return err
	}
	return s.run(c, q)
}

// require adds requests and limits to those of a container.
func require(container map[string]any, wanted map[string]map[string]any) error {
	for kind, values := range wanted {
		for name, value := range values {
			if err := unstructured.SetNestedField(container, value, "resources", kind, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// quantities reads NAME=QUANTITY,NAME=QUANTITY.
func quantities(text string) (map[string]any, error) {
	out := map[string]any{}
	if text == "" {
		return out, nil
	}
	for _, pair := range strings.Split(text, ",") {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || strings.Contains(value, "=") {
			return nil, fmt.Errorf("Invalid argument syntax %v, expected <resource>=<value>", pair)
		}
		q, err := resource.ParseQuantity(value)
		if err != nil {
			return nil, err
		}
		out[name] = q.String()
	}
	return out, nil
}
