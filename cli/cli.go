// Package cli is skiff's command line: the verbs of kubectl and the workflow of docker compose. It
// is a client of the Kubernetes API and nothing else; the daemon it starts is handed to it.
package cli

import (
	"context"
	"fmt"
	"os"

	"github.com/go-logr/logr"
	"github.com/urfave/cli/v2"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"skiff/cli/args"
	"skiff/cli/command"
	"skiff/cli/daemon"
	"skiff/cli/envtest"
	"skiff/cli/plugin"
	"skiff/cli/terminal"
)

// Streams are the streams of one invocation; terminal.Standard makes those of the process.
type Streams = terminal.Streams

// Server is the daemon, which the command line starts but does not import.
type Server = daemon.Server

// Main runs one command line (argv[0] is the program) and returns its exit code. It ends when ctx
// does; callers end ctx on the first interrupt. It neither exits nor touches the process's own
// streams.
func Main(ctx context.Context, streams Streams, argv []string, s Server) int {
	klog.SetLogger(logr.Discard()) // the libraries' remarks are not for users; the daemon has them in its log
	env := &command.Env{Streams: streams, Clock: clock.RealClock{}, Lookup: os.LookupEnv, Environ: os.Environ, EnsureDaemon: daemon.Ensure, Images: s.Images, Examine: s.Examine,
		ResetDaemon: daemon.Resetter(s), StopDaemon: daemon.Stop}
	return run(ctx, env, argv, s)
}

func run(ctx context.Context, env *command.Env, argv []string, s Server) int {
	app := newApp(env, s)
	message, code := command.Explain(perform(ctx, env, app, argv, s))
	fmt.Fprint(env.Err, message)
	return code
}

func perform(ctx context.Context, env *command.Env, app *cli.App, argv []string, s Server) error {
	if program, ok := envtest.Find(argv); ok {
		return program.Run(ctx, env, s)
	}
	if p, ok := plugin.Find(env, app.Commands, argv[min(1, len(argv)):]); ok {
		return p.Run(ctx)
	}
	if err := command.Configure(command.ConfigFile(env.Lookup), settings(app)); err != nil {
		return err
	}
	line, err := args.Normalize(app, argv)
	if err != nil {
		return err
	}
	env.Dash = line.Dash
	if err := app.RunContext(ctx, line.Args); err != nil {
		return err
	}
	return env.Warned()
}
