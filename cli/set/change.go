package set

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/output"
	"skiff/cli/resource"
)

// manager is the field manager of set. It is kubectl's name, so that the server takes the two
// programs for one.
const manager = "kubectl-set"

// flags are those of all subcommands.
func flags() []cli.Flag {
	return command.Flags(command.FileFlags("change"), command.OutputFlags(command.ObjectFormats), command.DryRunFlag(), command.ManagerFlag(manager),
		&cli.BoolFlag{Name: "local", Usage: "change the files' objects only, without the server"},
		&cli.BoolFlag{Name: "all", Usage: "select all objects of the types in the namespace"})
}

// containersFlag chooses containers by their names.
func containersFlag() cli.Flag {
	return &cli.StringFlag{Name: "containers", Aliases: []string{"c"}, Value: "*", Usage: "the `CONTAINERS` to change, by name or pattern"}
}

// change is one run of a subcommand: something that is done to each object.
type change struct {
	env    *command.Env
	client *client.Client
	report *output.Reporter
	dryRun command.DryRun
	local  bool
	write  client.WriteOptions
	// done is what is reported, failed what a refusal by the server begins with.
	done, failed string
	// apply changes an object, which name calls in errors. What it has changed counts also if it fails.
	apply func(obj *unstructured.Unstructured, name string) error
}

// open reads the flags that all subcommands have.
func (s *change) open(c *cli.Context, env *command.Env) (resource.Query, error) {
	s.env, s.local = env, c.Bool("local")
	q := resource.Query{Files: command.Files(c), Labels: c.String("selector"), All: c.Bool("all")}
	var err error
	if s.dryRun, err = env.ReadDryRun(c); err != nil {
		return q, err
	}
	s.write = client.WriteOptions{DryRun: s.dryRun == command.DryRunServer, Manager: c.String("field-manager")}
	s.report, err = output.NewReporter(env.Out, output.Read(c), s.dryRun.Suffix())
	return q, err
}

func (s *change) check(q resource.Query) error {
	switch {
	case s.local && len(q.Args) > 0:
		return errors.New("when --local is given objects must come from files: -f kubia.yaml")
	case q.All && q.Labels != "":
		return errors.New("cannot set --all and --selector at the same time")
	case len(q.Args) == 0 && len(q.Names) == 0:
		return errors.New("one or more resources must be specified as <resource> <name> or <resource>/<name>")
	case s.local && s.dryRun == command.DryRunServer:
		return errors.New("cannot specify --local and --dry-run=server - did you mean --dry-run=client?")
	}
	return nil
}

// run changes all that is named.
func (s *change) run(c *cli.Context, q resource.Query) error {
	if s.local {
		return s.files(c.Context, q)
	}
	var err error
	if s.client, err = s.env.Connect(c); err != nil {
		return err
	}
	f := resource.Finder{Client: s.client, In: s.env.In}
	return f.Find(c.Context, q, func(o resource.Object) error { return s.one(c.Context, o) })
}

// files changes what the files hold and prints it; the server is not asked.
func (s *change) files(ctx context.Context, q resource.Query) error {
	manifests, err := resource.Reader{In: s.env.In}.Read(ctx, q.Files)
	errs := []error{err}
	for _, m := range manifests {
		err := s.apply(m.Object, strings.ToLower(m.Object.GetKind())+"/"+m.Object.GetName())
		if err == nil && s.done != "" {
			err = s.report.Report(m.Object, s.done)
		}
		errs = append(errs, err)
	}
	return command.Join(errs...)
}

// one changes an object. An object that is already right is left alone and not mentioned.
func (s *change) one(ctx context.Context, o resource.Object) error {
	changed := o.Value.DeepCopy()
	failed := s.apply(changed, o.Mapping.Resource.Resource+"/"+o.Name)
	if s.done == "" {
		return failed
	}
	kind, patch, err := client.Difference(o.Mapping.GroupVersionKind, o.Value, changed)
	if err != nil || string(patch) == "{}" {
		return command.Join(failed, err)
	}
	if s.dryRun != command.DryRunClient {
		if changed, err = s.client.Patch(ctx, o.Ref, kind, patch, s.write); err != nil {
			return command.Join(failed, fmt.Errorf("%s: %w", s.failed, err))
		}
	}
	return command.Join(failed, s.report.Report(changed, s.done))
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

// podSpecPath is where an object keeps its pods' specification.
func podSpecPath(obj *unstructured.Unstructured, name string) ([]string, error) {
	at, ok := podSpecPaths[obj.GetKind()]
	if !ok {
		return nil, fmt.Errorf("error: %s the object is not a pod or does not have a pod template: %s", name, obj.GetKind())
	}
	return at, nil
}

// eachContainer calls fn with each container of the lists, which fn may change.
func eachContainer(obj *unstructured.Unstructured, name string, lists []string, fn func(container map[string]any) error) error {
	spec, err := podSpecPath(obj, name)
	if err != nil {
		return err
	}
	for _, list := range lists {
		at := append(slices.Clone(spec), list)
		containers, _, err := unstructured.NestedSlice(obj.Object, at...)
		if err != nil {
			return err
		}
		for _, item := range containers {
			if container, ok := item.(map[string]any); ok {
				if err := fn(container); err != nil {
					return err
				}
			}
		}
		if len(containers) > 0 {
			if err := unstructured.SetNestedSlice(obj.Object, containers, at...); err != nil {
				return err
			}
		}
	}
	return nil
}

// allContainers are the lists of containers in kubectl's order for what is about all of them.
var allContainers = []string{"containers", "initContainers"}

// chosen calls fn with the containers whose names match a pattern, and returns how many there are.
func chosen(obj *unstructured.Unstructured, name, pattern string, fn func(container map[string]any) error) (n int, err error) {
	err = eachContainer(obj, name, allContainers, func(c map[string]any) error {
		own, _ := c["name"].(string)
		if match, err := path.Match(pattern, own); err != nil || !match {
			return err
		}
		n++
		return fn(c)
	})
	return n, err
}
