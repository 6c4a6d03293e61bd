// Skiff runs Kubernetes workloads on a Docker Engine: the command line and, in `skiff daemon run`, the daemon.
package main

import (
	"context"
	"os"
	"os/signal"

	"skiff/cli"
	"skiff/cli/daemon"
	"skiff/cli/terminal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := cli.Main(ctx, terminal.Standard(os.LookupEnv), os.Args, cli.DaemonHooks{
		Ensure: daemon.Ensure, Stop: daemon.Stop, Commands: daemon.Commands,
	})
	stop()
	os.Exit(code)
}
