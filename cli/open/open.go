// Package open shows a service in a browser: skiff open.
package open

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"strings"

	"github.com/urfave/cli/v2"

	"skiff/cli/addresses"
	"skiff/cli/command"
	"skiff/cli/compose"
)

// Command is skiff open.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "open", Usage: "Open a service in the browser, or print where it is reached", ArgsUsage: "[SERVICE | ingress/NAME]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "print", Usage: "print the address instead of opening it"},
			command.AllNamespacesFlag(),
		},
		Action: func(c *cli.Context) error { return run(c, env) },
	},
		"skiff open web              # http://web.localhost:7480, in the browser",
		"skiff open --print web      # its address alone",
		"skiff open                  # all addresses of the namespace")
}

func run(c *cli.Context, env *command.Env) error {
	if c.NArg() > 1 {
		return fmt.Errorf("unexpected argument %q: name one service", c.Args().Get(1))
	}
	cl, err := compose.Connect(c, env)
	if err != nil {
		return err
	}
	namespace := cl.Namespace
	if c.Bool("all-namespaces") {
		namespace = ""
	}
	all, err := addresses.Finder{Client: cl}.In(c.Context, namespace, "")
	if err != nil {
		return err
	}
	if c.NArg() == 0 {
		return addresses.Table{Namespaces: namespace == "", Headers: true}.Print(env.Out, all)
	}
	of := kindAndName(c.Args().First())
	url, err := choose(all, of, namespace)
	if err != nil {
		return err
	}
	if c.Bool("print") || !env.Terminal.Out {
		fmt.Fprintln(env.Out, url)
		return nil
	}
	fmt.Fprintln(env.Err, "Opening", url)
	if err := Browse(c.Context, url); err != nil {
		return fmt.Errorf("%w (with --print, skiff only says where it is)", err)
	}
	return nil
}

// kindAndName is "service/web" for "web", "svc/web" and "service/web".
func kindAndName(arg string) string {
	kind, name, named := strings.Cut(arg, "/")
	if !named {
		return "service/" + arg
	}
	switch strings.ToLower(kind) {
	case "svc", "service", "services":
		return "service/" + name
	case "ing", "ingress", "ingresses":
		return "ingress/" + name
	}
	return arg
}

// choose is the first address of an object that a browser can open, or else its first one.
func choose(all []addresses.Address, of, namespace string) (string, error) {
	first := ""
	for _, a := range all {
		if a.Of != of {
			continue
		}
		if strings.HasPrefix(a.URL, "http") {
			return a.URL, nil
		}
		if first == "" {
			first = a.URL
		}
	}
	if first == "" {
		return "", fmt.Errorf("%s has no address on this machine in namespace %q: `skiff get services,ingresses` shows what there is, "+
			"and `skiff port-forward %s PORT` opens one", of, namespace, of)
	}
	return first, nil
}

// Browse hands a URL to the desktop.
func Browse(ctx context.Context, url string) error {
	name, args := "xdg-open", []string{url}
	switch runtime.GOOS {
	case "darwin":
		name = "open"
	case "windows":
		name, args = "rundll32", []string{"url.dll,FileProtocolHandler", url}
	}
	if err := exec.CommandContext(ctx, name, args...).Run(); err != nil {
		return fmt.Errorf("opening %s with %s: %w", url, name, err)
	}
	return nil
}
