// Package set changes single fields of what is there: skiff set.
package set

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"skiff/cli/command"
)

// Command is skiff set.
func Command(env *command.Env) *cli.Command {
	subcommands := []*cli.Command{imageCommand(env)}
	for _, name := range []string{"env", "resources", "selector", "serviceaccount", "subject"} {
		subcommands = append(subcommands, refused(name))
	}
	return command.New(cli.Command{
		Name: "set", Usage: "Set the images of objects", ArgsUsage: "SUBCOMMAND", Subcommands: subcommands,
	}, "skiff set image deployment/kubia nodejs=kubia:v2")
}

// refused is one of kubectl's subcommands that skiff has not got: it says so, whatever its arguments.
func refused(name string) *cli.Command {
	return command.New(cli.Command{
		Name: name, Usage: "Not supported", Hidden: true, SkipFlagParsing: true,
		Action: func(*cli.Context) error {
			return fmt.Errorf("skiff has no \"set %[1]s\": use kubectl set %[1]s, which works with skiff's daemon, or skiff patch or edit", name)
		},
	}, "skiff edit deployment/kubia     # instead")
}
