package rollout

import (
	"context"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/describe"
	"skiff/cli/resource"
)

func undoCommand(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "undo", Usage: "Roll back to a previous rollout", ArgsUsage: arguments,
		Flags: command.Flags(command.FileFlags("roll back"), command.SelectorFlag(), command.OutputFlags(command.ObjectFormats), command.DryRunFlag(),
			&cli.Int64Flag{Name: "to-revision", Usage: "roll back to revision `N`; 0 for the previous one"}),
		Action: func(c *cli.Context) error {
			t, err := begin(c, env)
			if err != nil {
				return err
			}
			return t.finder.Find(c.Context, t.query, func(o resource.Object) error {
				done, err := t.undo(c.Context, o, c.Int64("to-revision"))
				if err != nil {
					return err
				}
				return t.report.Report(o.Value, done)
			})
		},
	},
		"skiff rollout undo deployment/kubia",
		"skiff rollout undo daemonset/logger --to-revision=3",
		"skiff rollout undo deployment/kubia --dry-run=client")
}

// undo rolls one object back, and words what was done.
func (t *task) undo(ctx context.Context, o resource.Object, number int64) (string, error) {
	all, err := t.revisions(ctx, o, "no rollbacker has been implemented for")
	if err != nil {
		return "", err
	}
	to, err := choose(o, all, number)
	if err != nil {
		return "", err
	}
	if t.dryRun == command.DryRunClient {
		text := describe.Template(to.template)
		if to.patchType != types.JSONPatchType {
			text = "will roll back to " + text
		}
		return text, nil
	}
	if paused, _, _ := unstructured.NestedBool(o.Value.Object, "spec", "paused"); paused {
		return "", fmt.Errorf("you cannot rollback a paused deployment; resume it first with 'skiff rollout resume' and try again")
	}
	present, err := templateOf(o.Value)
	if err != nil {
		return "", err
	}
	if apiequality.Semantic.DeepEqual(withoutHash(present), withoutHash(to.template)) {
		return fmt.Sprintf("skipped rollback (current template already matches revision %d)", number), nil
	}
	if _, err := t.client.Patch(ctx, o.Ref, to.patchType, to.patch, client.WriteOptions{DryRun: t.dryRun == command.DryRunServer}); err != nil {
		return "", fmt.Errorf("failed restoring revision %d: %w", number, err)
	}
	return "rolled back", nil
}

// choose finds a revision by its number, or for 0 the one before the last.
func choose(o resource.Object, all []revision, number int64) (revision, error) {
	switch i := slices.IndexFunc(all, func(r revision) bool { return r.number == number }); {
	case number > 0 && i >= 0:
		return all[i], nil
	case number != 0:
		return revision{}, fmt.Errorf("unable to find specified revision %v in history", number)
	case len(all) > 1:
		return all[len(all)-2], nil
	case o.Mapping.GroupVersionKind.Kind == "Deployment":
		return revision{}, fmt.Errorf("no rollout history found for deployment %q", o.Name)
	}
	return revision{}, fmt.Errorf("no last revision to roll back to")
}
