// Package ui shows what runs on a page that lives in the browser and is served by the command itself: skiff ui.
package ui

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/compose"
	"skiff/cli/open"
	"skiff/cli/report"
)

// Command is skiff ui.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "ui", Usage: "Show in the browser what runs, what is wrong and why, live", ArgsUsage: "[-n NAMESPACE | -p PROJECT | -A]",
		Description: "Serves a page on a port of 127.0.0.1 until it is interrupted: a time line of workloads, pods and containers, events, logs, and buttons to\n" +
			"restart, scale and delete. Its address holds a key that opens it in one browser, once: run skiff ui again for another one. At a terminal\n" +
			"the browser is opened. With --context it is about any other Kubernetes cluster.",
		Flags: command.Flags(
			&cli.UintFlag{Name: "port", Usage: "serve on this `PORT`; 0 for a free one"},
			&cli.BoolFlag{Name: "no-open", Usage: "print the address and leave the browser alone"},
			&cli.StringFlag{Name: "project", Aliases: []string{"p"}, Usage: "show the project of this `NAME`: the namespace that skiff up has made for it"},
			command.AllNamespacesFlag()),
		Action: func(c *cli.Context) error { return run(c, env) },
	},
		"skiff ui                    # of this folder's project, or the default namespace",
		"skiff ui -A --no-open       # of all namespaces; open the address yourself",
		"skiff ui --context prod -n shop")
}

func run(c *cli.Context, env *command.Env) error {
	if c.Args().Present() {
		return fmt.Errorf("unexpected argument %q: skiff ui shows a namespace, -n NAMESPACE or -A for all of them", c.Args().First())
	}
	cl, err := connect(c, env)
	if err != nil {
		return err
	}
	if _, err := cl.Catalog(); err != nil {
		return err // now rather than on a page
	}
	if c.Uint("port") > 65535 {
		return fmt.Errorf("--port %d is no port: the highest is 65535", c.Uint("port"))
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(c.Context, "tcp4", net.JoinHostPort("127.0.0.1", strconv.FormatUint(uint64(c.Uint("port")), 10)))
	if err != nil {
		return fmt.Errorf("listening for the browser (--port 0 takes a free port): %w", err)
	}
	namespace := cl.Namespace
	if c.Bool("all-namespaces") {
		namespace = ""
	}
	s := newServer(listener.Addr().String(), cl, report.NewLive(cl, env.Clock, namespace), env.Clock, title(cl, namespace))
	return serve(c.Context, s, listener, func(ctx context.Context) { announce(ctx, c, env, s.URL()) })
}

// connect is compose.Connect, with a project's name for its namespace.
func connect(c *cli.Context, env *command.Env) (*client.Client, error) {
	name := c.String("project")
	if name == "" {
		return compose.Connect(c, env)
	}
	cl, err := env.Connect(c)
	if err != nil {
		return nil, err
	}
	if cl.NamespaceGiven || c.Bool("all-namespaces") {
		return nil, fmt.Errorf("--project names the namespace: --namespace and --all-namespaces have no place beside it")
	}
	if cl.Namespace = compose.ObjectName(name); cl.Namespace == "" {
		return nil, fmt.Errorf("--project %q cannot be a name", name)
	}
	return cl, nil
}

// title says what the page is about.
func title(cl *client.Client, namespace string) string {
	if namespace == "" {
		namespace = "all namespaces"
	}
	if cl.Own() {
		return namespace
	}
	return namespace + " at " + cl.Config.Host
}

// serve runs the server and what it shows until ctx ends; ready is called when browsers can come.
func serve(ctx context.Context, s *server, listener net.Listener, ready func(context.Context)) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.recorder.Run(ctx) })
	group.Go(func() error { return s.Serve(ctx, listener) })
	ready(ctx)
	return group.Wait()
}

// announce prints the address and, at a terminal, opens it.
func announce(ctx context.Context, c *cli.Context, env *command.Env, url string) {
	fmt.Fprintln(env.Out, url)
	if c.Bool("no-open") || !env.Terminal.Out {
		return
	}
	if err := open.Browse(ctx, url); err != nil {
		fmt.Fprintln(env.Err, "The browser could not be opened: open this address yourself. Ctrl-C ends it.")
		return
	}
	fmt.Fprintln(env.Err, "Opened in the browser. Ctrl-C ends it.")
}
