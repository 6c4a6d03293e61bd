package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"

	"skiff/api/discovery"
	"skiff/manifests/custom"
	"skiff/manifests/registry"
)

// liveDiscovery serves discovery with the custom resources that there are at the moment. The
// documents are made anew when that has changed since the last request.
type liveDiscovery struct {
	registry *registry.Registry
	fixed    []discovery.Version // what is served whether or not there are custom resources
	measure  func(http.Handler) http.Handler
	next     http.Handler // serves what is not discovery

	mu  sync.Mutex
	key string // of the documents that mux serves
	mux *http.ServeMux
}

// install serves what is fixed, at its paths, with what comes and goes.
func (d *liveDiscovery) install(paths *routeTable) error {
	documents, err := discovery.New(d.fixed)
	if err != nil {
		return err
	}
	d.mux = d.muxOf(documents)
	documents.Routes(func(path string, _ http.Handler) { paths.add(http.MethodGet, path, d) })
	return nil
}

func (d *liveDiscovery) muxOf(documents *discovery.Documents) *http.ServeMux {
	mux := http.NewServeMux()
	documents.Routes(func(path string, get http.Handler) { mux.Handle(path, d.measure(get)) })
	return mux
}

// ServeHTTP implements http.Handler.
func (d *liveDiscovery) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || !hasPrefix(r.URL.Path, "/api", "/apis") || strings.Count(strings.Trim(r.URL.Path, "/"), "/") > 2 {
		d.next.ServeHTTP(w, r)
		return
	}
	mux, err := d.current()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if h, pattern := mux.Handler(r); pattern != "" {
		h.ServeHTTP(w, r)
		return
	}
	d.next.ServeHTTP(w, r)
}

// current serves the documents of the present definitions.
func (d *liveDiscovery) current() (*http.ServeMux, error) {
	all := d.registry.Definitions()
	var b strings.Builder
	for _, def := range all {
		fmt.Fprintln(&b, def.CRD.UID, def.CRD.Generation, def.CRD.DeletionTimestamp != nil, def.CRD.Status.AcceptedNames)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.key == b.String() {
		return d.mux, nil
	}
	documents, err := discovery.New(append(slices.Clone(d.fixed), customVersions(all)...))
	if err != nil {
		return nil, err
	}
	d.mux, d.key = d.muxOf(documents), b.String()
	return d.mux, nil
}

// customVersions are what discovery says of definitions, the versions of each group in the order in
// which clients are to prefer them.
func customVersions(all []*custom.Definition) (out []discovery.Version) {
	for _, def := range all {
		for _, v := range def.Versions {
			if !v.Spec.Served {
				continue
			}
			gv := v.GVK.GroupVersion()
			i := slices.IndexFunc(out, func(v discovery.Version) bool { return v.GroupVersion == gv })
			if i < 0 {
				i = len(out)
				out = append(out, discovery.Version{GroupVersion: gv})
			}
			out[i].Resources = append(out[i].Resources, discoveryOf(v)...)
		}
	}
	slices.SortStableFunc(out, func(a, b discovery.Version) int { return compareVersions(a.GroupVersion, b.GroupVersion) })
	return out
}

func compareVersions(a, b schema.GroupVersion) int {
	if c := strings.Compare(a.Group, b.Group); c != 0 {
		return c
	}
	return version.CompareKubeAwareVersionStrings(b.Version, a.Version)
}

// discoveryOf are a version's resource and its subresources. While its definition is being deleted,
// nothing can be made.
func discoveryOf(v *custom.Version) []metav1.APIResource {
	verbs := metav1.Verbs{"delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"}
	if v.Def.CRD.DeletionTimestamp != nil {
		verbs = metav1.Verbs{"delete", "deletecollection", "get", "list", "watch"}
	}
	out := []metav1.APIResource{{
		Name: v.Resource, SingularName: v.Singular, Namespaced: v.Namespaced, Kind: v.GVK.Kind, Verbs: verbs,
		ShortNames: v.ShortNames, Categories: v.Categories,
	}}
	sub := metav1.Verbs{"get", "patch", "update"}
	if v.HasStatus {
		out = append(out, metav1.APIResource{Name: v.Resource + "/status", Namespaced: v.Namespaced, Kind: v.GVK.Kind, Verbs: sub})
	}
	if v.Kind.Scale != nil {
		out = append(out, metav1.APIResource{
			Name: v.Resource + "/scale", Namespaced: v.Namespaced, Group: "autoscaling", Version: "v1", Kind: "Scale", Verbs: sub,
		})
	}
	return out
}
