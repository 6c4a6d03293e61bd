package diagnosis

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"skiff/cli/client"
	"skiff/manifests/podfacts"
	"skiff/manifests/servicefacts"
)

// Load asks a server for the objects of a namespace and for the nodes. What may not be listed, or is not
// served, is left out.
func Load(ctx context.Context, c *client.Client, namespace string, now time.Time) (*Scene, error) {
	catalog, err := c.Catalog()
	if err != nil {
		return nil, err
	}
	s := &Scene{Now: now, NodeGrace: nodeGrace}
	l := &loader{client: c, catalog: catalog, namespace: namespace}
	l.group, l.ctx = errgroup.WithContext(ctx)
	l.group.SetLimit(8)
	list(l, "", "Pod", &s.Pods)
	list(l, "apps", "ReplicaSet", &s.ReplicaSets)
	list(l, "", "ReplicationController", &s.Controllers)
	list(l, "apps", "Deployment", &s.Deployments)
	list(l, "apps", "StatefulSet", &s.StatefulSets)
	list(l, "apps", "DaemonSet", &s.DaemonSets)
	list(l, "batch", "Job", &s.Jobs)
	list(l, "batch", "CronJob", &s.CronJobs)
	list(l, "", "Service", &s.Services)
	list(l, "discovery.k8s.io", "EndpointSlice", &s.Slices)
	list(l, "", "PersistentVolumeClaim", &s.Claims)
	list(l, "networking.k8s.io", "Ingress", &s.Ingresses)
	list(l, "networking.k8s.io", "IngressClass", &s.Classes)
	list(l, "", "Event", &s.Events)
	list(l, "", "Node", &s.Nodes)
	list(l.in(corev1.NamespaceNodeLease), "coordination.k8s.io", "Lease", &s.Leases)
	l.group.Go(func() error {
		if told, ok := NodeGrace(l.ctx, c); ok {
			s.NodeGrace = told
		}
		return nil
	})
	if err := l.group.Wait(); err != nil {
		return nil, client.OrDone(ctx, err)
	}
	if slices.ContainsFunc(s.Pods, wantsPorts) {
		all := &loader{client: c, catalog: catalog, ctx: ctx, group: &errgroup.Group{}}
		list(all, "", "Pod", &s.Neighbours)
		_ = all.group.Wait() // it never fails: what may not be listed is left out
		s.Neighbours = slices.DeleteFunc(s.Neighbours, func(p corev1.Pod) bool { return p.Namespace == namespace })
	}
	return s, nil
}

// wantsPorts reports whether a pod waits for ports of a node that others may hold.
func wantsPorts(p corev1.Pod) bool {
	return len(hostPorts(&p)) > 0 && !podfacts.Ready(&p) && !podfacts.Terminal(&p)
}

// loader lists several kinds side by side.
type loader struct {
	client    *client.Client
	catalog   *client.Catalog
	namespace string
	ctx       context.Context
	group     *errgroup.Group
}

// in is the loader for another namespace.
func (l *loader) in(namespace string) *loader {
	other := *l
	other.namespace = namespace
	return &other
}

// list begins to list one kind. A server that can not be reached is an error; one that refuses, or that
// does not have the kind, is not.
func list[T any](l *loader, group, kind string, into *[]T) {
	m, err := l.catalog.Kind(schema.GroupVersionKind{Group: group, Kind: kind})
	if err != nil {
		return
	}
	l.group.Go(func() error {
		all, err := client.ListOf[T](l.ctx, l.client, client.Ref{Mapping: m, Namespace: l.namespace}, client.ListOptions{Chunk: 500})
		if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
			return nil
		}
		*into = all
		return err
	})
}

// nodeGrace is upstream's default of how long a node may be silent.
const nodeGrace = 50 * time.Second

// NodeGrace is how long nodes may be silent, as skiff's daemon tells it; false elsewhere.
func NodeGrace(ctx context.Context, c *client.Client) (time.Duration, bool) {
	catalog, err := c.Catalog()
	if err != nil {
		return 0, false
	}
	m, err := catalog.Kind(corev1.SchemeGroupVersion.WithKind("ConfigMap"))
	if err != nil {
		return 0, false
	}
	info := &corev1.ConfigMap{}
	if err := c.GetInto(ctx, client.Ref{Mapping: m, Namespace: servicefacts.InfoNamespace, Name: servicefacts.InfoName}, info); err != nil {
		return 0, false
	}
	d, err := time.ParseDuration(info.Data[servicefacts.InfoNodeGrace])
	return d, err == nil
}
