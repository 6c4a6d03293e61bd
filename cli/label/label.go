// Package label changes labels and annotations: skiff label and skiff annotate differ in little but
// the field.
package label

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/output"
	"skiff/cli/resource"
)

// kind tells labels from annotations.
type kind struct {
	verb, noun, field, manager string
	get                        func(*unstructured.Unstructured) map[string]string
	put                        func(*unstructured.Unstructured, map[string]string)
	// check refuses values the server would refuse too.
	check func(key, value string) error
	// done says what happened to an object: whether keys were added or changed, and whether some
	// were removed.
	done func(added, removed bool) string
	// free are keys that may be changed without --overwrite.
	free []string
}

func labels() kind {
	return kind{verb: "label", noun: "label", field: "labels", manager: "kubectl-label",
		get: (*unstructured.Unstructured).GetLabels, put: (*unstructured.Unstructured).SetLabels,
		check: func(key, value string) error {
			if errs := validation.IsValidLabelValue(value); len(errs) > 0 {
				return fmt.Errorf("invalid label value: %q: %s", key+"="+value, strings.Join(errs, ";"))
			}
			return nil
		},
		done: func(added, removed bool) string {
			switch {
			case added && removed:
				return "modified"
			case added:
				return "labeled"
			case removed:
				return "unlabeled"
			}
			return "not labeled"
		}}
}

// changeCause is written anew with each change of a workload.
const changeCause = "kubernetes.io/change-cause"

func annotations() kind {
	return kind{verb: "annotate", noun: "annotation", field: "annotations", manager: "kubectl-annotate",
		get: (*unstructured.Unstructured).GetAnnotations, put: (*unstructured.Unstructured).SetAnnotations,
		check: func(string, string) error { return nil },
		done:  func(bool, bool) string { return "annotated" },
		free:  []string{changeCause}}
}

// Label is skiff label.
func Label(env *command.Env) *cli.Command {
	return labels().command(env, "Update the labels on a resource",
		"skiff label pod kubia-mgz64 app=foo --overwrite   # out of its controller's reach",
		"skiff label node minikube disk=ssd",
		"skiff label pods --all env=dev",
		"skiff label pod kubia-mgz64 app-                  # remove the label",
		"skiff label pod kubia-mgz64 --list")
}

// Annotate is skiff annotate.
func Annotate(env *command.Env) *cli.Command {
	return annotations().command(env, "Update the annotations on a resource",
		"skiff annotate pod kubia-mgz64 description='my frontend'",
		"skiff annotate -f pod.json description='my frontend' --overwrite",
		"skiff annotate pod kubia-mgz64 description-       # remove the annotation")
}

func (k kind) command(env *command.Env, usage string, examples ...string) *cli.Command {
	return command.New(cli.Command{
		Name: k.verb, Usage: usage, ArgsUsage: "(-f FILE | TYPE NAME) KEY_1=VAL_1 … KEY_N=VAL_N",
		Flags: command.Flags(command.FileFlags(k.verb), command.SelectorFlag(), command.FieldSelectorFlag(), command.AllNamespacesFlag(),
			command.OutputFlags(command.ObjectFormats), command.DryRunFlag(), command.ManagerFlag(k.manager),
			&cli.BoolFlag{Name: "overwrite", Usage: "change values that already exist"},
			&cli.BoolFlag{Name: "list", Usage: "show the " + k.field + " of the object"},
			&cli.BoolFlag{Name: "local", Usage: "change the files' objects only, without the server"},
			&cli.BoolFlag{Name: "all", Usage: "select all objects of the types in the namespace"},
			&cli.StringFlag{Name: "resource-version", Usage: "change the object only if this is its `VERSION`"}),
		Action: func(c *cli.Context) error { return k.run(c, env) },
	}, examples...)
}

// change is what is to be done to each object.
type change struct {
	set       map[string]string
	remove    []string
	overwrite bool
	version   string
}

// tagger is one run.
type tagger struct {
	kind
	change
	env    *command.Env
	client *client.Client
	report *output.Reporter
	dryRun command.DryRun
	write  client.WriteOptions
	list   bool
	local  bool
	single bool
}

func (k kind) run(c *cli.Context, env *command.Env) error {
	t, resources, err := k.read(c, env)
	if err != nil {
		return err
	}
	q := resource.Query{Args: resources, Files: command.Files(c), Labels: c.String("selector"), Fields: c.String("field-selector"),
		All: c.Bool("all"), AllNamespaces: c.Bool("all-namespaces")}
	if err := t.check(q); err != nil {
		return err
	}
	if t.local {
		return t.files(c.Context, q)
	}
	if t.client, err = env.Connect(c); err != nil {
		return err
	}
	f := resource.Finder{Client: t.client, In: env.In}
	targets, err := f.Targets(c.Context, q)
	t.single = len(targets) == 1 && targets[0].Name != ""
	if t.version != "" && !t.single {
		return command.Join(err, errors.New("--resource-version may only be used with a single resource"))
	}
	return command.Join(err, f.Each(c.Context, targets, 0, func(o resource.Object) error { return t.one(c.Context, o) }))
}

func (k kind) read(c *cli.Context, env *command.Env) (*tagger, []string, error) {
	t := &tagger{kind: k, env: env, list: c.Bool("list"), local: c.Bool("local")}
	t.overwrite, t.version = c.Bool("overwrite"), c.String("resource-version")
	resources, specs, err := split(c.Args().Slice(), k.noun)
	if err != nil {
		return nil, nil, err
	}
	if t.set, t.remove, err = k.parse(specs); err != nil {
		return nil, nil, err
	}
	if t.dryRun, err = env.ReadDryRun(c); err != nil {
		return nil, nil, err
	}
	if t.list && c.String("output") != "" {
		return nil, nil, errors.New("--list and --output may not be specified together")
	}
	t.write = client.WriteOptions{DryRun: t.dryRun == command.DryRunServer, Manager: c.String("field-manager")}
	t.report, err = output.NewReporter(env.Out, output.Read(c), t.dryRun.Suffix())
	return t, resources, err
}

// split separates types and names from changes: the first KEY=VALUE or KEY- begins the changes, and
// nothing else may follow.
func split(args []string, noun string) (resources, specs []string, err error) {
	for _, a := range args {
		switch {
		case strings.Contains(a, "=") || strings.HasSuffix(a, "-"):
			specs = append(specs, a)
		case len(specs) > 0:
			return nil, nil, fmt.Errorf("all resources must be specified before %s changes: %s", noun, a)
		default:
			resources = append(resources, a)
		}
	}
	return resources, specs, nil
}

func (k kind) parse(specs []string) (set map[string]string, remove []string, err error) {
	set = map[string]string{}
	for _, s := range specs {
		key, value, assigned := strings.Cut(s, "=")
		switch {
		case assigned && key == "":
			return nil, nil, fmt.Errorf("invalid %s spec: %v", k.noun, s)
		case assigned && k.noun == "label" && strings.Contains(value, "="):
			return nil, nil, fmt.Errorf("invalid label spec: %v", s)
		case assigned:
			if err := k.check(key, value); err != nil {
				return nil, nil, err
			}
			set[key] = value
		default:
			remove = append(remove, strings.TrimSuffix(s, "-"))
		}
	}
	for _, r := range remove {
		if _, both := set[r]; both {
			return nil, nil, fmt.Errorf("can not both modify and remove a %s in the same command", k.noun)
		}
	}
	return set, remove, nil
}

func (t *tagger) check(q resource.Query) error {
	switch {
	case q.All && q.Labels != "":
		return errors.New("cannot set --all and --selector at the same time")
	case q.All && q.Fields != "":
		return errors.New("cannot set --all and --field-selector at the same time")
	case t.local && t.dryRun == command.DryRunServer:
		return errors.New("cannot specify --local and --dry-run=server - did you mean --dry-run=client?")
	case t.local && len(q.Args) > 0:
		return fmt.Errorf("can only use local files by -f pod.yaml or --filename=pod.json when --local=true is set")
	case t.local && len(q.Names) == 0:
		return errors.New("one or more files must be specified as -f pod.yaml or --filename=pod.json")
	case len(q.Args) == 0 && len(q.Names) == 0:
		return errors.New("one or more resources must be specified as <resource> <name> or <resource>/<name>")
	case len(t.set) == 0 && len(t.remove) == 0 && !t.list:
		return fmt.Errorf("at least one %s update is required", t.noun)
	}
	return nil
}

// files changes what the files hold and prints it; the server is not asked.
func (t *tagger) files(ctx context.Context, q resource.Query) error {
	manifests, err := resource.Reader{In: t.env.In}.Read(ctx, q.Files)
	errs := []error{err}
	for _, m := range manifests {
		done, err := t.apply(m.Object)
		if err == nil {
			err = t.report.Report(m.Object, done)
		}
		errs = append(errs, err)
	}
	return command.Join(errs...)
}

func (t *tagger) one(ctx context.Context, o resource.Object) error {
	if t.list {
		t.show(o)
		return nil
	}
	before := maps.Clone(t.get(o.Value))
	if t.dryRun != command.DryRunClient && t.noun == "label" {
		for _, key := range t.remove {
			if _, there := before[key]; !there {
				fmt.Fprintf(t.env.Out, "label %q not found.\n", key)
			}
		}
	}
	done, err := t.apply(o.Value)
	if err != nil {
		return err
	}
	obj := o.Value
	if t.dryRun != command.DryRunClient {
		if obj, err = t.client.Patch(ctx, o.Ref, types.MergePatchType, t.patch(before), t.write); err != nil {
			return err
		}
	}
	return t.report.Report(obj, done)
}

// apply changes obj itself, and words what has become of it.
func (t *tagger) apply(obj *unstructured.Unstructured) (string, error) {
	now := maps.Clone(t.get(obj))
	if now == nil {
		now = map[string]string{}
	}
	if err := t.taken(now); err != nil {
		return "", err
	}
	added, removed := false, false
	for key, value := range t.set {
		old, there := now[key]
		added = added || !there || old != value
		now[key] = value
	}
	for _, key := range t.remove {
		_, there := now[key]
		removed = removed || there
		delete(now, key)
	}
	t.put(obj, now)
	return t.done(added, removed), nil
}

// taken refuses to change existing values unless that was asked for.
func (t *tagger) taken(now map[string]string) error {
	var taken []string
	for _, key := range slices.Sorted(maps.Keys(t.set)) {
		if old, there := now[key]; there && old != t.set[key] && !t.overwrite && !slices.Contains(t.free, key) {
			taken = append(taken, fmt.Sprintf("'%s' already has a value (%s)", key, old))
		}
	}
	if len(taken) == 0 {
		return nil
	}
	if t.noun == "annotation" {
		return fmt.Errorf("--overwrite is false but found the following declared annotation(s): %s", strings.Join(taken, "; "))
	}
	var errs []error
	for _, why := range taken {
		errs = append(errs, errors.New(why+", and --overwrite is false"))
	}
	return command.Join(errs...)
}

// patch is the change as a merge patch: what is set, and null for what is removed.
func (t *tagger) patch(before map[string]string) []byte {
	fields := map[string]any{}
	for k, v := range t.set {
		if old, there := before[k]; !there || old != v {
			fields[k] = v
		}
	}
	for _, k := range t.remove {
		if _, there := before[k]; there {
			fields[k] = nil
		}
	}
	meta := map[string]any{}
	if len(fields) > 0 {
		meta[t.field] = fields
	}
	if t.version != "" {
		meta["resourceVersion"] = t.version
	}
	patch := map[string]any{}
	if len(meta) > 0 {
		patch["metadata"] = meta
	}
	data, _ := json.Marshal(patch) // maps of strings always encode
	return data
}

func (t *tagger) show(o resource.Object) {
	indent := ""
	if !t.single {
		indent = " "
		gvk := o.Mapping.GroupVersionKind
		fmt.Fprintf(t.env.Out, "Listing %s for %s.%s/%s:\n", t.field, gvk.Kind, gvk.Group, o.Name)
	}
	all := t.get(o.Value)
	for _, k := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(t.env.Out, "%s%s=%s\n", indent, k, all[k])
	}
}
