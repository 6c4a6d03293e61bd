package api

import (
	"net/http"
	"slices"
	"sort"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"skiff/api/filters"
)

// routeTable collects handlers by path and method. It answers what has none as upstream does, with a Status, where
// net/http's own mux would answer with text.
type routeTable struct {
	errs  filters.Errors
	paths map[string]map[string]http.Handler
}

func newRouteTable(errs filters.Errors) *routeTable {
	return &routeTable{errs: errs, paths: map[string]map[string]http.Handler{}}
}

// add serves a method at a path, which may have wildcards as net/http.ServeMux knows them.
func (t *routeTable) add(method, path string, h http.Handler) {
	if t.paths[path] == nil {
		t.paths[path] = map[string]http.Handler{}
	}
	t.paths[path][method] = h
}

// plain are the paths without wildcards, sorted.
func (t *routeTable) plain() []string {
	var out []string
	for path := range t.paths {
		if !strings.Contains(path, "{") {
			out = append(out, path)
		}
	}
	sort.Strings(out)
	return out
}

// mux serves the table. Requests that are not in it go through other, which measures them.
func (t *routeTable) mux(other func(http.Handler) http.Handler) *http.ServeMux {
	mux := http.NewServeMux()
	for path, methods := range t.paths {
		mux.Handle(path, t.byMethod(methods, other(t.refuseMethod(methods))))
	}
	mux.Handle("/", other(http.HandlerFunc(t.notFound)))
	return mux
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
