package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"skiff/api/discovery"
	"skiff/api/filters"
	"skiff/api/resourcemetrics"
	"skiff/api/reviews"
	"skiff/api/storage"
	"skiff/api/streams"
	"skiff/api/table"
	"skiff/manifests"
	"skiff/manifests/registry"
)

// routes installs everything that is served.
func (s *Server) routes() (http.Handler, error) {
	metrics, err := filters.NewMetrics(s.options.Metrics, s.options.Clock)
	if err != nil {
		return nil, err
	}
	paths := newRouteTable(statusErrors())
	versions, err := s.resources(paths, metrics)
	if err != nil {
		return nil, err
	}
	other := func(h http.Handler) http.Handler { return metrics.Observe("", h) }
	customs := newCustoms(s, metrics, other(http.HandlerFunc(paths.notFound)))
	live := &liveDiscovery{registry: s.options.Registry, fixed: versions, measure: other, next: customs}
	if err := live.install(paths); err != nil {
		return nil, err
	}
	s.ownPaths(func(path string, get http.Handler) { paths.add(http.MethodGet, path, other(get)) })
	paths.add(http.MethodGet, "/{$}", other(index(paths)))
	return paths.mux(other, live), nil
}

// resources installs all kinds and all that is served without being one, and returns what discovery
// says of them.
func (s *Server) resources(paths *routeTable, metrics *filters.Metrics) ([]discovery.Version, error) {
	kinds := &installer{
		typeSet:   manifestTypes(s.options.OpenAPI.TypeConverter()),
		registry:  s.options.Registry,
		paths:     paths,
		metrics:   metrics,
		apiServer: s.options.Version, authorizer: s.options.Authorizer,
	}
	for _, kind := range s.options.Registry.Kinds() {
		stores := s.storage(kind)
		for _, gvk := range kind.Served {
			if err := kinds.install(gvk.GroupVersion(), kind.Resource, stores); err != nil {
				return nil, fmt.Errorf("installing %s in %s: %w", kind.Resource, gvk.GroupVersion(), err)
			}
		}
	}
	paths.wrap(http.MethodGet, definitionsPath, s.definitionList)
	bindings := map[string]rest.Storage{"": storage.NewBindings(s.options.Registry)}
	if err := kinds.install(corev1.SchemeGroupVersion, "bindings", bindings); err != nil {
		return nil, fmt.Errorf("installing bindings: %w", err)
	}
	statuses := map[string]rest.Storage{"": &storage.ComponentStatuses{Healthy: s.healthy, Tables: s.tables()}}
	if err := kinds.install(corev1.SchemeGroupVersion, "componentstatuses", statuses); err != nil {
		return nil, fmt.Errorf("installing componentstatuses: %w", err)
	}
	types, err := reviewTypes(s.options.OpenAPI.TypeConverter())
	if err != nil {
		return nil, err
	}
	virtual := &installer{typeSet: types, paths: paths, metrics: metrics, apiServer: s.options.Version, authorizer: s.options.Authorizer}
	for _, review := range reviews.All(s.reviews()) {
		if err := virtual.install(review.Resource.GroupVersion(), review.Resource.Resource, map[string]rest.Storage{"": review}); err != nil {
			return nil, fmt.Errorf("installing %s: %w", review.Resource, err)
		}
	}
	measured, err := s.resourceMetrics(paths, metrics)
	if err != nil {
		return nil, err
	}
	return inOrder(slices.Concat(kinds.versions, virtual.versions, measured), s.options.Registry.Kinds()), nil
}

// resourceMetrics installs metrics.k8s.io, if there is somebody who measures.
func (s *Server) resourceMetrics(paths *routeTable, metrics *filters.Metrics) ([]discovery.Version, error) {
	if s.options.Meter == nil {
		return nil, nil
	}
	types, err := meterTypes(s.options.OpenAPI.TypeConverter())
	if err != nil {
		return nil, err
	}
	i := &installer{typeSet: types, paths: paths, metrics: metrics, apiServer: s.options.Version}
	for resource, of := range map[string]rest.Storage{
		"nodes": &resourcemetrics.Nodes{Meter: s.options.Meter, Of: registry.For[*corev1.Node](s.options.Registry)},
		"pods":  &resourcemetrics.Pods{Meter: s.options.Meter, Of: registry.For[*corev1.Pod](s.options.Registry)},
	} {
		if err := i.install(resourcemetrics.GroupVersion, resource, map[string]rest.Storage{"": of}); err != nil {
			return nil, fmt.Errorf("installing the metrics of %s: %w", resource, err)
		}
	}
	return i.versions, nil
}

// reviews is what answers reviews.
func (s *Server) reviews() reviews.Options {
	o := reviews.Options{Clock: s.options.Clock, Authorizer: s.options.Authorizer}
	if s.options.Tokens != nil {
		o.Tokens, o.Audiences = group.NewTokenGroupAdder(s.options.Tokens, []string{user.AllAuthenticated}), s.options.Tokens.Audiences()
	}
	return o
}

// inOrder puts versions of one group in the order in which kinds prefer them.
func inOrder(versions []discovery.Version, kinds []*manifests.Kind) []discovery.Version {
	rank := map[schema.GroupVersion]int{}
	for _, kind := range kinds {
		for i, gvk := range kind.Served {
			rank[gvk.GroupVersion()] = max(rank[gvk.GroupVersion()], i)
		}
	}
	slices.SortStableFunc(versions, func(a, b discovery.Version) int {
		return rank[a.GroupVersion] - rank[b.GroupVersion]
	})
	for _, v := range versions {
		slices.SortFunc(v.Resources, func(a, b metav1.APIResource) int { return strings.Compare(a.Name, b.Name) })
	}
	return versions
}

// tables lay objects out for clients that ask for rows.
func (s *Server) tables() storage.Tables {
	return storage.Tables{Columns: table.Columns, Rows: table.Rows, Clock: s.options.Clock}
}

// healthy is the first check that fails, nil if none does.
func (s *Server) healthy(ctx context.Context) error {
	for _, c := range s.options.Checks {
		if err := c.Do(ctx); err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	return nil
}

// storage is what serves a kind, by subresource.
func (s *Server) storage(kind *manifests.Kind) map[string]rest.Storage {
	stores := storage.For(s.options.Registry, kind, s.tables())
	if s.options.KeptLogs != nil && kind.GVK.Group == batchv1.GroupName && kind.Resource == "jobs" {
		stores["log"] = &streams.JobLog{Kept: s.options.KeptLogs, Lookup: s.job, Clock: s.options.Clock}
	}
	if s.options.Tokens != nil && kind.GVK.Group == corev1.GroupName && kind.Resource == "serviceaccounts" {
		stores["token"] = &storage.Token{Accounts: registry.For[*corev1.ServiceAccount](s.options.Registry), Issuer: s.options.Tokens}
	}
	if s.options.PodStreams == nil || kind.GVK.Group != corev1.GroupName {
		return stores
	}
	h := streams.Handlers{Pods: s.options.PodStreams, Lookup: s.pod}
	switch kind.Resource {
	case "pods":
		stores["log"] = &streams.Log{Handlers: h}
		stores["exec"] = &streams.Exec{Handlers: h}
		stores["attach"] = &streams.Attach{Handlers: h}
		stores["portforward"] = &streams.PortForward{Handlers: h}
		stores["proxy"] = &streams.PodProxy{Handlers: h}
		stores["files"] = &streams.Files{Handlers: h}
		stores["kill"] = &streams.Kill{Handlers: h}
	case "services":
		stores["proxy"] = &streams.ServiceProxy{Handlers: h, Backends: s.backends()}
	case "nodes":
		stores["proxy"] = s.nodeProxy()
	}
	return stores
}

// backends finds the pods behind services.
func (s *Server) backends() streams.Backends {
	services := registry.For[*corev1.Service](s.options.Registry)
	kept := registry.For[*discoveryv1.EndpointSlice](s.options.Registry)
	return streams.Backends{
		Service: func(ctx context.Context, name string) (*corev1.Service, error) {
			return services.Get(request.NamespaceValue(ctx), name)
		},
		Slices: func(ctx context.Context, service string) []*discoveryv1.EndpointSlice {
			return kept.ByIndex(registry.IndexService, registry.ServiceOf(request.NamespaceValue(ctx), service))
		},
	}
}

func (s *Server) nodeProxy() *streams.NodeProxy {
	nodes, pods := registry.For[*corev1.Node](s.options.Registry), registry.For[*corev1.Pod](s.options.Registry)
	p := &streams.NodeProxy{
		Node: func(_ context.Context, name string) error { _, err := nodes.Get("", name); return err },
		Pods: func(_ context.Context, node string) []*corev1.Pod { return pods.ByIndex(registry.IndexNode, node) },
	}
	if s.options.PodStreams != nil {
		p.Running = s.options.PodStreams.Running
	}
	return p
}

// job returns the job that a request is for.
func (s *Server) job(ctx context.Context, name string) (*batchv1.Job, error) {
	return registry.For[*batchv1.Job](s.options.Registry).Get(request.NamespaceValue(ctx), name)
}

// pod returns the pod that a request is for.
func (s *Server) pod(ctx context.Context, name string) (*corev1.Pod, error) {
	pods := s.options.Registry.Resource(schema.GroupResource{Resource: "pods"})
	obj, err := pods.Get(request.NamespaceValue(ctx), name)
	if err != nil {
		return nil, err
	}
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return nil, fmt.Errorf("a %T is stored as pod %q", obj, name)
	}
	return pod, nil
}
