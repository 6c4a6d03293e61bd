// Package clusterinfo tells where the server is: skiff cluster-info.
package clusterinfo

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"skiff/cli/command"
)

// Command is skiff cluster-info.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "cluster-info", Usage: "Display cluster information", Subcommands: []*cli.Command{dumpCommand(env)},
		Action: func(c *cli.Context) error {
			cl, err := env.Connect(c)
			if err != nil {
				return err
			}
			if _, err := cl.Text(c.Context, "/version", nil); err != nil {
				return err
			}
			fmt.Fprintf(env.Out, "Kubernetes control plane is running at %s\n", cl.Config.Host)
			return nil
		},
	}, "skiff cluster-info", "skiff cluster-info dump")
}
