package api

import (
	"net/http"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/warning"

	"skiff/api/filters"
	"skiff/manifests/custom"
)

// customs serves custom resources, which have no routes of their own: what defines them comes and
// goes. Endpoints are made when they are first asked for. It follows ServeHTTP of upstream's
// crdHandler (k8s.io/apiextensions-apiserver/pkg/apiserver/customresource_handler.go).
type customs struct {
	server  *Server
	metrics *filters.Metrics
	// otherwise serves requests that are not for a custom resource.
	otherwise http.Handler

	mu        sync.Mutex
	endpoints map[*custom.Version]customEndpoints
	types     map[*custom.Definition]managedfields.TypeConverter // which its versions share
}

func newCustoms(s *Server, metrics *filters.Metrics, otherwise http.Handler) *customs {
	return &customs{
		server: s, metrics: metrics, otherwise: otherwise,
		endpoints: map[*custom.Version]customEndpoints{}, types: map[*custom.Definition]managedfields.TypeConverter{},
	}
}

// customEndpoints are the handlers of a version, by subresource and verb.
type customEndpoints map[string]map[string]http.Handler

// ServeHTTP implements http.Handler.
func (c *customs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	info, ok := request.RequestInfoFrom(r.Context())
	if !ok || !info.IsResourceRequest || info.APIPrefix != "apis" {
		c.otherwise.ServeHTTP(w, r)
		return
	}
	v := c.version(info)
	if v == nil {
		c.otherwise.ServeHTTP(w, r)
		return
	}
	all, err := c.endpointsOf(v)
	if err != nil {
		c.server.options.Logger.Error("a custom resource can not be served", "resource", v.GroupResource(), "error", err)
		statusErrors().Write(w, r, apierrors.NewInternalError(err))
		return
	}
	byVerb, ok := all[info.Subresource]
	if !ok {
		c.otherwise.ServeHTTP(w, r)
		return
	}
	if v.Spec.Deprecated {
		warning.AddWarning(r.Context(), "", deprecationOf(v))
	}
	h, ok := byVerb[info.Verb]
	if !ok {
		statusErrors().Write(w, r, apierrors.NewMethodNotSupported(v.GroupResource(), info.Verb))
		return
	}
	h.ServeHTTP(w, r)
}

// version is the version of a custom resource that a request is for, nil if it is for none.
func (c *customs) version(info *request.RequestInfo) *custom.Version {
	def := c.server.options.Registry.Definition(schema.GroupResource{Group: info.APIGroup, Resource: info.Resource})
	if def == nil {
		return nil
	}
	v := def.Served(info.APIVersion)
	if v == nil || !v.Namespaced && info.Namespace != "" {
		return nil
	}
	everywhere := info.Verb == "list" || info.Verb == "watch"
	if v.Namespaced && info.Namespace == "" && !everywhere {
		return nil
	}
	return v
}

// endpointsOf makes the endpoints of a version at the first call. Those of definitions that are no
// more go then.
func (c *customs) endpointsOf(v *custom.Version) (customEndpoints, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if made := c.endpoints[v]; made != nil {
		return made, nil
	}
	for old := range c.endpoints {
		if c.server.options.Registry.Definition(old.GroupResource()) != old.Def {
			delete(c.endpoints, old)
			delete(c.types, old.Def)
		}
	}
	made, err := c.make(v)
	if err != nil {
		return nil, err
	}
	c.endpoints[v] = made
	return made, nil
}

// typesOf are the types of a definition's fields.
func (c *customs) typesOf(def *custom.Definition) managedfields.TypeConverter {
	known := c.types[def]
	if known == nil {
		known = c.server.options.OpenAPI.CustomTypes(def)
		c.types[def] = known
	}
	return known
}

// deprecationOf is upstream's warning of a version that says it is deprecated.
func deprecationOf(v *custom.Version) string {
	if v.Spec.DeprecationWarning != nil {
		return *v.Spec.DeprecationWarning
	}
	text := v.GVK.GroupVersion().String() + " " + v.GVK.Kind + " is deprecated"
	var better []string
	for _, other := range v.Def.Versions {
		if other.Spec.Served && !other.Spec.Deprecated && version.CompareKubeAwareVersionStrings(v.Spec.Name, other.Spec.Name) < 0 {
			better = append(better, other.Spec.Name)
		}
	}
	if len(better) == 0 {
		return text
	}
	best := slices.MaxFunc(better, version.CompareKubeAwareVersionStrings)
	return text + "; use " + v.GVK.Group + "/" + best + " " + v.GVK.Kind
}
