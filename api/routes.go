package api

import (
	"net/http"
	"path"
	"slices"
	"sort"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/request"

	"skiff/api/filters"
)

// routeTable collects handlers by path and method. It answers what has none as upstream does, with
// a Status, where net/http's own mux would answer with text.
type routeTable struct {
	errs  filters.Errors
	paths map[string]map[string]http.Handler
}

func newRouteTable(errs filters.Errors) *routeTable {
	return &routeTable{errs: errs, paths: map[string]map[string]http.Handler{}}
}

// add serves a method at a path, which may have wildcards as net/http.ServeMux knows them.
func (t *routeTable) add(method, at string, h http.Handler) {
	if t.paths[at] == nil {
		t.paths[at] = map[string]http.Handler{}
	}
	t.paths[at][method] = h
}

// wrap puts something around what serves a method at a path.
func (t *routeTable) wrap(method, at string, around func(http.Handler) http.Handler) {
	t.paths[at][method] = around(t.paths[at][method])
}

// plain are the paths without wildcards, sorted.
func (t *routeTable) plain() []string {
	var out []string
	for at := range t.paths {
		if !strings.Contains(at, "{") {
			out = append(out, at)
		}
	}
	sort.Strings(out)
	return out
}

// mux serves the table. Paths that are not in it are fallback's; requests for the others that are not
// served go through other, which measures them.
func (t *routeTable) mux(other func(http.Handler) http.Handler, fallback http.Handler) http.Handler {
	mux := http.NewServeMux()
	for at, methods := range t.paths {
		mux.Handle(at, t.byMethod(methods, other(t.refuseMethod(methods))))
	}
	mux.Handle("/", fallback)
	return asWritten(mux)
}

// asWritten keeps the mux from redirecting a proxied request whose path is not in its shortest
// form: what follows the name of the subresource is the pod's to understand.
func asWritten(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, ok := request.RequestInfoFrom(r.Context())
		if !ok || info.Subresource != "proxy" || path.Clean(r.URL.Path) == strings.TrimSuffix(r.URL.Path, "/") {
			mux.ServeHTTP(w, r)
			return
		}
		at := r.Clone(r.Context())
		at.URL.Path, at.URL.RawPath = proxyRoot(info), ""
		h, _ := mux.Handler(at)
		h.ServeHTTP(w, r)
	})
}

// proxyRoot is the path above all that a proxied request can be for.
func proxyRoot(info *request.RequestInfo) string {
	above := path.Join("/", info.APIPrefix, info.APIGroup, info.APIVersion)
	if info.Namespace != "" {
		above = path.Join(above, "namespaces", info.Namespace)
	}
	return path.Join(above, info.Resource, info.Name, "proxy") + "/"
}

func (t *routeTable) byMethod(methods map[string]http.Handler, otherwise http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h, ok := methods[r.Method]; ok {
			h.ServeHTTP(w, r)
			return
		}
		otherwise.ServeHTTP(w, r)
	})
}

func (t *routeTable) refuseMethod(methods map[string]http.Handler) http.Handler {
	var names []string
	for name := range methods {
		names = append(names, name)
	}
	slices.Sort(names)
	allow := strings.Join(names, ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", allow)
		t.errs.Write(w, r, apierrors.NewGenericServerResponse(http.StatusMethodNotAllowed, "", schema.GroupResource{}, "", "405: Method Not Allowed", 0, false))
	})
}

func (t *routeTable) notFound(w http.ResponseWriter, r *http.Request) {
	t.errs.Write(w, r, apierrors.NewGenericServerResponse(http.StatusNotFound, "", schema.GroupResource{}, "", "404: Page Not Found", 0, false))
}
