package node

import (
	"github.com/urfave/cli/v2"

	"skiff/cli/command"
)

// Command is skiff node and what is below it.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "node", Usage: "Add, stop, drain and remove nodes beside the machine's own",
		Description: `A virtual node has an agent of its own in the daemon, and runs its pods on the same engine. A simulated one runs
nothing: its pods live in memory, thousands of them, and end as their commands say (true, false, sleep N, exit N).`,
		Subcommands: []*cli.Command{add(env), list(env), halt(env), start(env), remove(env), Cordon(env), Uncordon(env), Drain(env)},
	},
		"skiff node add worker-1 worker-2",
		"skiff node stop worker-1        # it fails: its containers die, nothing more is heard of it",
		"skiff node start worker-1",
		"skiff node add --simulated --count 100",
		"skiff node rm -l skiff/simulated=true")
}
