// Package command holds what every verb of the command line shares: its environment, its flags, and
// how it fails.
package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"skiff/cli/client"
	"skiff/cli/terminal"
	"skiff/daemon/config"
	"skiff/daemon/datadir"
)

// Daemon is a running daemon of skiff's.
type Daemon struct {
	// Started reports whether it was started just now.
	Started bool
	// Address is host:port of its API.
	Address string
}

// Env is everything one invocation has to do with the world outside. It replaces package globals,
// so that tests can run commands side by side.
type Env struct {
	terminal.Streams
	Clock clock.WithTicker
	// Lookup reads an environment variable.
	Lookup func(string) (string, bool)
	// Environ lists all environment variables; nil where there are none.
	Environ func() []string
	// Dash is how many positional arguments stood before "--"; -1 when there was none.
	Dash int
	// EnsureDaemon starts skiff's daemon if none runs and waits until it is ready. It is nil where
	// there is no daemon of skiff's own. listen is the address of its API, "" for the default.
	EnsureDaemon func(ctx context.Context, dir datadir.Dir, listen string) (Daemon, error)
	// StopDaemon ends skiff's daemon and reports whether there was one.
	StopDaemon func(ctx context.Context, dir datadir.Dir) (bool, error)

	// ResetDaemon ends skiff's daemon, and removes its containers, network and data.
	ResetDaemon func(ctx context.Context, dir datadir.Dir) error
	// Images connects to the engine, where images are built and kept; nil where there is none.
	Images func(ctx context.Context) (config.Images, error)
	// Examine asks the engine about itself, at an address or, without one, where the daemon would look;
	// nil where there is none.
	Examine func(ctx context.Context, host string) (config.Engine, error)

	// counted are the writers whose warnings count as errors.
	counted []interface{ WarningCount() int }
}

// Getenv returns an environment variable's value, "" when it is not set.
func (e *Env) Getenv(name string) string {
	v, _ := e.Lookup(name)
	return v
}

// Variables are all environment variables, as NAME=VALUE.
func (e *Env) Variables() []string {
	if e.Environ == nil {
		return nil
	}
	return e.Environ()
}

// Now is the current time by the environment's clock.
func (e *Env) Now() time.Time { return e.Clock.Now() }

// GlobalFlags are the flags every command takes, anywhere on the line; kubectl's names and
// meanings.
func GlobalFlags() []cli.Flag {
	return FromEnvironment([]cli.Flag{
		&cli.StringFlag{Name: "kubeconfig", Usage: "path to a kubeconfig `FILE` to use instead of skiff's own"},
		&cli.StringFlag{Name: "context", Usage: "`NAME` of the kubeconfig context to use: any Kubernetes cluster"},
		&cli.StringFlag{Name: "namespace", Aliases: []string{"n"}, Usage: "the `NAMESPACE` of this request"},
		&cli.StringFlag{Name: "server", Aliases: []string{"s"}, Usage: "`ADDRESS` and port of the API server"},
		&cli.StringFlag{Name: "cluster", Usage: "`NAME` of the kubeconfig cluster to use"},
		&cli.StringFlag{Name: "user", Usage: "`NAME` of the kubeconfig user to use"},
		&cli.StringFlag{Name: "token", Usage: "bearer `TOKEN` to authenticate with", DefaultText: "none"},
		&cli.StringFlag{Name: "as", Usage: "`USER` to impersonate"},
		&cli.StringSliceFlag{Name: "as-group", Usage: "`GROUP` to impersonate, with --as; may be repeated"},
		&cli.StringFlag{Name: "certificate-authority", Usage: "path to the `FILE` with the authority's certificate"},
		&cli.BoolFlag{Name: "insecure-skip-tls-verify", Usage: "do not verify the server's certificate"},
		&cli.BoolFlag{Name: "warnings-as-errors", Usage: "exit with an error if the server warns"},
		&cli.StringFlag{Name: "request-timeout", Value: "0", Usage: "how long to wait for one request, such as 1s, 2m, 3h; 0 for no limit"},
		&cli.IntFlag{Name: "v", Usage: "`LEVEL` of detail on stderr: 6 shows requests, 8 their bodies too"},
		&cli.StringFlag{Name: "data-dir", Usage: "the daemon's `DIRECTORY`"},
	})
}

// Global is the context of the flags that every command takes, for a command whose own flag has the name
// of one of them.
func Global(c *cli.Context) *cli.Context {
	for _, above := range c.Lineage() {
		if above.App != nil {
			c = above
		}
	}
	return c
}

// DataDir is the daemon's directory: --data-dir, $SKIFF_DATA_DIR, or skiff in the XDG state home.
func (e *Env) DataDir(c *cli.Context) (datadir.Dir, error) {
	return datadir.Find(c.String("data-dir"), e.Lookup)
}

// OwnCluster reports whether the command is meant for skiff's own daemon: no flag names another
// cluster. KUBECONFIG alone does not name one: it is set for kubectl, often to a cluster that
// `skiff up` must not touch by accident. With --context it says, as usual, where contexts are
// found.
func (e *Env) OwnCluster(c *cli.Context) bool {
	return !namesKubeconfig(c) && c.String("server") == ""
}

// namesKubeconfig reports whether a flag names something in the user's kubeconfig rather than the
// daemon's.
func namesKubeconfig(c *cli.Context) bool {
	return c.String("kubeconfig") != "" || c.String("context") != "" || c.String("cluster") != ""
}

// GivenNamespace is the namespace that the command line or the variable names; "" where there is none but a default,
// in the configuration file or elsewhere, which objects and projects with a namespace of their own are not held to.
func GivenNamespace(c *cli.Context) string {
	if !c.IsSet("namespace") {
		return ""
	}
	return c.String("namespace")
}

// Connect reads the kubeconfig that the command is to use and returns a client for it. No request
// is made yet.
func (e *Env) Connect(c *cli.Context) (*client.Client, error) {
	timeout, err := requestTimeout(c.String("request-timeout"))
	if err != nil {
		return nil, err
	}
	o := client.Options{
		Kubeconfig: c.String("kubeconfig"), Context: c.String("context"), Namespace: c.String("namespace"), NamespaceGiven: GivenNamespace(c) != "",
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
		o.Own = dir.Kubeconfig()
	}
	return client.New(o)
}

// warnings prints the server's warnings and, when they are to be errors, counts them.
func (e *Env) warnings(fatal bool) rest.WarningHandler {
	w := rest.NewWarningWriter(e.Err, rest.WarningWriterOptions{Deduplicate: true, Color: e.Terminal.Color && e.Terminal.Err})
	if fatal {
		e.counted = append(e.counted, w)
	}
	return w
}

// Warned is the error of --warnings-as-errors; nil when the flag was not given or the server warned
// of nothing.
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

// requestTimeout reads a duration in kubectl's form: 1m30s, or a bare number of seconds.
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
