package edit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"skiff/cli/applied"
	"skiff/cli/command"
	"skiff/cli/resource"
)

// LastApplied is skiff apply edit-last-applied: it changes the record of what was applied last, and
// nothing else.
func LastApplied(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "edit-last-applied", Usage: "Edit the record of the configuration that was applied last", ArgsUsage: "(TYPE/NAME | TYPE NAME | -f FILE)",
		Flags: command.Flags(command.FileFlags("edit"), command.OutputFlags("yaml or json to edit in"), command.ValidateFlag(), command.ManagerFlag("kubectl-client-side-apply"),
			command.UnsupportedSwitch("windows-line-endings", "the file has the line endings of this machine, and may come back with either")),
		Action: func(c *cli.Context) error { return runLast(c, env) },
	}, "skiff apply edit-last-applied deployment/kubia")
}

func runLast(c *cli.Context, env *command.Env) error {
	s, err := newSession(c, env)
	if err != nil {
		return err
	}
	s.last = true
	q := resource.Query{Args: c.Args().Slice(), Files: command.Files(c), Lists: true}
	err = resource.Finder{Client: s.client, In: env.In}.Find(c.Context, q, func(o resource.Object) error {
		text := applied.Original(o.Value)
		if text == nil {
			return fmt.Errorf("no last-applied-configuration annotation found on resource: %s", o.Name)
		}
		o.Value = &unstructured.Unstructured{}
		if err := o.Value.UnmarshalJSON(text); err != nil {
			return fmt.Errorf("reading the last applied configuration of %s: %w", o.Ref, err)
		}
		s.objects = append(s.objects, o)
		return nil
	})
	if err != nil {
		return err
	}
	if len(s.objects) == 0 {
		return errors.New("edit cancelled, no objects found")
	}
	return s.run(c.Context)
}

// record writes an edited configuration into the annotation of its object.
func (s *session) record(ctx context.Context, o resource.Object, edited *unstructured.Unstructured) error {
	if err := applied.Set(edited); err != nil {
		return err
	}
	text := string(applied.Original(edited))
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{applied.Annotation: text}}})
	if err != nil {
		return err
	}
	made, err := s.client.Patch(ctx, o.Ref, types.MergePatchType, patch, s.write)
	if err != nil {
		return err
	}
	return s.report.Report(made, "edited")
}
