package discovery

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/endpoints/handlers/negotiation"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
)

// Documents are the discovery documents of an API. They do not change while it runs.
type Documents struct {
	groups []group
	codecs serializer.CodecFactory
	core   aggregate // /api
	named  aggregate // /apis
}

// aggregate is an aggregated document with the hash of its content.
type aggregate struct {
	list *apidiscoveryv2.APIGroupDiscoveryList
	etag string
}

// New makes the documents for all that is served. The versions of a group are in order of
// preference. The error is a mistake of the program.
func New(versions []Version) (*Documents, error) {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, metav1.Unversioned)
	if err := apidiscoveryv2.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("registering the types of discovery: %w", err)
	}
	d := &Documents{groups: groupsOf(versions), codecs: serializer.NewCodecFactory(scheme)}
	core, named := split(d.groups)
	var err error
	if d.core, err = newAggregate(core); err != nil {
		return nil, err
	}
	d.named, err = newAggregate(named)
	return d, err
}

// split parts the core group, which lives under /api, from the others.
func split(groups []group) (core, named []group) {
	for _, g := range groups {
		if g.name == "" {
			core = append(core, g)
		} else {
			named = append(named, g)
		}
	}
	return core, named
}

func newAggregate(groups []group) (aggregate, error) {
	list := &apidiscoveryv2.APIGroupDiscoveryList{
		TypeMeta: metav1.TypeMeta{Kind: "APIGroupDiscoveryList", APIVersion: apidiscoveryv2.SchemeGroupVersion.String()},
	}
	for _, g := range groups {
		list.Items = append(list.Items, g.aggregated())
	}
	raw, err := json.Marshal(list.Items)
	if err != nil {
		return aggregate{}, fmt.Errorf("hashing the discovery document: %w", err)
	}
	sum := sha256.Sum256(raw)
	return aggregate{list: list, etag: `"` + hex.EncodeToString(sum[:]) + `"`}, nil
}

// Routes calls add with the path of every document and the handler of its GET requests. Each is
// served with a slash at its end too, as upstream does.
func (d *Documents) Routes(add func(path string, get http.Handler)) {
	both := func(path string, get http.Handler) {
		add(path, get)
		add(path+"/{$}", get)
	}
	both("/api", http.HandlerFunc(d.serveCore))
	both("/apis", http.HandlerFunc(d.serveGroups))
	for _, g := range d.groups {
		if g.name != "" {
			both("/apis/"+g.name, d.plain(func(*http.Request) runtime.Object { group := g.legacy(); return &group }))
		}
		for _, v := range g.versions {
			both(v.path(), d.plain(func(*http.Request) runtime.Object { return v.legacy() }))
		}
	}
}

// path is where the version's resources are served.
func (v Version) path() string {
	if v.GroupVersion.Group == "" {
		return "/api/" + v.GroupVersion.Version
	}
	return "/apis/" + v.GroupVersion.String()
}

func (d *Documents) serveCore(w http.ResponseWriter, r *http.Request) {
	d.serve(w, r, d.core, d.apiVersions)
}

func (d *Documents) serveGroups(w http.ResponseWriter, r *http.Request) {
	d.serve(w, r, d.named, d.apiGroups)
}

// apiVersions is the legacy document of the core group. It names the address the client came to,
// which is the one it can reach.
func (d *Documents) apiVersions(r *http.Request) runtime.Object {
	out := &metav1.APIVersions{
		TypeMeta:                   metav1.TypeMeta{Kind: "APIVersions"},
		ServerAddressByClientCIDRs: []metav1.ServerAddressByClientCIDR{{ClientCIDR: "0.0.0.0/0", ServerAddress: serverAddress(r)}},
	}
	for _, v := range d.core.list.Items {
		for _, version := range v.Versions {
			out.Versions = append(out.Versions, version.Version)
		}
	}
	return out
}

func serverAddress(r *http.Request) string {
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		return local.String()
	}
	return r.Host
}

func (d *Documents) apiGroups(*http.Request) runtime.Object {
	out := &metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
	for _, g := range d.groups {
		if g.name != "" {
			legacy := g.legacy()
			legacy.TypeMeta = metav1.TypeMeta{}
			out.Groups = append(out.Groups, legacy)
		}
	}
	return out
}

// serve answers with the aggregated document when the client's Accept header prefers it, and with
// the legacy one otherwise.
func (d *Documents) serve(w http.ResponseWriter, r *http.Request, a aggregate, legacy func(*http.Request) runtime.Object) {
	media, _ := negotiation.NegotiateMediaTypeOptions(r.Header.Get("Accept"), d.codecs.SupportedMediaTypes(), aggregatedToo{})
	if media.Convert == nil {
		d.write(w, r, schema.GroupVersion{Version: "v1"}, legacy(r), negotiation.DefaultEndpointRestrictions)
		return
	}
	h := w.Header()
	h.Set("Etag", a.etag)
	h.Set("Cache-Control", "public")
	h.Add("Vary", "Accept")
	if r.Header.Get("If-None-Match") == a.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	d.write(w, r, apidiscoveryv2.SchemeGroupVersion, a.list.DeepCopy(), aggregatedToo{})
}

// plain serves a document that has no aggregated form.
func (d *Documents) plain(document func(*http.Request) runtime.Object) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.write(w, r, schema.GroupVersion{Version: "v1"}, document(r), negotiation.DefaultEndpointRestrictions)
	})
}

// write encodes object, which the encoder changes, as the client wants it.
func (d *Documents) write(w http.ResponseWriter, r *http.Request, gv schema.GroupVersion, object runtime.Object, allow negotiation.EndpointRestrictions) {
	responsewriters.WriteObjectNegotiated(d.codecs, allow, gv, w, r, http.StatusOK, object, true)
}

// aggregatedToo lets content negotiation offer the aggregated document beside the legacy one.
type aggregatedToo struct{}

// AllowsMediaTypeTransform implements negotiation.EndpointRestrictions.
func (aggregatedToo) AllowsMediaTypeTransform(_, _ string, target *schema.GroupVersionKind) bool {
	return target == nil || *target == apidiscoveryv2.SchemeGroupVersion.WithKind("APIGroupDiscoveryList")
}

// AllowsServerVersion implements negotiation.EndpointRestrictions.
func (aggregatedToo) AllowsServerVersion(string) bool { return false }

// AllowsStreamSchema implements negotiation.EndpointRestrictions.
func (aggregatedToo) AllowsStreamSchema(string) bool { return false }
