// Skiff runs Kubernetes workloads on a Docker Engine: the command line and, in `skiff daemon run`,
// the daemon.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"skiff/cli"
	"skiff/cli/terminal"
	"skiff/daemon"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) // CI servers end commands by the latter
	code := cli.Main(ctx, terminal.Standard(os.LookupEnv), os.Args, cli.Server{Run: daemon.Run, Reset: daemon.Reset, Images: daemon.Images, Examine: daemon.Examine})
	stop()
	os.Exit(code)
}
