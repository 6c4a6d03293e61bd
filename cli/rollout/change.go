package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/resource"
)

// restartedAnnotation changes a template, so that all pods are replaced.
const restartedAnnotation = "kubectl.kubernetes.io/restartedAt"

// change is a subcommand that changes objects.
type change struct {
	name, usage, does, done string
	examples                []string
	// make changes the object; kind is its own.
	make func(u *unstructured.Unstructured, kind schema.GroupKind, now time.Time) error
	// same is the error when an object already is as it should be.
	same func(name string) error
}

func isPaused(u *unstructured.Unstructured) bool {
	paused, _, _ := unstructured.NestedBool(u.Object, "spec", "paused")
	return paused
}

var deploymentKind = schema.GroupKind{Group: "apps", Kind: "Deployment"}

func pause() change {
	return change{name: "pause", usage: "Mark a deployment as paused: its template is not rolled out", does: "pause", done: "paused",
		examples: []string{"skiff rollout pause deployment/kubia"},
		make: func(u *unstructured.Unstructured, kind schema.GroupKind, _ time.Time) error {
			switch {
			case kind != deploymentKind:
				return errors.New("pausing is not supported")
			case isPaused(u):
				return errors.New("is already paused")
			}
			return unstructured.SetNestedField(u.Object, true, "spec", "paused")
		}}
}

func resume() change {
	return change{name: "resume", usage: "Resume a paused deployment", does: "resume", done: "resumed",
		examples: []string{"skiff rollout resume deployment/kubia"},
		make: func(u *unstructured.Unstructured, kind schema.GroupKind, _ time.Time) error {
			switch {
			case kind != deploymentKind:
				return errors.New("resuming is not supported")
			case !isPaused(u):
				return errors.New("is not paused")
			}
			unstructured.RemoveNestedField(u.Object, "spec", "paused")
			return nil
		}}
}

func restart() change {
	return change{name: "restart", usage: "Restart a deployment, daemon set or stateful set: replace all of its pods", does: "restart", done: "restarted",
		examples: []string{"skiff rollout restart deployment/kubia", "skiff rollout restart deployment -l app=kubia"},
		make: func(u *unstructured.Unstructured, kind schema.GroupKind, now time.Time) error {
			switch {
			case kind.Group != "apps" || kind.Kind != "Deployment" && kind.Kind != "DaemonSet" && kind.Kind != "StatefulSet":
				return errors.New("restarting is not supported")
			case isPaused(u):
				return errors.New("can't restart paused deployment (run rollout resume first)")
			}
			return unstructured.SetNestedField(u.Object, now.Format(time.RFC3339), "spec", "template", "metadata", "annotations", restartedAnnotation)
		},
		same: func(name string) error {
			return fmt.Errorf("failed to create patch for %s: if restart has already been triggered within the past second, please wait before attempting to trigger another", name)
		}}
}

func (ch change) command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: ch.name, Usage: ch.usage, ArgsUsage: arguments,
		Flags: command.Flags(command.FileFlags(ch.does), command.SelectorFlag(), command.OutputFlags(command.ObjectFormats), command.ManagerFlag(manager)),
		Action: func(c *cli.Context) error {
			t, err := begin(c, env)
			if err != nil {
				return err
			}
			write := client.WriteOptions{Manager: c.String("field-manager")}
			return t.each(c.Context, func(o resource.Object) error { return ch.one(c.Context, t, o, write) })
		},
	}, ch.examples...)
}

func (ch change) one(ctx context.Context, t *task, o resource.Object, write client.WriteOptions) error {
	gr := o.Mapping.Resource.GroupResource()
	changed := o.Value.DeepCopy()
	if err := ch.make(changed, o.Mapping.GroupVersionKind.GroupKind(), t.env.Now()); err != nil {
		return fmt.Errorf("error: %s %q %w", gr, o.Name, err)
	}
	kind, patch, err := client.Difference(o.Mapping.GroupVersionKind, o.Value, changed)
	if err != nil {
		return err
	}
	if string(patch) == "{}" && ch.same != nil {
		return ch.same(o.Name)
	}
	now, err := t.client.Patch(ctx, o.Ref, kind, patch, write)
	if err != nil {
		return fmt.Errorf("failed to patch: %w", err)
	}
	return t.report.Report(now, ch.done)
}
