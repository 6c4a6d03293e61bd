package set

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"skiff/cli/command"
	"skiff/cli/resource"
)

func imageCommand(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "image", Usage: "Update the images of a pod or a pod template", ArgsUsage: "(-f FILE | TYPE NAME) CONTAINER_1=IMAGE_1 … CONTAINER_N=IMAGE_N",
		Flags:  command.Flags(flags(), command.SelectorFlag()),
		Action: func(c *cli.Context) error { return runImage(c, env) },
	},
		"skiff set image deployment/kubia nodejs=kubia:v2",
		"skiff set image deployments,rc '*=kubia:v2' --all     # all containers of all of them",
		"skiff set image -f kubia.yaml nodejs=kubia:v2 --local -o yaml")
}

// imager is one run of set image.
type imager struct {
	change
	images map[string]string // by container; "*" for all
}

func runImage(c *cli.Context, env *command.Env) error {
	s := &imager{change: change{done: "image updated", failed: "failed to patch image update to pod template"}}
	s.apply = s.set
	q, err := s.open(c, env)
	if err != nil {
		return err
	}
	var pairs []string
	if q.Args, pairs, err = split(c.Args().Slice()); err != nil {
		return err
	}
	if s.images, err = parse(pairs); err != nil {
		return err
	}
	if err := s.check(q); err != nil {
		return err
	}
	return s.run(c, q)
}

// split separates types and names from CONTAINER=IMAGE: the first of these begins them, and nothing
// else may follow.
func split(args []string) (resources, pairs []string, err error) {
	for _, a := range args {
		switch {
		case strings.Contains(a, "="):
			pairs = append(pairs, a)
		case len(pairs) > 0:
			return nil, nil, fmt.Errorf("all resources must be specified before image changes: %s", a)
		default:
			resources = append(resources, a)
		}
	}
	return resources, pairs, nil
}

func parse(pairs []string) (map[string]string, error) {
	images := map[string]string{}
	var bad []string
	for _, p := range pairs {
		container, image, _ := strings.Cut(p, "=")
		if container == "" {
			bad = append(bad, p)
		}
		images[container] = image
	}
	if len(bad) > 0 {
		return nil, fmt.Errorf("invalid image format: %s", strings.Join(bad, ", "))
	}
	return images, nil
}

func (s *imager) check(q resource.Query) error {
	_, everything := s.images["*"]
	err := s.change.check(q)
	switch {
	case err != nil:
		return err
	case len(s.images) == 0:
		return errors.New("at least one image update is required")
	case everything && len(s.images) > 1:
		return errors.New("all containers are already specified by *, but saw more than one container_name=container_image pairs")
	}
	return nil
}

// set changes obj itself. A missing container is an error, but does not keep the others from being
// changed.
func (s *imager) set(obj *unstructured.Unstructured, name string) error {
	found := map[string]bool{}
	err := eachContainer(obj, name, []string{"initContainers", "containers"}, func(container map[string]any) error {
		s.setImage(container, found)
		return nil
	})
	errs := []error{err}
	for _, container := range slices.Sorted(maps.Keys(s.images)) {
		if err == nil && !found[container] {
			errs = append(errs, fmt.Errorf("error: unable to find container named %q", container))
		}
	}
	return command.Join(errs...)
}

func (s *imager) setImage(container map[string]any, found map[string]bool) {
	name, _ := container["name"].(string)
	for _, key := range []string{name, "*"} {
		if image, given := s.images[key]; given {
			container["image"] = image
			found[key] = true
			return
		}
	}
}
