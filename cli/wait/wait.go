// Package wait waits until objects meet a condition: skiff wait.
package wait

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/util/jsonpath"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/output"
	"skiff/cli/resource"
)

// Command is skiff wait.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "wait", Usage: "Wait for a specific condition on one or many resources", ArgsUsage: "(-f FILE | TYPE NAME | TYPE/NAME | TYPE -l LABELS) --for=CONDITION",
		Description: "Where --for is repeated, the first condition that holds for all of the objects ends the wait: the exit code is 0 for the first one named, 2 for\n" +
			"the second, 3 for the third and so on, and 1 if none held.",
		Flags: command.Flags(command.FileFlags("wait for"), command.SelectorFlag(), command.FieldSelectorFlag(), command.AllNamespacesFlag(), command.OutputFlags(command.ObjectFormats),
			&cli.BoolFlag{Name: "all", Usage: "select all objects of the types in the namespace"},
			&cli.StringSliceFlag{Name: "for", Usage: "`CONDITION` to wait for: create, delete, condition=NAME[=VALUE], jsonpath='{PATH}'[=VALUE]; may be repeated, for the first that holds"},
			&cli.DurationFlag{Name: "timeout", Value: 30 * time.Second, Usage: "give up after this time; 0 checks once, negative waits a week"}),
		Action: func(c *cli.Context) error { return run(c, env) },
	},
		"skiff wait --for=condition=Ready pod/kubia-dssvz",
		"skiff wait --for=jsonpath='{.status.readyReplicas}'=3 rc/kubia --timeout=1m",
		"skiff wait --for=condition=complete --for=condition=failed job/batch-job     # exit code 0 or 2",
		"skiff wait --for=delete pod/kubia-dssvz",
		"skiff wait --for=create rc/kubia")
}

// waiter is one run of wait.
type waiter struct {
	client *client.Client
	report *output.Reporter
	// word is what report says of an object, and said what it has written where only the first of several
	// conditions is to be heard.
	word string
	said bytes.Buffer
	// met reports whether an object meets the condition; nil for deletion and creation.
	met    func(*unstructured.Unstructured) (bool, error)
	delete bool
	create bool
	once   bool
	// complete means that jobs are to complete: one that fails never will.
	complete bool
	now      func() time.Time
}

// errTimeout is what waiting in vain ends with, in kubectl's words.
var errTimeout = errors.New("timed out waiting for the condition")

func run(c *cli.Context, env *command.Env) error {
	conditions := c.StringSlice("for")
	if len(conditions) == 0 {
		return errors.New("required flag(s) \"for\" not set")
	}
	cl, err := env.Connect(c)
	if err != nil {
		return err
	}
	ctx, cancel := deadline(c.Context, c.Duration("timeout"))
	defer cancel()
	all := make([]*waiter, len(conditions))
	for i, condition := range conditions {
		all[i] = &waiter{client: cl, once: c.Duration("timeout") == 0, now: env.Now, word: "condition met"}
		to := env.Out
		if len(conditions) > 1 {
			to = &all[i].said
			all[i].word += ": " + condition
		}
		if all[i].report, err = output.NewReporter(to, output.Read(c), ""); err != nil {
			return err
		}
		if err := all[i].parse(condition); err != nil {
			return err
		}
	}
	f := resource.Finder{Client: cl, In: env.In}
	q := resource.Query{Args: c.Args().Slice(), Files: command.Files(c), Labels: c.String("selector"), Fields: c.String("field-selector"), All: c.Bool("all"), AllNamespaces: c.Bool("all-namespaces")}
	targets, err := f.Targets(ctx, q)
	if err != nil {
		return err
	}
	if len(all) == 1 {
		return all[0].all(ctx, f, targets)
	}
	return first(ctx, all, f, targets, env)
}

// deadline bounds waiting: 0 looks once, as long as that takes.
func deadline(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout < 0 {
		timeout = 7 * 24 * time.Hour
	}
	if timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, timeout)
}

func (w *waiter) parse(condition string) error {
	kind, rest, _ := strings.Cut(condition, "=")
	switch strings.ToLower(kind) {
	case "delete":
		w.delete = true
	case "create":
		w.create = true
	case "condition":
		name, value, given := strings.Cut(rest, "=")
		if !given {
			value = "true"
		}
		w.complete = strings.EqualFold(name, string(batchv1.JobComplete)) && strings.EqualFold(value, "true")
		w.met = func(u *unstructured.Unstructured) (bool, error) { return conditionMet(u, name, value) }
	case "jsonpath":
		met, err := parsePath(rest)
		if err != nil {
			return err
		}
		w.met = met
	default:
		return fmt.Errorf("unrecognized condition: %q", condition)
	}
	return nil
}

// conditionMet looks for a condition in the status. One that is older than the object's newest
// generation does not count.
func conditionMet(u *unstructured.Unstructured, name, value string) (bool, error) {
	list, _, err := unstructured.NestedSlice(u.Object, "status", "conditions")
	if err != nil {
		return false, err
	}
	for _, item := range list {
		c, ok := item.(map[string]any)
		if !ok || !strings.EqualFold(fmt.Sprint(c["type"]), name) {
			continue
		}
		generation := u.GetGeneration()
		if seen, found, _ := unstructured.NestedInt64(c, "observedGeneration"); found && seen < generation {
			return false, nil
		}
		if seen, found, _ := unstructured.NestedInt64(u.Object, "status", "observedGeneration"); found && seen < generation {
			return false, nil
		}
		return strings.EqualFold(fmt.Sprint(c["status"]), value), nil
	}
	return false, nil
}

// parsePath reads '{.status.phase}'=Running; without a value the field only has to exist.
func parsePath(expression string) (func(*unstructured.Unstructured) (bool, error), error) {
	end := strings.LastIndex(expression, "}")
	var path, value string
	var given bool
	if end >= 0 {
		path = expression[:end+1]
		value, given = strings.CutPrefix(strings.Trim(expression[end+1:], "'\""), "=")
	} else {
		path, value, given = strings.Cut(expression, "=")
	}
	path = strings.Trim(path, "'\"")
	if path == "" || (given && value == "") {
		return nil, errors.New("jsonpath wait format must be --for=jsonpath='{.status.readyReplicas}'=3 or --for=jsonpath='{.status.readyReplicas}'")
	}
	relaxed, err := output.RelaxPath(path)
	if err != nil {
		return nil, err
	}
	p := jsonpath.New("wait").AllowMissingKeys(true)
	if err := p.Parse(relaxed); err != nil {
		return nil, err
	}
	return func(u *unstructured.Unstructured) (bool, error) {
		return pathMet(p, u, strings.Trim(value, "'\""), given)
	}, nil
}

func pathMet(p *jsonpath.JSONPath, u *unstructured.Unstructured, value string, given bool) (bool, error) {
	results, err := p.FindResults(u.Object)
	if err != nil || len(results) == 0 || len(results[0]) == 0 {
		return false, err
	}
	if len(results) > 1 || len(results[0]) > 1 {
		return false, errors.New("given jsonpath expression matches more than one value")
	}
	v := results[0][0].Interface()
	switch v.(type) {
	case map[string]any, []any:
		if given {
			return false, errors.New("jsonpath leads to a nested object or list which is not supported")
		}
	}
	return !given || strings.TrimSpace(fmt.Sprint(v)) == strings.TrimSpace(value), nil
}

// all waits until the condition holds for all of the objects.
func (w *waiter) all(ctx context.Context, f resource.Finder, targets []resource.Target) error {
	if w.create {
		return w.created(ctx, targets)
	}
	var found []resource.Object
	err := f.Each(ctx, targets, 0, func(o resource.Object) error {
		found = append(found, o)
		return nil
	})
	if w.delete {
		err = resource.IgnoreNotFound(err)
	}
	if err != nil {
		return err
	}
	if len(found) == 0 && !w.delete {
		return errors.New("no matching resources found")
	}
	var errs []error
	for _, o := range found {
		errs = append(errs, w.one(ctx, o))
	}
	return command.Join(errs...)
}

func (w *waiter) one(ctx context.Context, o resource.Object) error {
	if w.delete {
		return w.gone(ctx, o)
	}
	until := w.until
	if w.complete && o.Mapping.GroupVersionKind.GroupKind() == batchv1.SchemeGroupVersion.WithKind("Job").GroupKind() {
		until = w.untilComplete
	}
	obj, err := until(ctx, o.Ref)
	if errors.Is(err, context.DeadlineExceeded) {
		return w.explain(ctx, o, timedOut(err, o.Ref))
	}
	if err != nil {
		return err
	}
	return w.report.Report(obj, w.word)
}

func timedOut(err error, r client.Ref) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errTimeout) {
		return fmt.Errorf("%w on %s/%s", errTimeout, r.Mapping.Resource.Resource, r.Name)
	}
	return err
}

func (w *waiter) gone(ctx context.Context, o resource.Object) error {
	if w.once {
		return fmt.Errorf("condition not met for %s", o.Ref)
	}
	if err := w.client.Gone(ctx, client.Instance{Ref: o.Ref, UID: o.Value.GetUID()}); err != nil {
		return timedOut(err, o.Ref)
	}
	return w.report.Report(o.Value, w.word)
}

// until follows an object until the condition is met.
func (w *waiter) until(ctx context.Context, r client.Ref) (*unstructured.Unstructured, error) {
	var last *unstructured.Unstructured
	err := w.client.Until(ctx, r, func(u *unstructured.Unstructured) (bool, error) {
		if u == nil {
			return false, apierrors.NewNotFound(r.Mapping.Resource.GroupResource(), r.Name)
		}
		last = u
		met, err := w.met(u)
		if err == nil && !met && w.once {
			err = fmt.Errorf("condition not met for %s", r)
		}
		return met, err
	})
	return last, err
}

// created waits until objects exist.
func (w *waiter) created(ctx context.Context, targets []resource.Target) error {
	for _, t := range targets {
		if t.Name == "" {
			return errors.New("resource name must be provided")
		}
		obj, err := w.appears(ctx, t.Ref)
		if err != nil {
			return timedOut(err, t.Ref)
		}
		if err := w.report.Report(obj, w.word); err != nil {
			return err
		}
	}
	return nil
}

func (w *waiter) appears(ctx context.Context, r client.Ref) (*unstructured.Unstructured, error) {
	var found *unstructured.Unstructured
	err := w.client.Until(ctx, r, func(u *unstructured.Unstructured) (bool, error) {
		if u == nil && w.once {
			return false, apierrors.NewNotFound(r.Mapping.Resource.GroupResource(), r.Name)
		}
		found = u
		return u != nil, nil
	})
	return found, err
}
