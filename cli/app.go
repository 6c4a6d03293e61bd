package cli

import (
	"github.com/urfave/cli/v2"

	"skiff/cli/account"
	"skiff/cli/apply"
	"skiff/cli/await"
	"skiff/cli/command"
	"skiff/cli/completion"
	"skiff/cli/create"
	"skiff/cli/describe"
	"skiff/cli/discover"
	"skiff/cli/edit"
	"skiff/cli/events"
	"skiff/cli/explain"
	"skiff/cli/forward"
	"skiff/cli/get"
	"skiff/cli/logs"
	"skiff/cli/node"
	"skiff/cli/patch"
	"skiff/cli/ps"
	"skiff/cli/remove"
	"skiff/cli/replace"
	"skiff/cli/rollout"
	"skiff/cli/scale"
	"skiff/cli/session"
	"skiff/cli/set"
	"skiff/cli/tag"
	"skiff/cli/up"
)

const about = `skiff runs Kubernetes manifests as plain containers: no cluster, one daemon. Its commands are kubectl's, and docker
compose's up, down and ps beside them.

Examples:
  skiff up -f kubia.yaml          # start what the file names, show it come up, follow its logs
  skiff get pods -o wide
  skiff down -f kubia.yaml`

func newApp(env *command.Env, hooks DaemonHooks) *cli.App {
	return &cli.App{
		Name: "skiff", HelpName: "skiff", Usage: "Kubernetes workloads on the Docker Engine you already have",
		UsageText: "skiff COMMAND [FLAGS] [ARGUMENTS…]", Description: about,
		Writer: env.Out, ErrWriter: env.Err, Reader: env.In, HideHelpCommand: true, EnableBashCompletion: true,
		Flags: command.GlobalFlags(), Commands: commands(env, hooks),
		// Values of repeated flags may hold commas (--from-literal); flags that are lists split them themselves.
		DisableSliceFlagSeparator: true,
		// Main says what went wrong and returns the exit code; nothing here may end the process.
		ExitErrHandler: func(*cli.Context, error) {},
		OnUsageError:   command.UsageError,
	}
}

func commands(env *command.Env, hooks DaemonHooks) []*cli.Command {
	groups := []struct {
		category string
		commands []*cli.Command
	}{
		{"Applications", []*cli.Command{up.Command(env), up.Down(env), ps.Command(env)}},
		{"Objects", []*cli.Command{
			get.Command(env), describe.Command(env), create.Command(env), apply.Command(env), replace.Command(env), remove.Command(env),
			edit.Command(env), patch.Command(env), scale.Command(env), tag.Label(env), tag.Annotate(env), await.Command(env),
			rollout.Command(env), set.Command(env), scale.Autoscale(),
		}},
		{"Containers", []*cli.Command{logs.Command(env), session.Exec(env), session.Attach(env), forward.Command(env), events.Command(env)}},
		{"Nodes", []*cli.Command{node.Command(env), node.Cordon(env), node.Uncordon(env), node.Drain(env), node.Taint(env)}},
		{"The server", []*cli.Command{
			discover.Resources(env), discover.Versions(env), explain.Command(env), discover.Version(env), discover.ClusterInfo(env),
			account.Auth(env), account.Config(env),
		}},
		{"This program", []*cli.Command{completion.Command(env)}},
		{"The daemon", daemonCommands(hooks)},
	}
	var out []*cli.Command
	for _, g := range groups {
		for _, c := range g.commands {
			c.Category = g.category
			out = append(out, c)
		}
	}
	return out
}

// daemonCommands are the commands that the daemon's package brings, made to fail as all others do.
func daemonCommands(hooks DaemonHooks) []*cli.Command {
	if hooks.Commands == nil {
		return nil
	}
	all := hooks.Commands()
	for _, c := range all {
		command.Adopt(c)
	}
	return all
}
