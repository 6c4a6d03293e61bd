// Package rollout follows, undoes, pauses and restarts the rollouts of deployments, daemon sets and
// stateful sets.
package rollout

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/output"
	"skiff/cli/resource"
)

// manager is the field manager of these commands. It is kubectl's name, so that the server takes
// the two programs for one.
const manager = "kubectl-rollout"

const arguments = "(TYPE NAME | TYPE/NAME | -f FILE)"

// Command is skiff rollout.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "rollout", Usage: "Manage the rollout of a deployment, daemon set or stateful set", ArgsUsage: "SUBCOMMAND",
		Subcommands: []*cli.Command{
			historyCommand(env), pause().command(env), restart().command(env), resume().command(env), statusCommand(env), undoCommand(env),
		},
	},
		"skiff rollout status deployment/kubia",
		"skiff rollout undo deployment/kubia",
		"skiff rollout restart daemonset/logger")
}

// task is one run of a subcommand.
type task struct {
	env    *command.Env
	client *client.Client
	report *output.Reporter
	dryRun command.DryRun
	query  resource.Query
	finder resource.Finder
}

// begin reads what all subcommands have in common.
func begin(c *cli.Context, env *command.Env) (*task, error) {
	t := &task{env: env, query: resource.Query{Args: c.Args().Slice(), Files: command.Files(c), Labels: c.String("selector"), Lists: true}}
	if len(t.query.Args) == 0 && len(t.query.Names) == 0 {
		return nil, errors.New("required resource not specified")
	}
	var err error
	if t.dryRun, err = env.ReadDryRun(c); err != nil {
		return nil, err
	}
	if t.report, err = output.NewReporter(env.Out, output.Read(c), t.dryRun.Suffix()); err != nil {
		return nil, err
	}
	if t.client, err = env.Connect(c); err != nil {
		return nil, err
	}
	t.finder = resource.Finder{Client: t.client, In: env.In}
	return t, nil
}

// each calls fn with all named objects, and fails when there are none.
func (t *task) each(ctx context.Context, fn func(resource.Object) error) error {
	found := false
	err := t.finder.Find(ctx, t.query, func(o resource.Object) error {
		found = true
		return fn(o)
	})
	if !found && err == nil {
		fmt.Fprintf(t.env.Err, "No resources found in %s namespace.\n", t.client.Namespace)
	}
	return err
}
