// Package await waits until objects are as one wants them: skiff wait.
package await

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/util/jsonpath"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/gone"
	"skiff/cli/output"
	"skiff/cli/resource"
)

// Command is skiff wait.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "wait", Usage: "Wait for a specific condition on one or many resources", ArgsUsage: "(-f FILE | TYPE NAME | TYPE/NAME | TYPE -l LABELS) --for=CONDITION",
		Flags: command.Flags(command.FileFlags("wait for"), command.SelectorFlag(), command.FieldSelectorFlag(), command.AllNamespacesFlag(), command.OutputFlags(command.ObjectFormats),
			&cli.BoolFlag{Name: "all", Usage: "all objects of the types in the namespace"},
			&cli.StringSliceFlag{Name: "for", Usage: "`CONDITION` to wait for: create, delete, condition=NAME[=VALUE], jsonpath='{PATH}'[=VALUE]; may be repeated"},
			&cli.DurationFlag{Name: "timeout", Value: 30 * time.Second, Usage: "give up after this time; 0 looks once, less than 0 waits a week"}),
		Action: func(c *cli.Context) error { return run(c, env) },
	},
		"skiff wait --for=condition=Ready pod/kubia-dssvz",
		"skiff wait --for=jsonpath='{.status.readyReplicas}'=3 rc/kubia --timeout=1m",
		"skiff wait --for=delete pod/kubia-dssvz",
		"skiff wait --for=create rc/kubia")
}

// waiter is one run of wait.
type waiter struct {
	client *client.Client
	report *output.Reporter
	// met tells whether an object is as wanted; nil for deletion and creation.
	met    func(*unstructured.Unstructured) (bool, error)
	delete bool
	create bool
	once   bool
}

// errNotMet is what looking once and not finding the condition ends with.
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
	report, err := output.NewReporter(env.Out, output.Read(c), "")
	if err != nil {
		return err
	}
	ctx, cancel := deadline(c.Context, c.Duration("timeout"))
	defer cancel()
	q := resource.Query{Args: c.Args().Slice(), Files: command.Files(c), Labels: c.String("selector"), Fields: c.String("field-selector"), All: c.Bool("all"), AllNamespaces: c.Bool("all-namespaces")}
	for _, condition := range conditions {
		w := &waiter{client: cl, report: report, once: c.Duration("timeout") == 0}
		if err := w.parse(condition); err != nil {
			return err
		}
		if err := w.all(ctx, resource.Finder{Client: cl, In: env.In}, q); err != nil {
			return err
		}
	}
	return nil
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

// conditionMet looks for a condition in the status; one that is older than the object's newest generation tells nothing.
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

// parsePath reads '{.status.phase}'=Running; without a value it is enough that the field is there.
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

func (w *waiter) all(ctx context.Context, f resource.Finder, q resource.Query) error {
	targets, err := f.Targets(ctx, q)
	if err != nil {
		return err
	}
	if w.create {
		return w.created(ctx, targets)
	}
	var found []resource.Object
	err = f.Each(ctx, targets, 0, func(o resource.Object) error {
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
	obj, err := w.until(ctx, o)
	if err != nil {
		return timedOut(err, o.Ref)
	}
	return w.report.Report(obj, "condition met")
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
	if err := gone.Wait(ctx, w.client, gone.Object{Ref: o.Ref, UID: o.Value.GetUID()}); err != nil {
		return timedOut(err, o.Ref)
	}
	return w.report.Report(o.Value, "condition met")
}

// until follows an object until the condition is met; it begins anew whenever the server ends the watch.
func (w *waiter) until(ctx context.Context, o resource.Object) (*unstructured.Unstructured, error) {
	for {
		obj, version, err := w.client.Latest(ctx, o.Ref)
		if err != nil {
			return nil, client.OrDone(ctx, err)
		}
		if ok, err := w.met(obj); err != nil || ok {
			return obj, err
		}
		if w.once {
			return nil, fmt.Errorf("condition not met for %s", o.Ref)
		}
		obj, done, err := w.follow(ctx, o.Ref, version)
		if err != nil || done {
			return obj, err
		}
	}
}

func (w *waiter) follow(ctx context.Context, r client.Ref, version string) (*unstructured.Unstructured, bool, error) {
	events, err := w.client.Watch(ctx, r, client.ListOptions{ResourceVersion: version})
	if err != nil {
		return nil, false, client.OrDone(ctx, err)
	}
	defer events.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, false, ctx.Err()
		case e, ok := <-events.ResultChan():
			u, isObject := e.Object.(*unstructured.Unstructured)
			switch {
			case !ok || e.Type == watch.Error || !isObject:
				return nil, false, ctx.Err()
			case e.Type == watch.Deleted:
				return nil, false, apierrors.NewNotFound(r.Mapping.Resource.GroupResource(), r.Name)
			}
			if met, err := w.met(u); err != nil || met {
				return u, met, err
			}
		}
	}
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
		if err := w.report.Report(obj, "condition met"); err != nil {
			return err
		}
	}
	return nil
}

func (w *waiter) appears(ctx context.Context, r client.Ref) (*unstructured.Unstructured, error) {
	collection := r
	collection.Name = ""
	for {
		items, version, err := w.client.List(ctx, collection, client.ListOptions{Fields: "metadata.name=" + r.Name})
		if err != nil {
			return nil, client.OrDone(ctx, err)
		}
		if len(items) > 0 {
			return &items[0], nil
		}
		if w.once {
			return nil, apierrors.NewNotFound(r.Mapping.Resource.GroupResource(), r.Name)
		}
		obj, err := w.firstEvent(ctx, r, version)
		if err != nil || obj != nil {
			return obj, err
		}
	}
}

func (w *waiter) firstEvent(ctx context.Context, r client.Ref, version string) (*unstructured.Unstructured, error) {
	events, err := w.client.Watch(ctx, r, client.ListOptions{ResourceVersion: version})
	if err != nil {
		return nil, client.OrDone(ctx, err)
	}
	defer events.Stop()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case e := <-events.ResultChan():
		if u, ok := e.Object.(*unstructured.Unstructured); ok && e.Type != watch.Error {
			return u, nil
		}
		return nil, ctx.Err()
	}
}
