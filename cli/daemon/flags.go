package daemon

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/urfave/cli/v2"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"

	"skiff/cli/command"
	"skiff/daemon/config"
	"skiff/daemon/datadir"
)

// Names of flags that stand in several places.
const (
	dataDir    = "data-dir"
	engine     = "engine"
	grace      = "node-monitor-grace-period"
	rate       = "node-eviction-rate"
	toleration = "default-not-ready-toleration-seconds"
	autoscaler = "horizontal-pod-autoscaler-sync-period"
	inFlight   = "max-requests-inflight"

	unsafeSysctls = "allowed-unsafe-sysctls"

	subnet   = "subnet"
	domain   = "cluster-domain"
	byRouter = "pods-by-router"

	clientCA = "client-ca-file"
	tlsCert  = "tls-cert-file"
	tlsKey   = "tls-private-key-file"

	auditPolicy = "audit-policy"
	auditLog    = "audit-log"

	publishAddress = "publish-address"
	frontDoor      = "front-door"
)

// dataDirFlag is the same on every command that looks for a daemon.
func dataDirFlag() cli.Flag {
	return &cli.StringFlag{Name: dataDir, Usage: "`DIRECTORY` of the daemon's state (default: skiff in the XDG state home)", EnvVars: []string{datadir.EnvVar}}
}

// serverFlags are those of a daemon about to start.
func serverFlags() []cli.Flag {
	return command.FromEnvironment([]cli.Flag{
		dataDirFlag(),
		command.ListenFlag(),
		&cli.StringFlag{Name: "node-name", Usage: "permanent `NAME` of the node (default: the host's name)"},
		&cli.StringFlag{Name: engine, Usage: "`ADDRESS` of the Docker Engine, or none, which simulates pods in memory (default: DOCKER_HOST, then the current Docker context)"},
		&cli.StringFlag{Name: clientCA, Usage: "`FILE` of authorities whose client certificates are accepted beside those of skiff's own"},
		&cli.StringFlag{Name: tlsCert, Usage: "`FILE` with the certificate that the API shows in place of one of skiff's own authority"},
		&cli.StringFlag{Name: tlsKey, Usage: "`FILE` with the private key of that certificate"},
		&cli.StringFlag{Name: auditPolicy, Usage: "`FILE` with the Policy of audit.k8s.io/v1 that says which requests are recorded (default: none are)"},
		&cli.StringFlag{Name: auditLog, Usage: "`FILE` that requests are recorded in, one JSON object a line, or - for standard output (default: audit.log in the data directory)"},
		&cli.StringFlag{Name: subnet, Usage: "IPv4 `PREFIX` of the network of pods and services, /26 or larger (default: one that is free)"},
		&cli.StringFlag{Name: domain, Value: config.ClusterDomain, Usage: "`DOMAIN` of the names of services and pods"},
		&cli.StringFlag{Name: publishAddress, Value: config.PublishAddress, Usage: "`ADDRESS` of this machine on which node ports, load balancers and the front door listen; any but a loopback address lets others in"},
		&cli.UintFlag{Name: frontDoor, Value: config.FrontDoorPort, Usage: "`PORT` on which http://SERVICE.localhost and Ingresses are served; 0 for none"},
		&cli.BoolFlag{Name: byRouter, Hidden: true, Usage: "reach pods through the Engine API even where there is a direct way"},
		&cli.IntFlag{Name: "max-starts", Usage: "how many containers may start at once (default: 3 for each CPU, from 4 to 16)"},
		&cli.DurationFlag{Name: "crash-backoff", Usage: "first wait before a container that keeps crashing is restarted (default 10s, doubling)"},
		&cli.DurationFlag{Name: "max-crash-backoff", Usage: "longest wait before a restart (default 5m)"},
		&cli.StringFlag{Name: unsafeSysctls, Usage: "`SYSCTLS` that pods may set beside the safe ones, by name or pattern: kernel.msgmax,net.core.*"},
		&cli.DurationFlag{Name: grace, Value: config.NodeGracePeriod, Usage: "how long a node may be silent before it is marked as unreachable"},
		&cli.Float64Flag{Name: rate, Value: config.NodeEvictionRate, Usage: "how many failed `NODES` a second begin to have their pods evicted"},
		&cli.Int64Flag{Name: toleration, Value: config.TolerationSeconds, Usage: "`SECONDS` that a pod stays on a node that is not ready or not reachable, unless it says otherwise"},
		&cli.IntFlag{Name: inFlight, Value: config.MaxInFlight, Usage: "how many `REQUESTS` the API answers at a time, shared out by FlowSchemas and PriorityLevelConfigurations"},
		&cli.DurationFlag{Name: autoscaler, Value: config.AutoscalerPeriod, Usage: "how often HorizontalPodAutoscalers look at their pods"},
		&cli.StringFlag{Name: "log-level", Value: "info", Usage: "debug, info, warn or error"},
		&cli.StringFlag{Name: "log-format", Value: "text", Usage: "text or json"},
	})
}

// checkNodeFlags refuses periods and rates that make no sense. A rate of 0 switches evictions off.
func checkNodeFlags(c *cli.Context) error {
	switch {
	case c.Duration(grace) <= 0:
		return fmt.Errorf("--%s is how long a node may be silent, more than 0: not %s", grace, c.Duration(grace))
	case c.Float64(rate) < 0:
		return fmt.Errorf("--%s is 0 or more nodes a second, not %g", rate, c.Float64(rate))
	case c.Int(inFlight) <= 0:
		return fmt.Errorf("--%s is 1 or more, not %d", inFlight, c.Int(inFlight))
	case c.Duration(autoscaler) <= 0:
		return fmt.Errorf("--%s is more than 0, not %s", autoscaler, c.Duration(autoscaler))
	case c.Int64(toleration) < 0:
		return fmt.Errorf("--%s is 0 or more, not %d", toleration, c.Int64(toleration))
	}
	return nil
}

// checkTLSFlags refuses a certificate without its key.
func checkTLSFlags(c *cli.Context) error {
	if (c.String(tlsCert) == "") != (c.String(tlsKey) == "") {
		return fmt.Errorf("--%s and --%s belong together", tlsCert, tlsKey)
	}
	return nil
}

// checkAuditFlags refuses a log that nothing would be recorded in.
func checkAuditFlags(c *cli.Context) error {
	if c.String(auditLog) != "" && c.String(auditPolicy) == "" {
		return fmt.Errorf("--%s takes --%s, which says what is recorded", auditLog, auditPolicy)
	}
	return nil
}

// readConfig reads the flags of a daemon about to start.
func readConfig(env *command.Env, c *cli.Context) (config.Config, error) {
	cfg := config.Config{
		Listen: c.String("listen"), NodeName: c.String("node-name"), EngineHost: c.String(engine),
		StartLimit: c.Int("max-starts"), CrashBackoff: c.Duration("crash-backoff"), MaxBackoff: c.Duration("max-crash-backoff"),
		DefaultTolerationSeconds: c.Int64(toleration), LogJSON: c.String("log-format") == "json",
		NodeGracePeriod: c.Duration(grace), NodeEvictionRate: ptr.To(c.Float64(rate)),
		AutoscalerPeriod:     c.Duration(autoscaler),
		MaxInFlight:          c.Int(inFlight),
		AllowedUnsafeSysctls: listed(c.String(unsafeSysctls)),
		PodsByRouter:         c.Bool(byRouter),
		AuditPolicyFile:      c.String(auditPolicy), AuditLogFile: c.String(auditLog),
		ClientCAFile: c.String(clientCA), TLSCertFile: c.String(tlsCert), TLSKeyFile: c.String(tlsKey),
	}
	if err := errors.Join(checkNodeFlags(c), checkTLSFlags(c), checkAuditFlags(c), readNetwork(c, &cfg)); err != nil {
		return config.Config{}, err
	}
	if f := c.String("log-format"); f != "text" && f != "json" {
		return config.Config{}, fmt.Errorf("--log-format is text or json, not %q", f)
	}
	if level := c.String("log-level"); cfg.LogLevel.UnmarshalText([]byte(level)) != nil {
		return config.Config{}, fmt.Errorf("--log-level is debug, info, warn or error, not %q", level)
	}
	var err error
	cfg.Dir, err = env.DataDir(c)
	return cfg, err
}

// readNetwork reads the flags about the pods' network.
func readNetwork(c *cli.Context, cfg *config.Config) (err error) {
	cfg.ClusterDomain = strings.TrimSuffix(c.String(domain), ".")
	if wrong := validation.IsDNS1123Subdomain(cfg.ClusterDomain); len(wrong) > 0 {
		return fmt.Errorf("--%s: %q is not a domain: %s", domain, cfg.ClusterDomain, strings.Join(wrong, "; "))
	}
	if cfg.PublishAddress, err = netip.ParseAddr(c.String(publishAddress)); err != nil || !cfg.PublishAddress.Is4() {
		return fmt.Errorf("--%s is an IPv4 address of this machine, not %q", publishAddress, c.String(publishAddress))
	}
	if port := c.Uint(frontDoor); port > 65535 {
		return fmt.Errorf("--%s is a port from 1 to 65535, or 0 for no front door, not %d", frontDoor, port)
	}
	cfg.FrontDoorPort = uint16(c.Uint(frontDoor))
	if text := c.String(subnet); text != "" {
		cfg.Subnet, err = netip.ParsePrefix(text)
		if err != nil || !cfg.Subnet.Addr().Is4() || cfg.Subnet.Bits() > 26 {
			return fmt.Errorf("--%s is an IPv4 prefix of 26 bits or fewer, such as 10.20.0.0/18: not %q", subnet, text)
		}
	}
	return nil
}

// listed takes a list apart that is separated by commas.
func listed(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

// withConfig is the action of a command that takes the flags of a daemon about to start.
func withConfig(env *command.Env, do func(*cli.Context, config.Config) error) cli.ActionFunc {
	return withDir(env, func(c *cli.Context, _ datadir.Dir) error {
		cfg, err := readConfig(env, c)
		if err != nil {
			return err
		}
		return do(c, cfg)
	})
}

// withDir is the action of a command that takes no arguments and works on a data directory.
func withDir(env *command.Env, do func(*cli.Context, datadir.Dir) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		if c.Args().Present() {
			return fmt.Errorf("unexpected argument %q", c.Args().First())
		}
		dir, err := env.DataDir(c)
		if err != nil {
			return err
		}
		return do(c, dir)
	}
}

// runArgs are the arguments that tell a background daemon what the foreground command was told.
func runArgs(c *cli.Context, cfg config.Config) []string {
	args := dirArgs(cfg.Dir)
	for _, f := range serverFlags() {
		if name := f.Names()[0]; name != dataDir && c.IsSet(name) {
			args = append(args, fmt.Sprintf("--%s=%v", name, c.Value(name)))
		}
	}
	return args
}

func dirArgs(dir datadir.Dir) []string { return []string{"--" + dataDir, string(dir)} }
