package cli

import (
	"github.com/urfave/cli/v2"

	"skiff/cli/apiresources"
	"skiff/cli/apply"
	"skiff/cli/auth"
	"skiff/cli/autoscale"
	"skiff/cli/build"
	"skiff/cli/certificate"
	"skiff/cli/clusterinfo"
	"skiff/cli/command"
	"skiff/cli/completion"
	"skiff/cli/compose"
	"skiff/cli/config"
	"skiff/cli/cp"
	"skiff/cli/create"
	"skiff/cli/daemon"
	"skiff/cli/debug"
	"skiff/cli/delete"
	"skiff/cli/describe"
	"skiff/cli/diff"
	"skiff/cli/doctor"
	"skiff/cli/edit"
	"skiff/cli/envtest"
	"skiff/cli/events"
	"skiff/cli/exec"
	"skiff/cli/explain"
	"skiff/cli/export"
	"skiff/cli/expose"
	"skiff/cli/get"
	"skiff/cli/images"
	"skiff/cli/kustomize"
	"skiff/cli/label"
	"skiff/cli/logs"
	"skiff/cli/node"
	"skiff/cli/open"
	globaloptions "skiff/cli/options"
	"skiff/cli/patch"
	"skiff/cli/plugin"
	"skiff/cli/portforward"
	"skiff/cli/proxy"
	"skiff/cli/ps"
	"skiff/cli/replace"
	"skiff/cli/rollout"
	runcommand "skiff/cli/run"
	"skiff/cli/scale"
	"skiff/cli/set"
	"skiff/cli/stop"
	"skiff/cli/test"
	"skiff/cli/top"
	"skiff/cli/ui"
	"skiff/cli/up"
	"skiff/cli/version"
	"skiff/cli/wait"
	"skiff/cli/why"
)

const about = `skiff runs Kubernetes manifests as plain containers: no cluster, one daemon. Its commands are kubectl's, plus up, down and ps
as docker compose has them.

Examples:
  skiff up -f kubia.yaml          # start it, show it come up, follow its logs
  skiff get pods -o wide
  skiff down -f kubia.yaml`

func newApp(env *command.Env, s Server) *cli.App {
	app := &cli.App{
		Name: "skiff", HelpName: "skiff", Usage: "Kubernetes workloads on the Docker Engine you already have",
		UsageText: "skiff COMMAND [FLAGS] [ARGUMENTS…]", Description: about,
		Writer: env.Out, ErrWriter: env.Err, Reader: env.In, HideHelpCommand: true, EnableBashCompletion: true,
		Flags: command.GlobalFlags(), Commands: commands(env, s),
		// A value of a repeated flag may hold commas (--from-literal). Flags that are lists split
		// their values themselves.
		DisableSliceFlagSeparator: true,
		// Main prints the error and returns the exit code; nothing here may end the process.
		ExitErrHandler: func(*cli.Context, error) {},
		OnUsageError:   command.UsageError,
	}
	command.FromEnvironment(app.Command("up").Flags)
	command.FromEnvironment(whatItIs(app.Command("down")))
	return app
}

// whatItIs are the flags of a command that say which application it is about. Those of up hold for down too; nothing
// else of up's does, for down deletes.
func whatItIs(c *cli.Command) []cli.Flag { return command.Shared(c.Flags, up.ApplicationFlags("")) }

// settings are the flags that the user's configuration file can set.
func settings(app *cli.App) map[string]command.Part {
	var server [][]cli.Flag
	for _, c := range app.Command("daemon").Subcommands {
		if c.HasName("run") || c.HasName("start") {
			server = append(server, c.Flags)
		}
	}
	return map[string]command.Part{
		"":   {Flags: [][]cli.Flag{app.Flags}},
		"up": {Flags: [][]cli.Flag{app.Command("up").Flags, whatItIs(app.Command("down"))}, AsGiven: []string{"project", "settle"}},
		// A daemon that runs has them already, and one that is started reads the file itself.
		"daemon": {Flags: server},
	}
}

func commands(env *command.Env, s Server) []*cli.Command {
	var out []*cli.Command
	own := func() []*cli.Command { return out }
	groups := []struct {
		category string
		commands []*cli.Command
	}{
		{"Applications", []*cli.Command{
			up.Command(env), up.Down(env), stop.Stop(env), stop.Start(env), stop.Restart(env), stop.Kill(env), ps.Command(env), images.Images(env),
			images.Pull(env), test.Command(env), compose.Command(env), ui.Command(env), export.Command(env), build.Command(env),
		}},
		{"Objects", []*cli.Command{
			get.Command(env), describe.Command(env), create.Command(env), apply.Command(env), replace.Command(env), delete.Command(env),
			edit.Command(env), patch.Command(env), scale.Command(env), expose.Command(env), label.Label(env), label.Annotate(env),
			wait.Command(env), rollout.Command(env), set.Command(env), autoscale.Command(env), diff.Command(env), kustomize.Command(env),
		}},
		{"Containers", []*cli.Command{
			logs.Command(env), exec.Exec(env), exec.Attach(env), portforward.Command(env), open.Command(env), events.Command(env), why.Command(env),
			cp.Command(env), runcommand.Command(env), debug.Command(env),
		}},
		{"Nodes", []*cli.Command{node.Command(env), node.Cordon(env), node.Uncordon(env), node.Drain(env), node.Taint(env), top.Command(env)}},
		{"The server", []*cli.Command{
			apiresources.Resources(env), apiresources.Versions(env), explain.Command(env), version.Command(env), clusterinfo.Command(env), proxy.Command(env),
			auth.Command(env), certificate.Command(env), config.Command(env),
		}},
		{"This program", append(completion.Candidates(env),
			doctor.Command(env), envtest.Command(env), completion.Command(env), globaloptions.Command(env), plugin.Command(env, own))},
		{"The daemon", daemon.Commands(env, s)},
	}
	for _, g := range groups {
		for _, c := range g.commands {
			c.Category = g.category
			out = append(out, c)
		}
	}
	return out
}

// Tree is the tree of commands, for those that describe it and run nothing.
func Tree() *cli.App {
	return newApp(&command.Env{Lookup: func(string) (string, bool) { return "", false }}, Server{})
}
