// Package options lists the flags that all commands have: skiff options.
package options

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"skiff/cli/command"
)

// Command is skiff options.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "options", Usage: "List the flags that all commands have",
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return command.UsageErrorf("options", "Unexpected args: %v", c.Args().Slice())
			}
			fmt.Fprint(env.Out, "The following options can be passed to any command:\n\n")
			for _, f := range command.GlobalFlags() {
				fmt.Fprintf(env.Out, "    %s\n", strings.ReplaceAll(f.String(), "\t", "\n\t"))
			}
			return nil
		},
	}, "skiff options")
}
