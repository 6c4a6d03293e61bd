// Package kustomize is skiff kustomize, which prints what a kustomization makes.
package kustomize

import (
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"skiff/cli/command"
	"skiff/cli/kustomization"
)

// The values of --load-restrictor.
const (
	rootOnly = "LoadRestrictionsRootOnly"
	anywhere = "LoadRestrictionsNone"
)

// Command is skiff kustomize.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "kustomize", Usage: "Print the objects that a kustomization makes", ArgsUsage: "[DIRECTORY]",
		Description: "The directory is this one if none is named. It may be the address of a repository, as in https://github.com/OWNER/NAME//PATH?ref=TAG,\n" +
			"which git fetches. Commands that take -f take -k DIRECTORY for the same objects.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to this `FILE` instead of standard output"},
			&cli.BoolFlag{Name: "enable-helm", Usage: "render helmCharts, by the helm on the path"},
			&cli.StringFlag{Name: "load-restrictor", Value: rootOnly, Usage: "`WHICH` files may be read: " + rootOnly + " or " + anywhere},
		},
		Action: func(c *cli.Context) error { return run(c, env) },
	},
		"skiff kustomize overlays/staging",
		"skiff kustomize --load-restrictor="+anywhere+" overlays/staging > staging.yaml")
}

func run(c *cli.Context, env *command.Env) error {
	if c.NArg() > 1 {
		return errors.New("specify one path to " + kustomization.Names[0])
	}
	o := kustomization.Options{Helm: c.Bool("enable-helm")}
	switch restrictor := c.String("load-restrictor"); restrictor {
	case rootOnly:
	case anywhere:
		o.Anywhere = true
	default:
		return fmt.Errorf("--load-restrictor is %s or %s, not %q", rootOnly, anywhere, restrictor)
	}
	dir := c.Args().First()
	if dir == "" {
		dir = "."
	}
	text, err := kustomization.Build(c.Context, dir, o)
	if err != nil {
		return err
	}
	if file := c.String("output"); file != "" {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			return fmt.Errorf("writing the objects: %w", err)
		}
		return nil
	}
	_, err = env.Out.Write(text)
	return err
}
