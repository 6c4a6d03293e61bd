// Package stop holds the verbs of docker compose about what runs already: skiff stop, start and restart.
package stop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/compose"
	"skiff/cli/halt"
	"skiff/cli/pods"
	"skiff/cli/resource"
	"skiff/cli/rollout"
	"skiff/cli/up"
)

const arguments = "[NAME | TYPE/NAME…]"

func flags(what string) []cli.Flag {
	return command.Flags(up.SourceFlags(what),
		&cli.DurationFlag{Name: "timeout", Value: time.Minute, Usage: "give up waiting after this time; 0 for no limit"})
}

const whichOnes = "Without arguments it is about all of the application in this folder, or in the files of -f, as for up and down."

// Stop is skiff stop.
func Stop(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "stop", Usage: "Stop workloads without deleting them, and wait until their pods are gone", ArgsUsage: arguments,
		Description: whichOnes + "\n" +
			"Deployments and the like are scaled to nothing and remember how many replicas they had, jobs are suspended, daemon sets kept from every\n" +
			"node. skiff start, or the next skiff up, sets them going again.",
		Flags: flags("stop"), Action: func(c *cli.Context) error { return run(c, env, stop) },
	}, "skiff stop", "skiff stop web", "skiff stop deployment/web statefulset/db")
}

// Start is skiff start.
func Start(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "start", Usage: "Set going again what skiff stop has stopped", ArgsUsage: arguments, Description: whichOnes,
		Flags: flags("start"), Action: func(c *cli.Context) error { return run(c, env, start) },
	}, "skiff start", "skiff start web")
}

// Restart is skiff restart.
func Restart(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "restart", Usage: "Replace the pods of deployments, stateful sets and daemon sets, as kubectl rollout restart does", ArgsUsage: arguments, Description: whichOnes,
		Flags: flags("restart"), Action: func(c *cli.Context) error { return run(c, env, restarting(env)) },
	}, "skiff restart", "skiff restart web")
}

// verb does something to a workload. It returns what it did in a word, "" for nothing, and how to wait
// until that has come about; nil where nothing is waited for.
type verb func(ctx context.Context, c *client.Client, r client.Ref, o *unstructured.Unstructured) (done string, wait func(context.Context) error, err error)

func run(c *cli.Context, env *command.Env, do verb) error {
	cl, refs, err := find(c, env)
	if err != nil {
		return err
	}
	ctx := c.Context
	if t := c.Duration("timeout"); t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t)
		defer cancel()
	}
	type pending struct {
		client.Ref
		done string
		wait func(context.Context) error
	}
	var all []pending
	var errs []error
	for _, r := range refs {
		o, err := cl.Get(ctx, r)
		if apierrors.IsNotFound(err) && !c.Args().Present() {
			continue // it was never brought up
		}
		p := pending{Ref: r}
		if err == nil {
			p.done, p.wait, err = do(ctx, cl, r, o)
		}
		errs = append(errs, err)
		if p.done != "" && err == nil {
			all = append(all, p)
		}
	}
	for _, p := range all {
		var err error
		if p.wait != nil {
			err = p.wait(ctx)
		}
		switch {
		case err == nil:
			fmt.Fprintf(env.Out, "%s %s\n", p.Ref, p.done)
		case errors.Is(err, context.DeadlineExceeded):
			err = fmt.Errorf("timed out after %s waiting for the pods of %s to be gone", c.Duration("timeout"), p.Ref)
		}
		errs = append(errs, err)
	}
	return command.Join(errs...)
}

// find returns the workloads that the arguments name, or those of the application.
func find(c *cli.Context, env *command.Env) (*client.Client, []client.Ref, error) {
	if !c.Args().Present() {
		return up.Workloads(c, env)
	}
	cl, err := compose.Connect(c, env)
	if err != nil {
		return nil, nil, err
	}
	var refs []client.Ref
	for _, arg := range c.Args().Slice() {
		o, err := pods.Workload(c.Context, cl, arg)
		if err != nil {
			return nil, nil, err
		}
		refs = append(refs, o.Ref)
	}
	return cl, refs, nil
}

func stop(ctx context.Context, c *client.Client, r client.Ref, o *unstructured.Unstructured) (string, func(context.Context) error, error) {
	patch, err := halt.Stop(o)
	if err != nil || patch == nil {
		return "", nil, err
	}
	_, err = c.Patch(ctx, r, types.MergePatchType, patch, client.WriteOptions{})
	return "stopped", func(ctx context.Context) error { return gone(ctx, c, resource.Object{Ref: r, Value: o}) }, err
}

// gone waits until a workload has no pods, those that are about to end included.
func gone(ctx context.Context, c *client.Client, o resource.Object) error {
	if o.Mapping.GroupVersionKind.Kind == "CronJob" {
		return nil // the jobs that it has made go on
	}
	selector, err := pods.Selector(o)
	if err != nil {
		return err
	}
	ref, err := pods.Ref(c, o.Namespace, "")
	if err != nil {
		return err
	}
	there := map[types.UID]bool{}
	see := func(t watch.EventType, u *unstructured.Unstructured) {
		phase, _, _ := unstructured.NestedString(u.Object, "status", "phase")
		if t == watch.Deleted || phase == string(corev1.PodSucceeded) || phase == string(corev1.PodFailed) || !selector.Matches(labels.Set(u.GetLabels())) {
			delete(there, u.GetUID())
			return
		}
		there[u.GetUID()] = true
	}
	for done := false; !done; {
		clear(there)
		done, err = c.Observe(ctx, ref, client.Observer{
			Listed: func(items []unstructured.Unstructured) (bool, error) {
				for i := range items {
					see(watch.Added, &items[i])
				}
				return len(there) == 0, nil
			},
			Changed: func(t watch.EventType, u *unstructured.Unstructured) (bool, error) {
				see(t, u)
				return len(there) == 0, nil
			},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func start(ctx context.Context, c *client.Client, r client.Ref, o *unstructured.Unstructured) (string, func(context.Context) error, error) {
	patch, err := halt.Start(o)
	if err != nil || patch == nil {
		return "", nil, err
	}
	_, err = c.Patch(ctx, r, types.MergePatchType, patch, client.WriteOptions{})
	return "started", nil, err
}

// restarting marks the pods' template with the time, which has all of them replaced. What has no rollouts
// is left alone.
func restarting(env *command.Env) verb {
	return func(ctx context.Context, c *client.Client, r client.Ref, o *unstructured.Unstructured) (string, func(context.Context) error, error) {
		switch o.GetKind() {
		case "Deployment", "StatefulSet", "DaemonSet":
		default:
			return "", nil, nil
		}
		_, err := rollout.Restart(ctx, c, r, env.Now())
		return "restarted", nil, err
	}
}
