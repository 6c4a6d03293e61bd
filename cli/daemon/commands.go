// Package daemon holds the commands that start, stop and ask skiff's daemon: skiff daemon and skiff
// kubeconfig. What they know of the daemon is its data directory, its settings and its API; the
// daemon itself is handed in as a Server.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
	"k8s.io/klog/v2"

	"skiff/cli/command"
	"skiff/daemon/config"
	"skiff/daemon/datadir"
)

// Server is the daemon itself: what `daemon run` and `daemon reset` do.
type Server struct {
	// Run serves until ctx ends, and calls ready once clients can reach it.
	Run func(ctx context.Context, cfg config.Config, log *slog.Logger, ready func() error) error
	// Reset removes the containers, network and data of a stopped daemon, and returns how many
	// containers there were. With force the data goes even when the engine does not answer.
	Reset func(ctx context.Context, cfg config.Config, force bool, log *slog.Logger) (containers int, err error)
	// Images connects to the engine for what commands do with images.
	Images func(ctx context.Context) (config.Images, error)
	// Examine asks the engine about itself, for whoever looks for trouble.
	Examine func(ctx context.Context, host string) (config.Engine, error)
}

// Commands are skiff daemon and skiff kubeconfig.
func Commands(env *command.Env, s Server) []*cli.Command {
	return []*cli.Command{
		command.New(cli.Command{
			Name: "daemon", Usage: "Run, start, stop and inspect the daemon",
			Subcommands: []*cli.Command{
				runCommand(env, s), startCommand(env), stopCommand(env), statusCommand(env), logsCommand(env), resetCommand(env, s),
				installCommand(env), uninstallCommand(env),
			},
		}, "skiff daemon start", "skiff daemon status", "skiff daemon stop    # workloads keep running"),
		kubeconfigCommand(env), trustCommand(env),
	}
}

func runCommand(env *command.Env, s Server) *cli.Command {
	return command.New(cli.Command{
		Name: "run", Usage: "Run the daemon in the foreground until it is interrupted; workloads keep running", Flags: serverFlags(),
		Action: withConfig(env, func(c *cli.Context, cfg config.Config) error {
			ctx, cancel := signal.NotifyContext(c.Context, os.Interrupt, syscall.SIGTERM)
			defer cancel()
			ctx, stop, err := untilAsked(ctx)
			if err != nil {
				return err
			}
			defer stop()
			log := newLogger(cfg, cfg.Dir.BackgroundLog(env.Err))
			klog.SetSlogLogger(log) // upstream's libraries log through it too
			return runAndTell(ctx, s, cfg, log)
		}),
	}, "skiff daemon run --data-dir /tmp/skiff --listen 127.0.0.1:0")
}

// runAndTell runs the daemon and tells whoever started it in the background when it is ready, or
// why it never was.
func runAndTell(ctx context.Context, s Server, cfg config.Config, log *slog.Logger) error {
	err := s.Run(ctx, cfg, log, func() error { return errors.Join(announce("ready"), notify()) })
	if err != nil {
		return errors.Join(err, announce(err.Error()))
	}
	return nil
}

func newLogger(cfg config.Config, w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogJSON {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

func startCommand(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "start", Usage: "Start the daemon in the background, unless it is running", Flags: serverFlags(),
		Action: withConfig(env, func(c *cli.Context, cfg config.Config) error {
			ctx, cancel := context.WithTimeout(c.Context, patience)
			defer cancel()
			pid, d, err := ensure(ctx, cfg.Dir, runArgs(c, cfg), env.Clock)
			if err != nil {
				return err
			}
			defer warnOfNode(c.Context, env, cfg.Dir)
			if !d.Started {
				fmt.Fprintf(env.Out, "the daemon is already running, as process %d\n", pid)
				if given := givenServerFlags(c); len(given) > 0 {
					fmt.Fprintf(env.Err, "Warning: %s has no effect on a running daemon: stop it first\n", strings.Join(given, ", "))
				}
				return nil
			}
			fmt.Fprintf(env.Out, "daemon started, process %d; KUBECONFIG=%s\n", pid, cfg.Dir.Kubeconfig())
			if note := command.ListenNote(c, d); note != "" {
				fmt.Fprintln(env.Err, note)
			}
			return nil
		}),
	}, "skiff daemon start")
}

// givenServerFlags are the flags on the command line that say how a daemon is to run.
func givenServerFlags(c *cli.Context) []string {
	var given []string
	for _, f := range serverFlags() {
		if name := f.Names()[0]; name != dataDir && slices.Contains(c.LocalFlagNames(), name) {
			given = append(given, "--"+name)
		}
	}
	return given
}

func stopCommand(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "stop", Usage: "Stop the daemon; workloads keep running, and the next daemon takes them over", Flags: []cli.Flag{dataDirFlag()},
		Action: withDir(env, func(c *cli.Context, dir datadir.Dir) error {
			stopped, err := Stop(c.Context, dir)
			if err != nil {
				return err
			}
			if !stopped {
				fmt.Fprintf(env.Out, "no daemon is running for %s\n", dir)
				return nil
			}
			fmt.Fprintln(env.Out, "daemon stopped; its containers keep running")
			return nil
		}),
	}, "skiff daemon stop")
}

func statusCommand(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "status", Usage: "Say whether the daemon is running, and where; the exit code is 3 when it is not", Flags: []cli.Flag{dataDirFlag()},
		Action: withDir(env, func(c *cli.Context, dir datadir.Dir) error {
			pid, err := dir.Holder()
			if err != nil {
				return err
			}
			if pid == 0 {
				fmt.Fprintf(env.Out, "not running (data directory %s)\n", dir)
				return command.Exit{Code: 3}
			}
			return printStatus(c.Context, env, dir, pid)
		}),
	}, "skiff daemon status")
}

func resetCommand(env *command.Env, s Server) *cli.Command {
	return command.New(cli.Command{
		Name: "reset", Usage: "Stop the daemon and remove its containers, network and data",
		Flags: []cli.Flag{dataDirFlag(),
			&cli.StringFlag{Name: engine, EnvVars: []string{command.Variable(engine)}, Usage: "`ADDRESS` of the Docker Engine, as given to start"},
			&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "confirm; nothing is removed without it"},
			&cli.BoolFlag{Name: "force", Usage: "remove the data even if the engine cannot be reached"},
			&cli.BoolFlag{Name: "forget", Usage: "remove the authority too, on which merged contexts and browsers rely that trust it"}},
		Action: withDir(env, func(c *cli.Context, dir datadir.Dir) error {
			if !c.Bool("yes") {
				return fmt.Errorf("this removes every container, volume and object of %s: confirm with --yes", dir)
			}
			if c.Bool("forget") {
				if err := dir.ForgetAuthority(); err != nil {
					return fmt.Errorf("removing the authority of %s: %w", dir, err)
				}
				if !dir.IsInstance() {
					fmt.Fprintf(env.Out, "removed the authority in %s\n", dir)
					return nil
				}
			}
			cfg := config.Config{Dir: dir, EngineHost: c.String(engine)}
			n, err := reset(c.Context, s, cfg, c.Bool("force"), newLogger(cfg, env.Err))
			if err != nil {
				return err
			}
			fmt.Fprintf(env.Out, "removed %d containers, the network and the data in %s\n", n, dir)
			return nil
		}),
	}, "skiff daemon reset --yes")
}

// Resetter returns a function that ends the daemon of a data directory and removes what it made, without a
// word.
func Resetter(s Server) func(ctx context.Context, dir datadir.Dir) error {
	return func(ctx context.Context, dir datadir.Dir) error {
		_, err := reset(ctx, s, config.Config{Dir: dir}, false, slog.New(slog.DiscardHandler))
		return err
	}
}

// reset ends the daemon and removes what it made; see Server.Reset.
func reset(ctx context.Context, s Server, cfg config.Config, force bool, log *slog.Logger) (containers int, err error) {
	if _, err := Stop(ctx, cfg.Dir); err != nil {
		return 0, err
	}
	return s.Reset(ctx, cfg, force, log)
}
