// Package command holds what every verb of the command line shares: its environment, its flags, and how it fails.
package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"
	"k8s.io/client-go/rest"
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

	// counted are the writers of warnings that are errors.
	counted []interface{ WarningCount() int }
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
		&cli.StringFlag{Name: "cluster", Usage: "`NAME` of the kubeconfig cluster to use"},
		&cli.StringFlag{Name: "user", Usage: "`NAME` of the kubeconfig user to use"},
		&cli.StringFlag{Name: "token", Usage: "bearer `TOKEN` to authenticate with"},
		&cli.StringFlag{Name: "as", Usage: "`USER` to impersonate"},
		&cli.StringSliceFlag{Name: "as-group", Usage: "`GROUP` to impersonate, with --as; may be repeated"},
		&cli.StringFlag{Name: "certificate-authority", Usage: "path to the `FILE` with the authority's certificate"},
		&cli.BoolFlag{Name: "insecure-skip-tls-verify", Usage: "do not check the server's certificate"},
		&cli.BoolFlag{Name: "warnings-as-errors", Usage: "exit with a code other than 0 when the server warns"},
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
	return !namesKubeconfig(c) && c.String("server") == ""
}

// namesKubeconfig reports whether a flag names something that is looked for in the person's kubeconfig, not in the daemon's.
func namesKubeconfig(c *cli.Context) bool {
	return c.String("kubeconfig") != "" || c.String("context") != "" || c.String("cluster") != ""
}

// Connect reads the kubeconfig the command is to use and returns a client for it. No request is made yet.
func (e *Env) Connect(c *cli.Context) (*client.Client, error) {
	timeout, err := requestTimeout(c.String("request-timeout"))
	if err != nil {
		return nil, err
	}
	o := client.Options{
		Kubeconfig: c.String("kubeconfig"), Context: c.String("context"), Namespace: c.String("namespace"),
		Server: c.String("server"), RequestTimeout: timeout, Verbosity: c.Int("v"), Err: e.Err,
		Clock: e.Clock, Warnings: e.warnings(c.Bool("warnings-as-errors")),
	}
	o.Overrides.Context.Cluster, o.Overrides.Context.AuthInfo = c.String("cluster"), c.String("user")
	o.Overrides.AuthInfo.Token, o.Overrides.AuthInfo.Impersonate, o.Overrides.AuthInfo.ImpersonateGroups = c.String("token"), c.String("as"), c.StringSlice("as-group")
	o.Overrides.ClusterInfo.CertificateAuthority, o.Overrides.ClusterInfo.InsecureSkipTLSVerify = c.String("certificate-authority"), c.Bool("insecure-skip-tls-verify")
	if !namesKubeconfig(c) {
		dir, err := e.DataDir(c)
		if err != nil {
			return nil, err
		}
		o.Own = filepath.Join(dir, "kubeconfig")
	}
	return client.New(o)
}

// warnings prints what the server warns of and, when that is to be an error, counts it.
func (e *Env) warnings(fatal bool) rest.WarningHandler {
	w := rest.NewWarningWriter(e.Err, rest.WarningWriterOptions{Deduplicate: true, Color: e.Terminal.Color && e.Terminal.Err})
	if fatal {
		e.counted = append(e.counted, w)
	}
	return w
}

// Warned is the error of --warnings-as-errors; nil when the flag was not given or the server warned of nothing.
func (e *Env) Warned() error {
	n := 0
	for _, w := range e.counted {
		n += w.WarningCount()
	}
	switch n {
	case 0:
		return nil
	case 1:
		return errors.New("1 warning received")
	}
	return fmt.Errorf("%d warnings received", n)
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
