package api

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/deprecation"
	"k8s.io/apiserver/pkg/endpoints/handlers"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/warning"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"skiff/api/discovery"
	"skiff/api/filters"
	"skiff/api/resourcemetrics"
	"skiff/api/reviews"
	"skiff/manifests"
	"skiff/manifests/registry"
)

// minWatch is the shortest time after which the server ends a watch by itself; it takes up to twice
// as long, so that clients do not all return at once. Upstream's default.
const minWatch = 30 * time.Minute

// typeSet is all that the handlers need to know of a set of types.
type typeSet struct {
	scheme     *runtime.Scheme
	codecs     serializer.CodecFactory
	parameters runtime.ParameterCodec
	fields     managedfields.TypeConverter
	equivalent runtime.EquivalentResourceRegistry
}

func manifestTypes(fields managedfields.TypeConverter) typeSet {
	return typeSet{
		scheme:     manifests.Scheme(),
		codecs:     manifests.Codecs(),
		parameters: manifests.ParameterCodec(),
		fields:     fields,
		equivalent: runtime.NewEquivalentResourceRegistry(),
	}
}

func reviewTypes(fields managedfields.TypeConverter) (typeSet, error) {
	scheme, err := reviews.Scheme()
	return typesOf(scheme, fields), err
}

func meterTypes(fields managedfields.TypeConverter) (typeSet, error) {
	scheme, err := resourcemetrics.Scheme()
	return typesOf(scheme, fields), err
}

func typesOf(scheme *runtime.Scheme, fields managedfields.TypeConverter) typeSet {
	return typeSet{
		scheme:     scheme,
		codecs:     serializer.NewCodecFactory(scheme),
		parameters: runtime.NewParameterCodec(scheme),
		fields:     fields,
		equivalent: runtime.NewEquivalentResourceRegistry(),
	}
}

// installer gives resources their routes, as upstream's APIInstaller does
// (k8s.io/apiserver/pkg/endpoints/installer.go).
type installer struct {
	typeSet
	paths     *routeTable
	metrics   *filters.Metrics
	apiServer version.Info
	// registry, unless nil, has the admission of streams.
	registry *registry.Registry
	// authorizer decides whether whoever updates what is not there may create it.
	authorizer authorizer.UnconditionalAuthorizer
	versions   []discovery.Version
}

// install serves a resource in a version. stores holds the resource itself under "" and its
// subresources.
func (i *installer) install(gv schema.GroupVersion, resource string, stores map[string]rest.Storage) error {
	scoper, ok := stores[""].(rest.Scoper)
	if !ok {
		return fmt.Errorf("%T does not say whether it has namespaces", stores[""])
	}
	at := slices.IndexFunc(i.versions, func(v discovery.Version) bool { return v.GroupVersion == gv })
	if at < 0 {
		at = len(i.versions)
		i.versions = append(i.versions, discovery.Version{GroupVersion: gv})
	}
	for _, sub := range slices.Sorted(maps.Keys(stores)) {
		e, err := i.endpoint(gv, resource, sub, stores[sub], scoper.NamespaceScoped())
		if err != nil {
			return err
		}
		i.versions[at].Resources = append(i.versions[at].Resources, i.route(e))
	}
	return nil
}

// endpoint is one resource or subresource in one version.
type endpoint struct {
	storage    rest.Storage
	scope      *handlers.RequestScope
	name       string // resource or resource/subresource
	namespaced bool
	warnings   []string
	patches    []string // the media types of patches
	// connects, unless nil, is asked about streams; the registry asks about all writes.
	connects admission.Interface
	// moved says that the kind has left this group for another: nicknames mean the new one.
	moved bool
}

func (i *installer) endpoint(gv schema.GroupVersion, resource, sub string, s rest.Storage, namespaced bool) (*endpoint, error) {
	kind, err := i.kindOf(gv, s)
	if err != nil {
		return nil, err
	}
	table, _ := s.(rest.TableConvertor)
	e := &endpoint{storage: s, name: resource, namespaced: namespaced, patches: patchTypes(), scope: &handlers.RequestScope{
		Namer:                    handlers.ContextBasedNaming{Namer: runtime.Namer(meta.NewAccessor()), ClusterScoped: !namespaced},
		Serializer:               i.codecs,
		ParameterCodec:           i.parameters,
		Creater:                  i.scheme,
		Convertor:                i.scheme,
		Defaulter:                i.scheme,
		Typer:                    i.scheme,
		UnsafeConvertor:          runtime.UnsafeObjectConvertor(i.scheme),
		Authorizer:               i.authorizer,
		EquivalentResourceMapper: i.equivalent,
		TableConvertor:           table,
		Resource:                 gv.WithResource(resource),
		Subresource:              sub,
		Kind:                     kind,
		HubGroupVersion:          schema.GroupVersion{Group: kind.Group, Version: runtime.APIVersionInternal},
		MetaGroupVersion:         metav1.SchemeGroupVersion,
		MaxRequestBodyBytes:      maxBody,
	}}
	if sub != "" {
		e.name += "/" + sub
	}
	if i.registry != nil {
		e.connects = connectAdmission(i.registry.Resource(e.scope.Resource.GroupResource()))
	}
	if e.scope.FieldManager, err = i.fieldManager(e); err != nil {
		return nil, fmt.Errorf("making the field manager of %s: %w", e.name, err)
	}
	e.warnings, err = i.deprecation(kind)
	e.moved = len(e.warnings) > 0 && i.group(s) != kind.Group
	i.equivalent.RegisterKindFor(e.scope.Resource, sub, kind)
	return e, err
}

// group is where the type that s stores is at home.
func (i *installer) group(s rest.Storage) string {
	kinds, _, err := i.scheme.ObjectKinds(s.New())
	if err != nil {
		return ""
	}
	return kinds[0].Group
}

// kindOf is the kind that s speaks in a version.
func (i *installer) kindOf(gv schema.GroupVersion, s rest.Storage) (schema.GroupVersionKind, error) {
	if says, ok := s.(rest.GroupVersionKindProvider); ok {
		return says.GroupVersionKind(gv), nil
	}
	kinds, _, err := i.scheme.ObjectKinds(s.New())
	if err != nil {
		return schema.GroupVersionKind{}, err
	}
	for _, k := range kinds {
		if k.Group == gv.Group {
			return gv.WithKind(k.Kind), nil
		}
	}
	return schema.GroupVersionKind{}, fmt.Errorf("%T has no kind in group %q", s.New(), gv.Group)
}

// fieldManager tracks who set which field.
func (i *installer) fieldManager(e *endpoint) (*managedfields.FieldManager, error) {
	var reset map[fieldpath.APIVersion]fieldpath.Filter
	switch s := e.storage.(type) {
	case rest.ResetFieldsStrategy:
		reset = fieldpath.NewExcludeFilterSetMap(s.GetResetFields())
	case rest.ResetFieldsFilterStrategy:
		reset = s.GetResetFieldsFilter()
	}
	return managedfields.NewDefaultFieldManager(i.fields, e.scope.UnsafeConvertor, i.scheme, i.scheme, e.scope.Kind, e.scope.HubGroupVersion, e.scope.Subresource, reset)
}

// route gives an endpoint its paths, and returns what discovery says of it.
func (i *installer) route(e *endpoint) metav1.APIResource {
	var verbs []string
	for _, a := range e.actions() {
		h := i.metrics.Observe(e.name, e.warn(a.handler))
		for _, path := range a.paths {
			i.paths.add(a.method, path, h)
		}
		if a.verb != "" && !slices.Contains(verbs, a.verb) {
			verbs = append(verbs, a.verb)
		}
	}
	slices.Sort(verbs)
	return e.describe(verbs)
}

func (e *endpoint) describe(verbs []string) metav1.APIResource {
	out := metav1.APIResource{Name: e.name, Namespaced: e.namespaced, Kind: e.scope.Kind.Kind, Verbs: verbs}
	if s, ok := e.storage.(rest.SingularNameProvider); ok && e.scope.Subresource == "" {
		out.SingularName = s.GetSingularName()
	}
	if s, ok := e.storage.(rest.ShortNamesProvider); ok && !e.moved {
		out.ShortNames = s.ShortNames()
	}
	if s, ok := e.storage.(rest.CategoriesProvider); ok && !e.moved {
		out.Categories = s.Categories()
	}
	if e.scope.Kind.GroupVersion() != e.scope.Resource.GroupVersion() {
		out.Group, out.Version = e.scope.Kind.Group, e.scope.Kind.Version
	}
	return out
}

// places are the paths of an endpoint.
type places struct {
	item       string   // one object, or its subresource
	collection []string // the objects of a namespace, or of the cluster
	all        []string // the objects of all namespaces too
	watchItem  string   // the deprecated paths for watches
	watchAll   []string
}

func (e *endpoint) places() places {
	gv := e.scope.Resource.GroupVersion()
	root := "/apis/" + gv.String()
	if gv.Group == "" {
		root = "/api/" + gv.Version
	}
	resource := e.scope.Resource.Resource
	prefixes := []string{"/"}
	if e.namespaced {
		prefixes = []string{"/namespaces/{namespace}/", "/"}
	}
	p := places{item: root + prefixes[0] + resource + "/{name}"}
	if e.scope.Subresource != "" {
		p.item += "/" + e.scope.Subresource
		p.collection = []string{p.item} // a subresource is created at its own path
		return p
	}
	p.collection = []string{root + prefixes[0] + resource}
	p.watchItem = root + "/watch" + prefixes[0] + resource + "/{name}"
	for _, prefix := range prefixes {
		p.all = append(p.all, root+prefix+resource)
		p.watchAll = append(p.watchAll, root+"/watch"+prefix+resource)
	}
	return p
}

// warn adds the endpoint's warnings to every answer.
func (e *endpoint) warn(next http.Handler) http.Handler {
	if len(e.warnings) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, text := range e.warnings {
			warning.AddWarning(r.Context(), "", text)
		}
		next.ServeHTTP(w, r)
	})
}

// deprecation says whether a kind is on its way out.
func (i *installer) deprecation(kind schema.GroupVersionKind) ([]string, error) {
	obj, err := i.scheme.New(kind)
	if err != nil {
		return nil, fmt.Errorf("making a %s: %w", kind, err)
	}
	obj.GetObjectKind().SetGroupVersionKind(kind)
	major, minor, err := deprecation.MajorMinor(i.apiServer)
	if err != nil || !deprecation.IsDeprecated(obj, major, minor) {
		return nil, nil //nolint:nilerr // a version that is not a number, as a test's, deprecates nothing
	}
	return []string{deprecation.WarningMessage(obj)}, nil
}

func hasPrefix(path string, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return path == p || strings.HasPrefix(path, p+"/") })
}
