// Package set changes single fields of what is there: skiff set.
package set

import (
	"github.com/urfave/cli/v2"

	"skiff/cli/command"
)

// Command is skiff set.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "set", Usage: "Set images, variables, resources and the like of objects", ArgsUsage: "SUBCOMMAND", Subcommands: []*cli.Command{
			imageCommand(env), envCommand(env), resourcesCommand(env), selectorCommand(env), accountCommand(env), subjectCommand(env),
		},
	}, "skiff set image deployment/kubia nodejs=kubia:v2", "skiff set env deployment/kubia LEVEL=debug", "skiff set resources deployment/kubia --limits=memory=64Mi")
}
