package envtest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/klog/v2"

	"skiff/cli/command"
	"skiff/cli/daemon"
	"skiff/daemon/config"
	"skiff/daemon/datadir"
)

const (
	// storeAnswers is how long the store's stand-in has to say where the state is.
	storeAnswers = 10 * time.Second
	// engineAnswers is how long an engine has to show that it is there.
	engineAnswers = 2 * time.Second
)

// serverFlags are those of kube-apiserver that have an effect here.
type serverFlags struct {
	bind, port, store, certDir, cert, key, clients, modes, auditPolicy, auditLog *string
}

// newAPIServer returns what stands in for kube-apiserver, and for the controllers and the kubelet that no
// other test environment has: skiff's daemon.
func newAPIServer(flags *flag.FlagSet, env *command.Env, server daemon.Server) func(context.Context) error {
	f := serverFlags{
		bind:    flags.String("bind-address", "127.0.0.1", "`ADDRESS` at which to listen"),
		port:    flags.String("secure-port", "6443", "`PORT` at which to listen"),
		store:   flags.String("etcd-servers", "", "`URL` of the program that stands in for etcd"),
		certDir: flags.String("cert-dir", "", "`DIRECTORY` with apiserver.crt and apiserver.key"),
		cert:    flags.String("tls-cert-file", "", "`FILE` with the certificate, in place of apiserver.crt"),
		key:     flags.String("tls-private-key-file", "", "`FILE` with its key, in place of apiserver.key"),
		clients: flags.String("client-ca-file", "", "`FILE` of authorities whose client certificates are accepted"),
		modes:   flags.String("authorization-mode", "RBAC", "RBAC, alone or with Node"),

		auditPolicy: flags.String("audit-policy-file", "", "`FILE` that says which requests are recorded"),
		auditLog:    flags.String("audit-log-path", "", "`FILE` that they are recorded in, or - for standard output"),
	}
	without(flags, map[string]string{
		"allow-privileged":                 "privileged pods are allowed",
		"disable-admission-plugins":        "all run, and the objects that they ask for exist",
		"enable-admission-plugins":         "all run",
		"runtime-config":                   "all that is served is on",
		"service-account-issuer":           "tokens are signed by skiff's own keys",
		"service-account-key-file":         "tokens are signed by skiff's own keys",
		"service-account-signing-key-file": "tokens are signed by skiff's own keys",
		"service-cluster-ip-range":         "services lie in the network of the pods",
	})
	return func(ctx context.Context) error {
		cfg, err := f.config(ctx)
		if err != nil {
			return err
		}
		if cfg.EngineHost, err = chooseEngine(ctx, env, server); err != nil {
			return err
		}
		if err := os.WriteFile(engineFile(cfg.Dir), []byte(cfg.EngineHost), 0o600); err != nil {
			return fmt.Errorf("noting which engine pods run on: %w", err)
		}
		log := slog.New(slog.NewTextHandler(env.Err, nil))
		klog.SetSlogLogger(log)
		return server.Run(ctx, cfg, log, func() error { return nil })
	}
}

// config is the daemon's.
func (f *serverFlags) config(ctx context.Context) (config.Config, error) {
	for _, mode := range strings.Split(*f.modes, ",") {
		if !slices.Contains([]string{"RBAC", "Node"}, mode) {
			return config.Config{}, fmt.Errorf("--authorization-mode: skiff decides by RBAC, and not by %q", mode)
		}
	}
	dir, err := askStore(ctx, *f.store)
	if err != nil {
		return config.Config{}, err
	}
	c := config.Config{
		Dir: dir, Listen: net.JoinHostPort(*f.bind, *f.port), ClientCAFile: *f.clients, TLSCertFile: *f.cert, TLSKeyFile: *f.key,
		DefaultTolerationSeconds: config.TolerationSeconds,
	}
	if *f.auditLog != "" { // without a log, kube-apiserver's policy has no effect
		c.AuditPolicyFile, c.AuditLogFile = *f.auditPolicy, *f.auditLog
	}
	if c.TLSCertFile == "" && *f.certDir != "" {
		c.TLSCertFile, c.TLSKeyFile = filepath.Join(*f.certDir, "apiserver.crt"), filepath.Join(*f.certDir, "apiserver.key")
	}
	if (c.TLSCertFile == "") != (c.TLSKeyFile == "") {
		return config.Config{}, errors.New("--tls-cert-file and --tls-private-key-file belong together")
	}
	return c, nil
}

// askStore asks the store's stand-in for the data directory.
func askStore(ctx context.Context, store string) (datadir.Dir, error) {
	ctx, cancel := context.WithTimeout(ctx, storeAnswers)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(store, "/")+directoryPath, nil)
	if err != nil {
		return "", fmt.Errorf("--etcd-servers: %w", err)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("asking the program that stands in for etcd: %w", err)
	}
	defer func() { _ = answer.Body.Close() }() // only read from
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<16))
	if err != nil {
		return "", fmt.Errorf("asking the program that stands in for etcd: %w", err)
	}
	if answer.StatusCode != http.StatusOK || !filepath.IsAbs(string(text)) {
		return "", fmt.Errorf("--etcd-servers: %s is not the etcd that skiff envtest-assets provides: both programs have to be skiff's", store)
	}
	return datadir.Dir(text), nil
}

// chooseEngine is the engine that SKIFF_ENGINE names; without it the usual one, or none if that does not
// answer.
func chooseEngine(ctx context.Context, env *command.Env, server daemon.Server) (string, error) {
	if named := env.Getenv("SKIFF_ENGINE"); named != "" || server.Examine == nil {
		return named, nil
	}
	asking, cancel := context.WithTimeout(ctx, engineAnswers)
	defer cancel()
	if _, err := server.Examine(asking, ""); err != nil {
		return config.NoEngine, ctx.Err()
	}
	return "", nil
}
