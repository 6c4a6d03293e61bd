package set

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/output"
	"skiff/cli/resource"
)

// manager owns the fields set changes; kubectl's own name, so that the two mean the same to the server.
const manager = "kubectl-set"

func imageCommand(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "image", Usage: "Update the images of a pod or a pod template", ArgsUsage: "(-f FILE | TYPE NAME) CONTAINER_1=IMAGE_1 … CONTAINER_N=IMAGE_N",
		Flags: command.Flags(command.FileFlags("change"), command.SelectorFlag(), command.OutputFlags(command.ObjectFormats), command.DryRunFlag(), command.ManagerFlag(manager),
			&cli.BoolFlag{Name: "local", Usage: "change the files' objects only, without the server"},
			&cli.BoolFlag{Name: "all", Usage: "all objects of the types in the namespace"}),
		Action: func(c *cli.Context) error { return runImage(c, env) },
	},
		"skiff set image deployment/kubia nodejs=kubia:v2",
		"skiff set image deployments,rc '*=kubia:v2' --all     # all containers of all of them",
		"skiff set image -f kubia.yaml nodejs=kubia:v2 --local -o yaml")
}

// imager is one run of set image.
type imager struct {
	env    *command.Env
	client *client.Client
	report *output.Reporter
	dryRun command.DryRun
	local  bool
	write  client.WriteOptions
	images map[string]string // by container; "*" for all
}

func runImage(c *cli.Context, env *command.Env) error {
	s := &imager{env: env, local: c.Bool("local")}
	var err error
	if s.dryRun, err = env.ReadDryRun(c); err != nil {
		return err
	}
	if s.report, err = output.NewReporter(env.Out, output.Read(c), s.dryRun.Suffix()); err != nil {
		return err
	}
	args, pairs, err := split(c.Args().Slice())
	if err != nil {
		return err
	}
	if s.images, err = parse(pairs); err != nil {
		return err
	}
	q := resource.Query{Args: args, Files: command.Files(c), Labels: c.String("selector"), All: c.Bool("all")}
	if err := s.check(q); err != nil {
		return err
	}
	s.write = client.WriteOptions{DryRun: s.dryRun == command.DryRunServer, Manager: c.String("field-manager")}
	if s.local {
		return s.files(c.Context, q)
	}
	if s.client, err = env.Connect(c); err != nil {
		return err
	}
	f := resource.Finder{Client: s.client, In: env.In}
	return f.Find(c.Context, q, func(o resource.Object) error { return s.one(c.Context, o) })
}

// split parts types and names from CONTAINER=IMAGE: the first of these begins them, and nothing else may follow.
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
	switch {
	case s.local && len(q.Args) > 0:
		return errors.New("when --local is given objects must come from files: -f kubia.yaml")
	case q.All && q.Labels != "":
		return errors.New("cannot set --all and --selector at the same time")
	case len(q.Args) == 0 && len(q.Names) == 0:
		return errors.New("one or more resources must be specified as <resource> <name> or <resource>/<name>")
	case len(s.images) == 0:
		return errors.New("at least one image update is required")
	case everything && len(s.images) > 1:
		return errors.New("all containers are already specified by *, but saw more than one container_name=container_image pairs")
	case s.local && s.dryRun == command.DryRunServer:
		return errors.New("cannot specify --local and --dry-run=server - did you mean --dry-run=client?")
	}
	return nil
}

// files changes what the files hold and prints it; the server is not asked.
func (s *imager) files(ctx context.Context, q resource.Query) error {
	manifests, err := resource.Reader{In: s.env.In}.Read(ctx, q.Files)
	errs := []error{err}
	for _, m := range manifests {
		err := s.apply(m.Object, strings.ToLower(m.Object.GetKind())+"/"+m.Object.GetName())
		if err == nil {
			err = s.report.Report(m.Object, "image updated")
		}
		errs = append(errs, err)
	}
	return command.Join(errs...)
}

// one changes an object's images. One whose images are so already is left alone, and not mentioned.
func (s *imager) one(ctx context.Context, o resource.Object) error {
	changed := o.Value.DeepCopy()
	missing := s.apply(changed, o.Mapping.Resource.Resource+"/"+o.Name)
	kind, patch, err := client.Difference(o.Mapping.GroupVersionKind, o.Value, changed)
	if err != nil || string(patch) == "{}" {
		return command.Join(missing, err)
	}
	if s.dryRun != command.DryRunClient {
		if changed, err = s.client.Patch(ctx, o.Ref, kind, patch, s.write); err != nil {
			return command.Join(missing, fmt.Errorf("failed to patch image update to pod template: %w", err))
		}
	}
	return command.Join(missing, s.report.Report(changed, "image updated"))
}

// apply changes obj itself. It is an error, but no reason to stop, when a container is not there.
func (s *imager) apply(obj *unstructured.Unstructured, name string) error {
	path, ok := podSpecPaths[obj.GetKind()]
	if !ok {
		return fmt.Errorf("error: %s the object is not a pod or does not have a pod template: %s", name, obj.GetKind())
	}
	found := map[string]bool{}
	for _, list := range []string{"initContainers", "containers"} {
		at := append(slices.Clone(path), list)
		containers, _, err := unstructured.NestedSlice(obj.Object, at...)
		if err != nil {
			return err
		}
		for _, item := range containers {
			s.setImage(item, found)
		}
		if len(containers) > 0 {
			if err := unstructured.SetNestedSlice(obj.Object, containers, at...); err != nil {
				return err
			}
		}
	}
	var errs []error
	for _, container := range slices.Sorted(maps.Keys(s.images)) {
		if !found[container] {
			errs = append(errs, fmt.Errorf("error: unable to find container named %q", container))
		}
	}
	return command.Join(errs...)
}

func (s *imager) setImage(item any, found map[string]bool) {
	container, ok := item.(map[string]any)
	if !ok {
		return
	}
	name, _ := container["name"].(string)
	for _, key := range []string{name, "*"} {
		if image, given := s.images[key]; given {
			container["image"] = image
			found[key] = true
			return
		}
	}
}

// podSpecPaths is where kinds keep their pods' specification.
var podSpecPaths = map[string][]string{
	"Pod":                   {"spec"},
	"ReplicationController": {"spec", "template", "spec"},
	"ReplicaSet":            {"spec", "template", "spec"},
	"Deployment":            {"spec", "template", "spec"},
	"DaemonSet":             {"spec", "template", "spec"},
	"StatefulSet":           {"spec", "template", "spec"},
	"Job":                   {"spec", "template", "spec"},
	"CronJob":               {"spec", "jobTemplate", "spec", "template", "spec"},
}
