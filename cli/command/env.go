// Package command holds what every verb of the command line shares: its environment, its flags, and how it fails.
package command

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"
	"k8s.io/utils/clock"

	"skiff/cli/client"
	"skiff/cli/terminal"
)

// Env is what one invocation has to do with the world. It replaces package globals, so that tests can run commands side by side.
type Env struct {
	terminal.Streams
	Clock clock.WithTicker
	// Lookup reads an environment variable.
	Lookup func(string) (string, bool)
	// Dash is how many positional arguments stood before "--"; -1 when there was none.
	Dash int
	// EnsureDaemon starts skiff's daemon if none runs and waits until it is ready; started says whether it did.
	EnsureDaemon func(ctx context.Context, dataDir string) (kubeconfig string, started bool, err error)
	// StopDaemon ends skiff's daemon; it tells whether there was one.
	StopDaemon func(ctx context.Context, dataDir string) (bool, error)
}

// Getenv returns an environment variable's value, "" when it is not set.
func (e *Env) Getenv(name string) string {
	v, _ := e.Lookup(name)
	return v
}

// Now is the current time by the environment's clock.
func (e *Env) Now() time.Time { return e.Clock.Now() }

// GlobalFlags are the flags every command takes, anywhere on the line; kubectl's names and meanings.
func GlobalFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "kubeconfig", Usage: "path to a kubeconfig `FILE` to use instead of skiff's own"},
		&cli.StringFlag{Name: "context", Usage: "`NAME` of the kubeconfig context to use: any Kubernetes cluster"},
		&cli.StringFlag{Name: "namespace", Aliases: []string{"n"}, Usage: "the `NAMESPACE` of this request"},
		&cli.StringFlag{Name: "server", Aliases: []string{"s"}, Usage: "`ADDRESS` and port of the API server"},
		&cli.StringFlag{Name: "request-timeout", Value: "0", Usage: "how long to wait for one request, as 1s, 2m, 3h; 0 for no limit"},
		&cli.IntFlag{Name: "v", Usage: "`LEVEL` of detail on stderr: 6 shows requests, 8 their bodies as well"},
		&cli.StringFlag{Name: "data-dir", Usage: "the daemon's `DIRECTORY` (also $SKIFF_DATA_DIR)"},
	}
}

// DataDir is the daemon's directory: --data-dir, $SKIFF_DATA_DIR, or skiff in the XDG state home.
func (e *Env) DataDir(c *cli.Context) (string, error) {
	if d := c.String("data-dir"); d != "" {
		return d, nil
	}
	if d := e.Getenv("SKIFF_DATA_DIR"); d != "" {
		return d, nil
	}
	if d := e.Getenv("XDG_STATE_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "skiff"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, ".local", "state", "skiff"), nil
}

// OwnCluster reports whether the command is for skiff's own daemon: no other cluster was named by a flag. KUBECONFIG alone names
// none: it is set for kubectl, often to a cluster that `skiff up` must not touch by accident. With --context it says, as
// ever, where contexts are found.
func (e *Env) OwnCluster(c *cli.Context) bool {
	return c.String("kubeconfig") == "" && c.String("context") == "" && c.String("server") == ""
}

// Connect reads the kubeconfig the command is to use and returns a client for it. No request is made yet.
func (e *Env) Connect(c *cli.Context) (*client.Client, error) {
	timeout, err := requestTimeout(c.String("request-timeout"))
	if err != nil {
		return nil, err
	}
	o := client.Options{
		Kubeconfig: c.String("kubeconfig"), Context: c.String("context"), Namespace: c.String("namespace"),
		Server: c.String("server"), RequestTimeout: timeout, Verbosity: c.Int("v"), Err: e.Err, Color: e.Terminal.Color && e.Terminal.Err,
		Clock: e.Clock,
	}
	if o.Kubeconfig == "" && o.Context == "" {
		dir, err := e.DataDir(c)
		if err != nil {
			return nil, err
		}
		o.Own = filepath.Join(dir, "kubeconfig")
	}
	return client.New(o)
}

// requestTimeout reads kubectl's form: a duration, or a bare number of seconds.
func requestTimeout(s string) (time.Duration, error) {
	if s == "" || s == "0" {
		return 0, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return d, nil
	}
	d, err := time.ParseDuration(s + "s")
	if err != nil {
		return 0, Errorf("invalid value for --request-timeout: %q: want a duration such as 1s, 2m or 3h", s)
	}
	return d, nil
}
