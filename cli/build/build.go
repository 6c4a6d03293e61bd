// Package build holds skiff build, which makes an application's images without starting anything.
package build

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"skiff/cli/command"
	"skiff/cli/recipe"
	"skiff/cli/up"
)

// Command is skiff build.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "build", Usage: "Build the images of an application on the engine", ArgsUsage: "[NAME…]",
		Description: "It is about the application in this folder, or in the files of -f, as for up: the services of a compose file that have a build section,\n" +
			"and the containers of manifests whose pod template has the annotation skiff/build (docs/build.md). Names are those of services or workloads;\n" +
			"without any, all images are built. Nothing is started: skiff up does that, and builds what is missing.\n\n" +
			"BuildKit builds where the engine has it; DOCKER_BUILDKIT=0 asks for the engine's older builder.",
		Flags: command.Flags(up.SourceFlags("build"),
			&cli.BoolFlag{Name: "no-cache", Usage: "build every step anew"},
			&cli.BoolFlag{Name: "pull", Usage: "pull the images that others are built from, also where the engine has them"},
			&cli.StringSliceFlag{Name: "build-arg", Usage: "`NAME=VALUE` of a variable of the builds, or NAME for this process's; may be repeated"},
			&cli.StringFlag{Name: "progress", Value: "auto", Usage: "auto, plain or quiet: what is shown of the builds"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "show what a builder says only if it fails"}),
		Action: func(c *cli.Context) error { return run(c, env) },
	},
		"skiff build",
		"skiff build web --no-cache --pull",
		"skiff build -f k8s/ --build-arg VERSION=1.2")
}

func run(c *cli.Context, env *command.Env) error {
	quiet, err := readProgress(c)
	if err != nil {
		return err
	}
	// The names are those of services here, and not of files.
	all, err := up.Recipes(cli.NewContext(c.App, flag.NewFlagSet("build", flag.ContinueOnError), c), env)
	if err != nil {
		return err
	}
	chosen, err := choose(all, c.Args().Slice())
	if err != nil {
		return err
	}
	if err := adjust(chosen, c, env); err != nil {
		return err
	}
	return build(c.Context, env, chosen, quiet)
}

func build(ctx context.Context, env *command.Env, recipes []recipe.Recipe, quiet bool) (err error) {
	if env.Images == nil {
		return errors.New("there is no engine here to build on")
	}
	engine, err := env.Images(ctx)
	if err != nil {
		return err
	}
	defer func() { err = command.Join(err, engine.Close()) }()
	b := recipe.Builder{Engine: engine, Out: env.Err, Now: env.Now, Quiet: quiet}
	for _, r := range recipes {
		if err := b.Build(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// readProgress reads --progress and --quiet.
func readProgress(c *cli.Context) (quiet bool, err error) {
	switch p := c.String("progress"); p {
	case "auto", "plain":
		return c.Bool("quiet"), nil
	case "quiet":
		return true, nil
	default:
		return false, command.UsageErrorf("build", "--progress is auto, plain or quiet, not %q", p)
	}
}

// choose are the recipes for the services or workloads of some names, all of them without any.
func choose(all []recipe.Recipe, names []string) ([]recipe.Recipe, error) {
	if len(all) == 0 {
		return nil, errors.New("there is nothing to build: no service has a build section, and no pod template the annotation " + recipe.ContextAnnotation)
	}
	if len(names) == 0 {
		return all, nil
	}
	var out []recipe.Recipe
	for _, name := range names {
		var those []recipe.Recipe
		for _, r := range all {
			if called(r, name) {
				those = append(those, r)
			}
		}
		if len(those) == 0 {
			var known []string
			for _, r := range all {
				known = append(known, r.Service)
			}
			return nil, fmt.Errorf("%s is not among what is built: %s", name, strings.Join(slices.Compact(known), ", "))
		}
		out = append(out, those...)
	}
	return recipe.Distinct(out)
}

// called reports whether a recipe is for what is named: a service, or a workload with its kind or without.
func called(r recipe.Recipe, name string) bool {
	_, own, isWorkload := strings.Cut(r.Service, "/")
	return r.Service == name || isWorkload && own == name
}

// adjust applies the flags to recipes.
func adjust(recipes []recipe.Recipe, c *cli.Context, env *command.Env) error {
	for i := range recipes {
		r := &recipes[i]
		r.NoCache, r.Pull = r.NoCache || c.Bool("no-cache"), r.Pull || c.Bool("pull")
		args := map[string]*string{}
		maps.Copy(args, r.Args)
		for _, word := range c.StringSlice("build-arg") {
			name, value, given := strings.Cut(word, "=")
			if name == "" {
				return command.UsageErrorf("build", "--build-arg %q has no name: want NAME=VALUE", word)
			}
			if !given {
				if value, given = env.Lookup(name); !given {
					continue
				}
			}
			args[name] = &value
		}
		r.Args = args
	}
	return nil
}
