package rollout

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/liggitt/tabwriter"
	"github.com/urfave/cli/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/cli/command"
	"skiff/cli/describe"
	"skiff/cli/resource"
)

func historyCommand(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "history", Usage: "View previous rollout revisions and configurations", ArgsUsage: arguments,
		Flags: command.Flags(command.FileFlags("show the revisions of"), command.SelectorFlag(), command.OutputFlags(command.ObjectFormats),
			&cli.Int64Flag{Name: "revision", Usage: "show the pod template of revision `N`"}),
		Action: func(c *cli.Context) error {
			number := c.Int64("revision")
			if number < 0 {
				return fmt.Errorf("revision must be a positive integer: %v", number)
			}
			t, err := begin(c, env)
			if err != nil {
				return err
			}
			return t.finder.Find(c.Context, t.query, func(o resource.Object) error {
				all, err := t.revisions(c.Context, o, "no history viewer has been implemented for")
				if err != nil {
					return err
				}
				return t.history(o, all, number)
			})
		},
	},
		"skiff rollout history deployment/kubia",
		"skiff rollout history deployment/kubia --revision=3")
}

// history prints the list of an object's revisions, or one of them.
func (t *task) history(o resource.Object, all []revision, number int64) error {
	if number > 0 {
		i := slices.IndexFunc(all, func(r revision) bool { return r.number == number })
		switch {
		case i < 0 && len(all) > 0:
			return errors.New("unable to find the specified revision")
		case i >= 0 && t.report.Prints():
			return t.report.Report(all[i].object, "")
		case i >= 0:
			return t.report.Report(o.Value, fmt.Sprintf("with revision #%d\n%s", number, describe.Template(caused(all[i]))))
		}
	}
	if t.report.Prints() {
		for _, r := range all {
			if err := t.report.Report(r.object, ""); err != nil {
				return err
			}
		}
		return nil
	}
	withRevision := ""
	if number > 0 {
		withRevision = fmt.Sprintf("with revision #%d", number)
	}
	return t.report.Report(o.Value, withRevision+"\n"+overview(all))
}

// caused is a revision's template with the cause of its rollout among its annotations, where
// kubectl shows it for deployments.
func caused(r revision) *corev1.PodTemplateSpec {
	if r.cause == "" || r.patchType != types.JSONPatchType {
		return r.template
	}
	t := r.template.DeepCopy()
	if t.Annotations == nil {
		t.Annotations = map[string]string{}
	}
	t.Annotations[causeAnnotation] = r.cause
	return t
}

func overview(all []revision) string {
	if len(all) == 0 {
		return "No rollout history found."
	}
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "REVISION\tCHANGE-CAUSE")
	for _, r := range all {
		cause := r.cause
		if cause == "" {
			cause = "<none>"
		}
		fmt.Fprintf(w, "%d\t%s\n", r.number, cause)
	}
	_ = w.Flush() // the buffer behind it takes everything
	return b.String()
}
