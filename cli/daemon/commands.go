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
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"skiff/cli/command"
	"skiff/orchestrator/cluster/nodelife"
)

// patience bounds how long start and stop wait for the daemon.
const patience = 30 * time.Second

// dataDirFlag is the same on every command that looks for a daemon.
func dataDirFlag() cli.Flag {
	return &cli.StringFlag{Name: "data-dir", EnvVars: []string{"SKIFF_DATA_DIR"}, Usage: "`directory` of the daemon's state (default: skiff in the XDG state home)"}
}

// serverFlags are those of a daemon about to start.
func serverFlags() []cli.Flag {
	return []cli.Flag{
		dataDirFlag(),
		&cli.StringFlag{Name: "listen", EnvVars: []string{"SKIFF_LISTEN"}, Value: DefaultListen, Usage: "`address` of the API; port 0 picks one"},
		&cli.StringFlag{Name: "node-name", Usage: "`name` of the node, for good (default: the host's name)"},
		&cli.StringFlag{Name: "engine", Usage: "`address` of the Docker Engine (default: DOCKER_HOST, then the current Docker context)"},
		&cli.IntFlag{Name: "max-starts", Usage: "containers started at once (default: 3 for each CPU, from 4 to 16)"},
		&cli.DurationFlag{Name: "crash-backoff", Usage: "first wait before a container that crashed again is restarted (default 10s, doubling)"},
		&cli.DurationFlag{Name: "max-crash-backoff", Usage: "longest wait before a restart (default 5m)"},
		&cli.DurationFlag{Name: "node-monitor-grace-period", EnvVars: []string{"SKIFF_NODE_MONITOR_GRACE_PERIOD"}, Value: nodelife.DefaultGracePeriod, Usage: "how long a node may be silent before it is marked as unreachable"},
		&cli.Float64Flag{Name: "node-eviction-rate", EnvVars: []string{"SKIFF_NODE_EVICTION_RATE"}, Value: nodelife.DefaultEvictionRate, Usage: "`nodes` a second, of those that fail, whose pods begin to be evicted"},
		&cli.Int64Flag{Name: "default-not-ready-toleration-seconds", EnvVars: []string{"SKIFF_DEFAULT_NOT_READY_TOLERATION_SECONDS"}, Value: 300, Usage: "`seconds` that a pod stays on a node that is not ready or not reachable, unless it says otherwise"},
		&cli.StringFlag{Name: "log-level", Value: "info", Usage: "debug, info, warn or error"},
		&cli.StringFlag{Name: "log-format", Value: "text", Usage: "text or json"},
	}
}

// checkNodeFlags refuses periods and rates that make no sense. A rate of 0 switches evictions off.
func checkNodeFlags(c *cli.Context) error {
	const grace, rate, toleration = "node-monitor-grace-period", "node-eviction-rate", "default-not-ready-toleration-seconds"
	switch {
	case c.IsSet(grace) && c.Duration(grace) <= 0:
		return fmt.Errorf("--%s is how long a node may be silent, more than 0: not %s", grace, c.Duration(grace))
	case c.Float64(rate) < 0:
		return fmt.Errorf("--%s is 0 or more nodes a second, not %g", rate, c.Float64(rate))
	case c.Int64(toleration) < 0:
		return fmt.Errorf("--%s is 0 or more, not %d", toleration, c.Int64(toleration))
	}
	return nil
}

// configOf reads the flags above.
func configOf(c *cli.Context) (Config, error) {
	if c.Args().Present() {
		return Config{}, fmt.Errorf("unexpected argument %q", c.Args().First())
	}
	cfg := Config{
		DataDir: c.String("data-dir"), Listen: c.String("listen"), NodeName: c.String("node-name"), EngineHost: c.String("engine"),
		StartLimit: c.Int("max-starts"), CrashBackoff: c.Duration("crash-backoff"), MaxBackoff: c.Duration("max-crash-backoff"),
		DefaultTolerationSeconds: c.Int64("default-not-ready-toleration-seconds"), LogJSON: c.String("log-format") == "json",
		NodeGracePeriod: c.Duration("node-monitor-grace-period"), NodeEvictionRate: ptr.To(c.Float64("node-eviction-rate")),
	}
	if err := checkNodeFlags(c); err != nil {
		return Config{}, err
	}
	if f := c.String("log-format"); f != "" && f != "text" && f != "json" {
		return Config{}, fmt.Errorf("--log-format is text or json, not %q", f)
	}
	if level := c.String("log-level"); level != "" {
		if err := cfg.LogLevel.UnmarshalText([]byte(level)); err != nil {
			return Config{}, fmt.Errorf("--log-level is debug, info, warn or error, not %q", level)
		}
	}
	var err error
	if cfg.DataDir == "" {
		cfg.DataDir, err = DefaultDataDir()
	}
	return cfg, err
}

// withConfig makes a command's action of what it does with the flags above.
func withConfig(do func(*cli.Context, Config) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		cfg, err := configOf(c)
		if err != nil {
			return err
		}
		return do(c, cfg)
	}
}

// in is the configuration of a data directory, of the default one when it is empty.
func in(dataDir string) (cfg Config, err error) {
	cfg.DataDir = dataDir
	if dataDir == "" {
		cfg.DataDir, err = DefaultDataDir()
	}
	return cfg, err
}

// runArgs are the arguments by which a background daemon is told what the foreground command was told.
func runArgs(c *cli.Context, cfg Config) []string {
	args := []string{"--data-dir", cfg.DataDir}
	for _, name := range []string{"listen", "node-name", "engine", "max-starts", "crash-backoff", "max-crash-backoff", "default-not-ready-toleration-seconds", "node-monitor-grace-period", "node-eviction-rate", "log-level", "log-format"} {
		if c.IsSet(name) {
			args = append(args, "--"+name, fmt.Sprint(c.Value(name)))
		}
	}
	return args
}

// Ensure starts a daemon in the background unless one runs for the data directory (empty: the default one), and returns the
// path of its kubeconfig when its API answers. started tells whether it was this call that started it.
func Ensure(ctx context.Context, dataDir string) (kubeconfig string, started bool, err error) {
	cfg, err := in(dataDir)
	if err != nil {
		return "", false, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, started, err = ensure(ctx, cfg, []string{"--data-dir", cfg.DataDir}, clock.RealClock{})
	return cfg.kubeconfig(), started, err
}

// Stop ends the daemon of the data directory (empty: the default one); its containers run on. It tells whether there was one.
func Stop(ctx context.Context, dataDir string) (bool, error) {
	cfg, err := in(dataDir)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	pid, err := stop(ctx, cfg, clock.RealClock{})
	return pid != 0, err
}

// Commands are `skiff daemon …` and `skiff kubeconfig`.
func Commands() []*cli.Command {
	return []*cli.Command{
		{
			Name: "daemon", Usage: "Run, start, stop and look at the daemon",
			Description: example("   skiff daemon start\n   skiff daemon status\n   skiff daemon stop    # what runs goes on running"),
			Subcommands: []*cli.Command{
				runCommand(), startCommand(), stopCommand(), statusCommand(), logsCommand(), resetCommand(),
			},
		},
		kubeconfigCommand(),
	}
}

func example(lines string) string { return "Example:\n" + lines }

func runCommand() *cli.Command {
	return &cli.Command{
		Name: "run", Usage: "Run the daemon in the foreground until it is interrupted; workloads run on", Flags: serverFlags(),
		Description: example("   skiff daemon run --data-dir /tmp/skiff --listen 127.0.0.1:0"),
		Action: withConfig(func(c *cli.Context, cfg Config) error {
			ctx, cancel := signal.NotifyContext(c.Context, os.Interrupt, syscall.SIGTERM)
			defer cancel()
			log := newLogger(cfg, backgroundLog(cfg, c.App.ErrWriter))
			klog.SetSlogLogger(log) // upstream's libraries say what they have to say through it
			return runAndTell(ctx, cfg, log)
		}),
	}
}

// runAndTell runs the daemon and tells whoever started it in the background when it is ready, or why it never was.
func runAndTell(ctx context.Context, cfg Config, log *slog.Logger) error {
	err := Run(ctx, cfg, log, func() error { return announce("ready") })
	if err != nil {
		return errors.Join(err, announce(err.Error()))
	}
	return nil
}

func newLogger(cfg Config, w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogJSON {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

func startCommand() *cli.Command {
	return &cli.Command{
		Name: "start", Usage: "Start the daemon in the background, unless it runs", Flags: serverFlags(),
		Description: example("   skiff daemon start"),
		Action: withConfig(func(c *cli.Context, cfg Config) error {
			ctx, cancel := context.WithTimeout(c.Context, patience)
			defer cancel()
			pid, started, err := ensure(ctx, cfg, runArgs(c, cfg), clock.RealClock{})
			if err != nil {
				return err
			}
			defer warnOfEngine(c, cfg)
			if !started {
				fmt.Fprintf(c.App.Writer, "the daemon runs already, as process %d\n", pid)
				if given := givenServerFlags(c); len(given) > 0 {
					fmt.Fprintf(c.App.ErrWriter, "Warning: %s has no effect on a daemon that runs: stop it first\n", strings.Join(given, ", "))
				}
				return nil
			}
			fmt.Fprintf(c.App.Writer, "daemon started, process %d; KUBECONFIG=%s\n", pid, cfg.kubeconfig())
			return nil
		}),
	}
}

// givenServerFlags are the flags on the command line that say how a daemon is to run.
func givenServerFlags(c *cli.Context) []string {
	var given []string
	for _, f := range serverFlags() {
		if name := f.Names()[0]; name != dataDirFlag().Names()[0] && slices.Contains(c.LocalFlagNames(), name) {
			given = append(given, "--"+name)
		}
	}
	return given
}

func stopCommand() *cli.Command {
	return &cli.Command{
		Name: "stop", Usage: "Stop the daemon; workloads run on, and the next daemon takes them over", Flags: []cli.Flag{dataDirFlag()},
		Description: example("   skiff daemon stop"),
		Action: withConfig(func(c *cli.Context, cfg Config) error {
			stopped, err := Stop(c.Context, cfg.DataDir)
			if err != nil {
				return err
			}
			if !stopped {
				fmt.Fprintf(c.App.Writer, "no daemon runs for %s\n", cfg.DataDir)
				return nil
			}
			fmt.Fprintln(c.App.Writer, "daemon stopped; its containers run on")
			return nil
		}),
	}
}

func statusCommand() *cli.Command {
	return &cli.Command{
		Name: "status", Usage: "Say whether the daemon runs, and where; exit code 3 when it does not", Flags: []cli.Flag{dataDirFlag()},
		Description: example("   skiff daemon status"),
		Action: withConfig(func(c *cli.Context, cfg Config) error {
			pid, err := holder(cfg)
			if err != nil {
				return err
			}
			if pid == 0 {
				fmt.Fprintf(c.App.Writer, "not running (data directory %s)\n", cfg.DataDir)
				return command.Exit{Code: 3}
			}
			return printStatus(c, cfg, pid)
		}),
	}
}

func logsCommand() *cli.Command {
	return &cli.Command{
		Name: "logs", Usage: "Print the log of the daemon that runs in the background",
		Description: example("   skiff daemon logs -f"),
		Flags:       []cli.Flag{dataDirFlag(), &cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on as the log grows"}},
		Action: withConfig(func(c *cli.Context, cfg Config) error {
			ctx, cancel := signal.NotifyContext(c.Context, os.Interrupt, syscall.SIGTERM)
			defer cancel()
			return printLog(ctx, cfg, c.App.Writer, c.Bool("follow"), clock.RealClock{})
		}),
	}
}

// printLog copies the log and, when it follows, looks for more several times a second: a file tells nobody that it grew.
func printLog(ctx context.Context, cfg Config, out io.Writer, follow bool, clk clock.WithTicker) error {
	f, err := os.Open(cfg.logFile())
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is no log %s: no daemon was started in the background for this data directory", cfg.logFile())
	}
	if err != nil {
		return fmt.Errorf("opening the daemon's log: %w", err)
	}
	defer func() { f.Close() }()
	tick := clk.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := io.Copy(out, f); err != nil || !follow {
			return err
		}
		if fresh := reopened(cfg, f); fresh != nil {
			_, err := io.Copy(out, f) // what was written before it was put aside
			f.Close()
			if f = fresh; err != nil {
				return err
			}
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C():
		}
	}
}

// reopened is the log that is written now, when it is not f any more: f has been put aside.
func reopened(cfg Config, f *os.File) *os.File {
	fresh, err := os.Open(cfg.logFile())
	if err != nil {
		return nil
	}
	is, err := fresh.Stat()
	was, oldErr := f.Stat()
	if err != nil || oldErr != nil || os.SameFile(is, was) {
		fresh.Close()
		return nil
	}
	return fresh
}

func resetCommand() *cli.Command {
	return &cli.Command{
		Name: "reset", Usage: "Stop the daemon and remove its containers, network and data",
		Description: example("   skiff daemon reset --yes"),
		Flags: []cli.Flag{dataDirFlag(),
			&cli.StringFlag{Name: "engine", Usage: "`address` of the Docker Engine, as given to start"},
			&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do it"},
			&cli.BoolFlag{Name: "force", Usage: "remove the data even when the engine can not be reached"}},
		Action: withConfig(func(c *cli.Context, cfg Config) error {
			if !c.Bool("yes") {
				return fmt.Errorf("this removes every container, volume and object of %s: say --yes to do it", cfg.DataDir)
			}
			if _, err := Stop(c.Context, cfg.DataDir); err != nil {
				return err
			}
			n, err := reset(c.Context, cfg, c.Bool("force"), newLogger(cfg, c.App.ErrWriter))
			if err != nil {
				return err
			}
			fmt.Fprintf(c.App.Writer, "removed %d containers, the network and the data in %s\n", n, cfg.DataDir)
			return nil
		}),
	}
}

func kubeconfigCommand() *cli.Command {
	return &cli.Command{
		Name: "kubeconfig", Usage: "Print the daemon's kubeconfig, or merge it into your own",
		Description: example("   skiff kubeconfig --merge && kubectl get pods"),
		Flags:       []cli.Flag{dataDirFlag(), &cli.BoolFlag{Name: "merge", Usage: "add the context skiff to your own kubeconfig and make it the current one"}},
		Action: withConfig(func(c *cli.Context, cfg Config) error {
			kc, err := readKubeconfig(cfg)
			if err != nil {
				return err
			}
			if c.Bool("merge") {
				path, err := mergeKubeconfig(kc)
				if err == nil {
					fmt.Fprintf(c.App.ErrWriter, "merged the context %s into %s and made it the current one\n", strconv.Quote(contextName), path)
				}
				return err
			}
			raw, err := clientcmd.Write(*kc)
			if err == nil {
				_, err = c.App.Writer.Write(raw)
			}
			return err
		}),
	}
}
