// Package cli is skiff's command line: the verbs of kubectl and the workflow of docker compose. It is a client of the
// Kubernetes API and nothing else; what it needs of the daemon is handed to it.
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
	"skiff/cli/terminal"
)

// Streams are the streams of one invocation; terminal.Standard makes those of the process.
type Streams = terminal.Streams

// DaemonHooks is what the command line needs of the daemon, which it does not import.
type DaemonHooks struct {
	// Ensure starts a daemon for dataDir ("": the default one) unless one runs, and waits until its API answers.
	Ensure func(ctx context.Context, dataDir string) (kubeconfig string, started bool, err error)
	// Stop ends the daemon of dataDir; its containers run on. It tells whether there was one.
	Stop func(ctx context.Context, dataDir string) (bool, error)
	// Commands are mounted beside the others: daemon, kubeconfig.
	Commands func() []*cli.Command
}

// Main runs one command line (argv[0] is the program) and returns its exit code. It ends when ctx does; callers end ctx
// on the first interrupt. It neither exits nor touches the process's own streams.
func Main(ctx context.Context, s Streams, argv []string, hooks DaemonHooks) int {
	klog.SetLogger(logr.Discard()) // the libraries' remarks are not for users; the daemon has them in its log
	env := &command.Env{Streams: s, Clock: clock.RealClock{}, Lookup: os.LookupEnv, EnsureDaemon: hooks.Ensure, StopDaemon: hooks.Stop}
	return run(ctx, env, argv, hooks)
}

func run(ctx context.Context, env *command.Env, argv []string, hooks DaemonHooks) int {
	app := newApp(env, hooks)
	line, err := args.Normalize(app, argv)
	if err == nil {
		env.Dash = line.Dash
		err = app.RunContext(ctx, line.Args)
		if err == nil {
			err = env.Warned()
		}
	}
	message, code := command.Explain(err)
	fmt.Fprint(env.Err, message)
	return code
}
