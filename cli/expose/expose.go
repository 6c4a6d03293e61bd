// Package expose makes a Service for the pods of an object: skiff expose.
package expose

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"skiff/cli/applied"
	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/output"
	"skiff/cli/override"
	"skiff/cli/resource"
)

// manager is the field manager of the services. It is kubectl's name, so that the server takes the
// two programs for one.
const manager = "kubectl-expose"

// Command is skiff expose.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "expose", Usage: "Make a service for the pods of a deployment, replica set, replication controller, service or pod",
		ArgsUsage: "(-f FILE | TYPE NAME) [--port=PORT] [--target-port=NUMBER_OR_NAME]",
		Flags: command.Flags(command.FileFlags("expose"), command.OutputFlags(command.ObjectFormats), command.DryRunFlag(), command.ManagerFlag(manager), override.Flags("service"),
			&cli.StringFlag{Name: "port", Usage: "`PORT` of the service, or several joined by commas (default: those of the object)"},
			&cli.StringFlag{Name: "target-port", Usage: "`NUMBER` or name of the containers' port (default: that of the service)"},
			&cli.StringFlag{Name: "protocol", Usage: "`PROTOCOL` of the ports: TCP, UDP or SCTP (default: those of the object, or TCP)"},
			&cli.StringFlag{Name: "name", Usage: "`NAME` of the service (default: that of the object)"},
			&cli.StringFlag{Name: "type", Usage: "`TYPE` of the service: ClusterIP, NodePort, LoadBalancer or ExternalName (default: ClusterIP)"},
			&cli.StringFlag{Name: "selector", Usage: "`LABELS` of the pods that it leads to, each KEY=VALUE (default: as the object selects them)"},
			&cli.StringFlag{Name: "labels", Aliases: []string{"l"}, Usage: "`LABELS` of the service (default: those of the object)"},
			&cli.StringFlag{Name: "external-ip", Usage: "further `ADDRESS` at which the service is reached"},
			&cli.StringFlag{Name: "load-balancer-ip", Usage: "`ADDRESS` that the load balancer is to have"},
			&cli.StringFlag{Name: "session-affinity", Usage: "`AFFINITY` of clients to one pod: None or ClientIP"},
			&cli.StringFlag{Name: "cluster-ip", Usage: "`ADDRESS` within the cluster, or None for a headless service (default: one that is free)"},
			&cli.BoolFlag{Name: "save-config", Usage: "save the configuration in an annotation, for a later apply"}),
		Action: func(c *cli.Context) error { return run(c, env) },
	},
		"skiff expose deployment web --port=80 --target-port=8080",
		"skiff expose rc kubia --type=LoadBalancer --name=kubia-http --port=8080",
		"skiff expose service web --port=443 --target-port=8443 --name=web-https",
		"skiff expose pod db --cluster-ip=None --dry-run=client -o yaml")
}

// exposer makes services as the flags say.
type exposer struct {
	wishes
	client     *client.Client
	report     *output.Reporter
	dryRun     command.DryRun
	write      client.WriteOptions
	saveConfig bool
	// override changes a service before it is sent.
	override func(*unstructured.Unstructured) (*unstructured.Unstructured, error)
}

func run(c *cli.Context, env *command.Env) error {
	e := &exposer{wishes: readWishes(c), saveConfig: c.Bool("save-config"), override: func(u *unstructured.Unstructured) (*unstructured.Unstructured, error) {
		return override.Apply(c, u, corev1.Service{})
	}}
	var err error
	if e.dryRun, err = env.ReadDryRun(c); err != nil {
		return err
	}
	if e.report, err = output.NewReporter(env.Out, output.Read(c), e.dryRun.Suffix()); err != nil {
		return err
	}
	if e.client, err = env.Connect(c); err != nil {
		return err
	}
	e.write = client.WriteOptions{DryRun: e.dryRun == command.DryRunServer, Manager: c.String("field-manager")}
	q := resource.Query{Args: c.Args().Slice(), Files: command.Files(c)}
	return resource.Finder{Client: e.client, In: env.In}.Find(c.Context, q, func(o resource.Object) error { return e.one(c.Context, o) })
}

// one makes the service of one object.
func (e *exposer) one(ctx context.Context, o resource.Object) error {
	source, err := read(o)
	if err != nil {
		return err
	}
	made, err := e.service(source)
	if err != nil {
		return err
	}
	u, err := client.From(made)
	if err != nil {
		return fmt.Errorf("making service %s: %w", made.Name, err)
	}
	if u, err = e.override(u); err != nil {
		return err
	}
	if e.dryRun == command.DryRunClient {
		if e.client.NamespaceGiven {
			u.SetNamespace(e.client.Namespace)
		}
		return e.report.Report(u, "exposed")
	}
	if err := applied.Update(u, e.saveConfig); err != nil {
		return err
	}
	r, err := e.place(u.GetName())
	if err != nil {
		return err
	}
	if u, err = e.client.Create(ctx, r, u, e.write); err != nil {
		return err
	}
	return e.report.Report(u, "exposed")
}

// place is where a service is created: in the namespace of the request, as kubectl does, whichever
// the object is in.
func (e *exposer) place(name string) (client.Ref, error) {
	catalog, err := e.client.Catalog()
	if err != nil {
		return client.Ref{}, err
	}
	m, err := catalog.Kind(serviceKind)
	return client.Ref{Mapping: m, Namespace: e.client.Namespace, Name: name}, err
}

// parseLabels reads KEY=VALUE,KEY=VALUE.
func parseLabels(text string) (map[string]string, error) {
	out := map[string]string{}
	for _, pair := range strings.Split(text, ",") {
		key, value, ok := strings.Cut(pair, "=")
		switch {
		case !ok || strings.Contains(value, "="):
			return nil, fmt.Errorf("unexpected label spec: %s", pair)
		case key == "":
			return nil, fmt.Errorf("unexpected empty label key")
		}
		out[key] = value
	}
	return out, nil
}
