// Package openapi serves the OpenAPI documents of the kinds that skiff knows: upstream's own,
// filtered by the generator beside it and embedded compressed. kubectl decides by them whether the
// server can validate, and prints `explain` out of them; server-side apply takes the types of
// fields from them.
package openapi

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"skiff/manifests/custom"
)

//go:generate go run ./generate

//go:embed data
var data embed.FS

// The names of the embedded files that belong to no single group version.
const (
	// SchemasFile holds the schemas of all documents in one map.
	SchemasFile = "schemas.json.gz"
	// V2JSONFile and V2ProtoFile hold the one OpenAPI v2 document in its two encodings.
	V2JSONFile  = "v2.json.gz"
	V2ProtoFile = "v2.pb.gz"
)

// Virtual are resources that are served without being stored, so that no kind describes them.
var Virtual = []schema.GroupVersionResource{
	{Version: "v1", Resource: "bindings"},
	{Version: "v1", Resource: "componentstatuses"},
	{Group: "authentication.k8s.io", Version: "v1", Resource: "selfsubjectreviews"},
	{Group: "authentication.k8s.io", Version: "v1", Resource: "tokenreviews"},
	{Group: "authorization.k8s.io", Version: "v1", Resource: "localsubjectaccessreviews"},
	{Group: "authorization.k8s.io", Version: "v1", Resource: "selfsubjectaccessreviews"},
	{Group: "authorization.k8s.io", Version: "v1", Resource: "selfsubjectrulesreviews"},
	{Group: "authorization.k8s.io", Version: "v1", Resource: "subjectaccessreviews"},
}

// FileName is the name, without ending, under which a group version's document is kept, here and
// upstream.
func FileName(gv schema.GroupVersion) string {
	if gv.Group == "" {
		return "api__" + gv.Version
	}
	return "apis__" + gv.Group + "__" + gv.Version
}

// UnservedSubresource reports whether upstream has a subresource that skiff has not.
func UnservedSubresource(resource, sub string) bool {
	switch resource + "/" + sub {
	case "csinodes/status":
		return true
	}
	return false
}

// Documents are the embedded documents, each with the path it is served under and a hash of its
// bytes.
type Documents struct {
	v3     map[string]document // by "api/v1", "apis/apps/v1", …
	v2     map[string]document // by media type
	index  []byte
	fields *typeConverter
}

type document struct {
	gz        []byte
	hash      string
	mediaType string
}

const (
	jsonType = "application/json"
	// Clients ask for the type with an @, which is no valid media type, and are answered with the
	// one without.
	v2ProtoAsked = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
	v2ProtoType  = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
)

// New reads the embedded documents without unpacking them. Its error is a broken build.
func New() (*Documents, error) {
	d := &Documents{v3: map[string]document{}, v2: map[string]document{}, fields: &typeConverter{}}
	files, err := fs.ReadDir(data, "data")
	if err != nil {
		return nil, fmt.Errorf("reading the embedded OpenAPI documents: %w", err)
	}
	index := struct {
		Paths map[string]map[string]string `json:"paths"`
	}{map[string]map[string]string{}}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".gz") {
			continue
		}
		gz, err := data.ReadFile("data/" + f.Name())
		if err != nil {
			return nil, fmt.Errorf("reading the embedded OpenAPI document %s: %w", f.Name(), err)
		}
		sum := sha256.Sum256(gz)
		doc := document{gz: gz, hash: strings.ToUpper(hex.EncodeToString(sum[:])), mediaType: jsonType}
		switch f.Name() {
		case SchemasFile:
		case V2JSONFile:
			d.v2[jsonType] = doc
		case V2ProtoFile:
			doc.mediaType = v2ProtoType
			d.v2[v2ProtoType] = doc
		default:
			path := strings.ReplaceAll(strings.TrimSuffix(f.Name(), ".json.gz"), "__", "/")
			d.v3[path] = doc
			index.Paths[path] = map[string]string{"serverRelativeURL": "/openapi/v3/" + path + "?hash=" + doc.hash}
		}
	}
	d.index, err = json.Marshal(index)
	return d, err
}

// Handler serves /openapi/v2, /openapi/v3 and /openapi/v3/…, with the custom resources of the
// definitions there are.
func (d *Documents) Handler(definitions func() []*custom.Definition) http.Handler {
	h := handler{d, definitions}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /openapi/v2", h.serveV2)
	mux.HandleFunc("GET /openapi/v3", h.serveIndex)
	mux.HandleFunc("GET /openapi/v3/{path...}", h.serveV3)
	return mux
}

// handler serves documents together with those of custom resources.
type handler struct {
	*Documents
	definitions func() []*custom.Definition
}

func (d handler) serveIndex(w http.ResponseWriter, _ *http.Request) {
	index, err := d.indexWith(d.definitions())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", jsonType)
	w.Write(index)
}

func (d handler) serveV2(w http.ResponseWriter, r *http.Request) {
	for _, want := range strings.Split(r.Header.Get("Accept"), ",") {
		switch media, _, _ := strings.Cut(strings.TrimSpace(want), ";"); media {
		case v2ProtoType, v2ProtoAsked:
			d.serveV2As(w, r, v2ProtoType)
			return
		case jsonType, "application/*", "*/*", "":
			d.serveV2As(w, r, jsonType)
			return
		}
	}
	http.Error(w, "only "+jsonType+" and "+v2ProtoType+" are served here", http.StatusNotAcceptable)
}

// serveV3 answers with one group version's document. A request that names the hash of another
// document is sent to the right one, as upstream does, so that a client may keep what it got for
// ever.
func (d handler) serveV3(w http.ResponseWriter, r *http.Request) {
	path := r.PathValue("path")
	doc, ok := d.v3[path]
	if !ok {
		var err error
		if doc, ok, err = customV3(d.definitions(), path); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	switch hash := r.URL.Query().Get("hash"); hash {
	case "":
	case doc.hash:
		w.Header().Set("Cache-Control", "public, immutable, max-age=31536000")
	default:
		http.Redirect(w, r, "/openapi/v3/"+path+"?hash="+doc.hash, http.StatusMovedPermanently)
		return
	}
	serve(w, r, doc)
}

func (d document) etag() string { return `"` + d.hash + `"` }

// serve sends a document as it is kept, compressed, unless the client did not offer to unpack it.
func serve(w http.ResponseWriter, r *http.Request, doc document) {
	h := w.Header()
	h.Set("Content-Type", doc.mediaType)
	h.Set("Vary", "Accept, Accept-Encoding")
	etag := doc.etag()
	h.Set("Etag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		w.Write(doc.gz)
		return
	}
	raw, err := unpack(doc.gz)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Write(raw)
}

func unpack(gz []byte) (raw []byte, err error) {
	z, err := gzip.NewReader(bytes.NewReader(gz))
	if err != nil {
		return nil, fmt.Errorf("unpacking an OpenAPI document: %w", err)
	}
	defer func() { err = errors.Join(err, z.Close()) }()
	if raw, err = io.ReadAll(z); err != nil {
		return nil, fmt.Errorf("unpacking an OpenAPI document: %w", err)
	}
	return raw, nil
}
