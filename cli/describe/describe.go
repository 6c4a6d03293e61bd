// Package describe shows an object in detail: what is desired, what is observed, and the events
// about it.
package describe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/resource"
)

// Command is skiff describe.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "describe", Usage: "Show details of a specific resource or group of resources", ArgsUsage: "(-f FILE | TYPE [NAME_PREFIX | -l LABELS] | TYPE/NAME)",
		Flags: command.Flags(command.FileFlags("describe"), command.SelectorFlag(), command.AllNamespacesFlag(), command.ChunkFlag(),
			&cli.BoolFlag{Name: "show-events", Value: true, Usage: "show the events about each object"}),
		Action: func(c *cli.Context) error { return run(c, env) },
	},
		"skiff describe pod kubia-dssvz",
		"skiff describe po kubia           # every pod whose name begins with kubia",
		"skiff describe rc/kubia",
		"skiff describe -f kubia.yaml",
		"skiff describe node")
}

// Describer writes descriptions of objects on one server.
type Describer struct {
	Client *client.Client
	Now    func() time.Time
	// Events is whether to show the events about an object.
	Events bool
	Chunk  int64
}

func run(c *cli.Context, env *command.Env) error {
	if !c.Args().Present() && !c.IsSet("filename") {
		return errors.New("You must specify the type of resource to describe. Use \"skiff api-resources\" for a complete list of supported resources.\n")
	}
	cl, err := env.Connect(c)
	if err != nil {
		return err
	}
	d := Describer{Client: cl, Now: env.Now, Events: c.Bool("show-events"), Chunk: c.Int64("chunk-size")}
	q := resource.Query{Args: c.Args().Slice(), Files: command.Files(c), Labels: c.String("selector"), AllNamespaces: c.Bool("all-namespaces"), Lists: true, Chunk: d.Chunk}
	f := resource.Finder{Client: cl, In: env.In}
	shown := 0
	show := func(o resource.Object) error {
		text, err := d.Describe(c.Context, o.Ref, o.Value)
		if err != nil {
			return err
		}
		if shown++; shown > 1 {
			text = "\n\n" + text
		}
		_, err = fmt.Fprint(env.Out, text)
		return err
	}
	err = f.Find(c.Context, q, show)
	if apierrors.IsNotFound(err) && len(q.Args) == 2 && shown == 0 {
		return byPrefix(c.Context, env, f, d, q, err)
	}
	if err == nil && shown == 0 {
		fmt.Fprintln(env.Err, nothing(q, cl.Namespace))
	}
	return err
}

func nothing(q resource.Query, namespace string) string {
	if q.AllNamespaces {
		return "No resources found"
	}
	return fmt.Sprintf("No resources found in %s namespace.", namespace)
}

// byPrefix describes the objects whose names begin with a name that no object has.
func byPrefix(ctx context.Context, env *command.Env, f resource.Finder, d Describer, q resource.Query, notFound error) error {
	prefix := q.Args[1]
	q.Args = q.Args[:1]
	found := false
	err := f.Find(ctx, q, func(o resource.Object) error {
		if !strings.HasPrefix(o.Name, prefix) {
			return nil
		}
		found = true
		text, err := d.Describe(ctx, o.Ref, o.Value)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(env.Out, text)
		return err
	})
	if err == nil && !found {
		return notFound
	}
	return err
}

// page is one description: the sheet it is written on, and the server to ask for what else it
// needs.
type page struct {
	*sheet
	Describer
	ctx context.Context
	ref client.Ref
	// object is what is described, as the server sent it.
	object *unstructured.Unstructured
}

type describer func(p *page, u *unstructured.Unstructured) error

// Describe returns the description of an object that was fetched.
func (d Describer) Describe(ctx context.Context, r client.Ref, u *unstructured.Unstructured) (string, error) {
	p := &page{sheet: newSheet(d.Now), Describer: d, ctx: ctx, ref: r, object: u}
	kind := r.Mapping.GroupVersionKind.GroupKind()
	describe, ok := describers()[kind]
	if !ok {
		describe = generic
	}
	if err := describe(p, u); err != nil {
		return "", err
	}
	return p.String(), nil
}

// typed makes a describer of one that wants the object as its own type.
func typed[T any](fn func(*page, *T) error) describer {
	return func(p *page, u *unstructured.Unstructured) error {
		obj := new(T)
		if err := client.Into(u, obj); err != nil {
			return fmt.Errorf("reading %s: %w", p.ref, err)
		}
		return fn(p, obj)
	}
}

func describers() map[schema.GroupKind]describer {
	return map[schema.GroupKind]describer{
		{Kind: "Pod"}:                                       typed(pod),
		{Kind: "ReplicationController"}:                     typed(replicationController),
		{Kind: "Node"}:                                      typed(node),
		{Kind: "Namespace"}:                                 typed(namespace),
		{Kind: "Service"}:                                   typed(service),
		{Kind: "Endpoints"}:                                 typed(endpoints),
		{Kind: "ConfigMap"}:                                 typed(configMap),
		{Kind: "Secret"}:                                    typed(secret),
		{Kind: "ServiceAccount"}:                            typed(serviceAccount),
		{Kind: "PersistentVolumeClaim"}:                     typed(claim),
		{Kind: "ResourceQuota"}:                             typed(quota),
		{Kind: "LimitRange"}:                                typed(limitRange),
		{Group: "apps", Kind: "ReplicaSet"}:                 typed(replicaSet),
		{Group: "apps", Kind: "Deployment"}:                 typed(deployment),
		{Group: "apps", Kind: "DaemonSet"}:                  typed(daemonSet),
		{Group: "apps", Kind: "StatefulSet"}:                typed(statefulSet),
		{Group: "batch", Kind: "Job"}:                       typed(job),
		{Group: "batch", Kind: "CronJob"}:                   typed(cronJob),
		{Group: "policy", Kind: "PodDisruptionBudget"}:      typed(disruptionBudget),
		{Group: "scheduling.k8s.io", Kind: "PriorityClass"}: typed(priorityClass),
		{Group: "discovery.k8s.io", Kind: "EndpointSlice"}:  typed(endpointSlice),
		{Group: "coordination.k8s.io", Kind: "Lease"}:       generic,
		{Group: "networking.k8s.io", Kind: "ServiceCIDR"}:   typed(serviceCIDR),
		{Group: "networking.k8s.io", Kind: "IPAddress"}:     typed(ipAddress),
		{Group: "networking.k8s.io", Kind: "Ingress"}:       typed(ingress),
		{Group: "networking.k8s.io", Kind: "IngressClass"}:  typed(ingressClass),

		{Group: "rbac.authorization.k8s.io", Kind: "Role"}:                typed(role),
		{Group: "rbac.authorization.k8s.io", Kind: "RoleBinding"}:         typed(roleBinding),
		{Group: "rbac.authorization.k8s.io", Kind: "ClusterRole"}:         typed(clusterRole),
		{Group: "rbac.authorization.k8s.io", Kind: "ClusterRoleBinding"}:  typed(clusterRoleBinding),
		{Group: "certificates.k8s.io", Kind: "CertificateSigningRequest"}: typed(certificateRequest),
		{Group: "autoscaling", Kind: "HorizontalPodAutoscaler"}:           typed(autoscaler),
	}
}

// mapping finds where another kind is served; for what belongs to the described object.
func (p *page) mapping(group, kind string) (client.Ref, error) {
	catalog, err := p.Client.Catalog()
	if err != nil {
		return client.Ref{}, err
	}
	m, err := catalog.Kind(schema.GroupVersionKind{Group: group, Kind: kind})
	return client.Ref{Mapping: m, Namespace: p.ref.Namespace}, err
}

// listOf fetches the objects of another kind in the described object's namespace.
func listOf[T any](p *page, group, kind string, o client.ListOptions) ([]T, error) {
	r, err := p.mapping(group, kind)
	if err != nil {
		return nil, err
	}
	o.Chunk = p.Chunk
	return client.ListOf[T](p.ctx, p.Client, r, o)
}
