// Package config shows the kubeconfig and chooses among its contexts: skiff config.
package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/urfave/cli/v2"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"

	"skiff/cli/command"
)

// Command is skiff config.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "config", Usage: "Show the kubeconfig, and choose among its contexts", Subcommands: []*cli.Command{
			command.New(cli.Command{Name: "view", Usage: "Show the merged kubeconfig, without its secrets",
				Flags:  []cli.Flag{&cli.BoolFlag{Name: "raw", Usage: "show the secrets too"}},
				Action: func(c *cli.Context) error { return view(c, env) }}, "skiff config view"),
			command.New(cli.Command{Name: "current-context", Usage: "Show the context in use",
				Action: func(c *cli.Context) error { return current(c, env) }}, "skiff config current-context"),
			command.New(cli.Command{Name: "get-contexts", Usage: "List the contexts",
				Action: func(c *cli.Context) error { return contexts(c, env) }}, "skiff config get-contexts"),
			command.New(cli.Command{Name: "use-context", Usage: "Set the context in use", ArgsUsage: "NAME",
				Action: func(c *cli.Context) error { return use(c, env) }}, "skiff config use-context prod"),
		},
	}, "skiff config get-contexts", "skiff --context prod get pods")
}

// access is the user's own kubeconfig, not the daemon's.
func access(c *cli.Context) *clientcmd.PathOptions {
	o := clientcmd.NewDefaultPathOptions()
	o.LoadingRules.ExplicitPath = c.String("kubeconfig")
	return o
}

func starting(c *cli.Context) (*clientcmdapi.Config, error) {
	return access(c).GetStartingConfig()
}

func view(c *cli.Context, env *command.Env) error {
	config, err := starting(c)
	if err != nil {
		return err
	}
	if !c.Bool("raw") {
		if err := clientcmdapi.RedactSecrets(config); err != nil {
			return err
		}
		clientcmdapi.ShortenConfig(config)
	}
	data, err := clientcmd.Write(*config)
	if err != nil {
		return err
	}
	if data, err = yaml.JSONToYAML(data); err != nil {
		return err
	}
	_, err = env.Out.Write(data)
	return err
}

func current(c *cli.Context, env *command.Env) error {
	config, err := starting(c)
	if err != nil {
		return err
	}
	if config.CurrentContext == "" {
		return errors.New("current-context is not set")
	}
	fmt.Fprintln(env.Out, config.CurrentContext)
	return nil
}

func contexts(c *cli.Context, env *command.Env) error {
	config, err := starting(c)
	if err != nil {
		return err
	}
	w := printers.GetNewTabWriter(env.Out)
	fmt.Fprintln(w, "CURRENT\tNAME\tCLUSTER\tAUTHINFO\tNAMESPACE")
	for _, name := range slices.Sorted(maps.Keys(config.Contexts)) {
		mark := ""
		if name == config.CurrentContext {
			mark = "*"
		}
		x := config.Contexts[name]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", mark, name, x.Cluster, x.AuthInfo, x.Namespace)
	}
	return w.Flush()
}

func use(c *cli.Context, env *command.Env) error {
	if c.NArg() != 1 {
		return command.UsageErrorf("config use-context", "exactly one context name is required")
	}
	name := c.Args().First()
	o := access(c)
	config, err := o.GetStartingConfig()
	if err != nil {
		return err
	}
	if _, ok := config.Contexts[name]; !ok {
		return fmt.Errorf("no context exists with the name: %q", name)
	}
	config.CurrentContext = name
	if err := clientcmd.ModifyConfig(o, *config, true); err != nil {
		return err
	}
	fmt.Fprintf(env.Out, "Switched to context %q.\n", name)
	return nil
}
