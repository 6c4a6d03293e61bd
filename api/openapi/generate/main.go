// Command generate filters upstream's OpenAPI documents down to the kinds that skiff serves and
// writes them, compressed, beside the package that embeds them. Run it with `go generate
// ./api/openapi` after a kind was added or the Kubernetes modules were upgraded.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	openapiv2 "github.com/google/gnostic-models/openapiv2"
	"google.golang.org/protobuf/proto"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"skiff/api/openapi"
	"skiff/manifests"
)

func main() {
	if err := run("data"); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(out string) error {
	upstream, err := upstreamSpecs()
	if err != nil {
		return err
	}
	if err := removeOld(out); err != nil {
		return err
	}
	served := servedResources()
	all := map[string]any{}
	for gv, resources := range served {
		doc, err := filterV3(upstream, gv, resources)
		if err != nil {
			return fmt.Errorf("filtering the document of %s: %w", gv, err)
		}
		for name, s := range schemasOf(doc) {
			all[name] = s
		}
		if err := writeJSON(filepath.Join(out, openapi.FileName(gv)+".json.gz"), doc); err != nil {
			return err
		}
	}
	if err := writeJSON(filepath.Join(out, openapi.SchemasFile), all); err != nil {
		return err
	}
	return writeV2(filepath.Join(upstream, "swagger.json"), out, served)
}

// removeOld leaves the note about the folder, without which the package that this command imports
// would not build.
func removeOld(out string) error {
	old, err := filepath.Glob(filepath.Join(out, "*.gz"))
	if err != nil {
		return err
	}
	for _, f := range old {
		if err := os.Remove(f); err != nil {
			return err
		}
	}
	return nil
}

// upstreamSpecs finds the published documents in the module cache.
func upstreamSpecs() (string, error) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/kubernetes").Output()
	if err != nil {
		return "", fmt.Errorf("finding the module k8s.io/kubernetes: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(dir)), "api", "openapi-spec"), nil
}

// servedResources lists the plural names that each group version serves.
func servedResources() map[schema.GroupVersion]map[string]bool {
	out := map[schema.GroupVersion]map[string]bool{}
	add := func(gv schema.GroupVersion, resource string) {
		if out[gv] == nil {
			out[gv] = map[string]bool{}
		}
		out[gv][resource] = true
	}
	for _, k := range manifests.Kinds() {
		for _, gvk := range k.Served {
			add(gvk.GroupVersion(), k.Resource)
		}
	}
	for _, v := range openapi.Virtual {
		add(v.GroupVersion(), v.Resource)
	}
	return out
}

// filterV3 reads the document of a group version and keeps the paths of the named resources and the
// schemas they reach.
func filterV3(upstream string, gv schema.GroupVersion, resources map[string]bool) (map[string]any, error) {
	doc, err := readDocument(upstream, gv)
	if err != nil {
		return nil, err
	}
	paths := doc["paths"].(map[string]any)
	keepPaths(paths, resources)
	dropUnservedMedia(paths)
	components := doc["components"].(map[string]any)
	components["schemas"] = reachable(components["schemas"].(map[string]any), paths, "#/components/schemas/")
	delete(components, "securitySchemes")
	return doc, nil
}

func schemasOf(doc map[string]any) map[string]any {
	return doc["components"].(map[string]any)["schemas"].(map[string]any)
}

// keepPaths drops the paths of resources and subresources that are not served, and the deprecated
// /watch/ ones.
func keepPaths(paths map[string]any, resources map[string]bool) {
	for p := range paths {
		resource, sub := resourceOf(p)
		if strings.Contains(p, "/watch/") || resource != "" && (!resources[resource] || openapi.UnservedSubresource(resource, sub)) {
			delete(paths, p)
		}
	}
}

// resourceOf takes the resource and subresource out of a path such as
// /apis/apps/v1/namespaces/{namespace}/replicasets/{name}/scale; both are empty for the group
// version's own path.
func resourceOf(path string) (resource, sub string) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case len(parts) > 2 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		parts = parts[3:]
	default:
		return "", ""
	}
	if len(parts) > 2 && parts[0] == "namespaces" && parts[1] == "{namespace}" {
		parts = parts[2:]
	}
	if len(parts) > 2 {
		sub = parts[2]
	}
	return parts[0], sub
}

// dropUnservedMedia removes CBOR, which skiff does not speak, from every request and response.
func dropUnservedMedia(v any) {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "application/cbor")
		delete(v, "application/cbor-seq")
		for _, c := range v {
			dropUnservedMedia(c)
		}
	case []any:
		for _, c := range v {
			dropUnservedMedia(c)
		}
	}
}

// reachable keeps the schemas which the paths refer to, those which these refer to, and every
// schema that is a kind.
func reachable(schemas map[string]any, roots any, prefix string) map[string]any {
	out := map[string]any{}
	var visit func(any)
	visit = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				name := strings.TrimPrefix(ref, prefix)
				if s, ok := schemas[name]; ok && out[name] == nil {
					out[name] = s
					visit(s)
				}
			}
			for _, c := range v {
				visit(c)
			}
		case []any:
			for _, c := range v {
				visit(c)
			}
		}
	}
	visit(roots)
	return out
}

// writeV2 filters the one OpenAPI v2 document and writes it as JSON and as the protobuf that older
// clients ask for.
func writeV2(path, out string, served map[schema.GroupVersion]map[string]bool) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	doc := map[string]any{}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return err
	}
	if err := addDropped(doc); err != nil {
		return err
	}
	paths := doc["paths"].(map[string]any)
	for p := range paths {
		gv, ok := groupVersionOf(p)
		resource, sub := resourceOf(p)
		if !ok || strings.Contains(p, "/watch/") || resource != "" && (!served[gv][resource] || openapi.UnservedSubresource(resource, sub)) {
			delete(paths, p)
		}
	}
	doc["definitions"] = reachable(doc["definitions"].(map[string]any), paths, "#/definitions/")
	delete(doc, "security")
	delete(doc, "securityDefinitions")
	if err := writeJSON(filepath.Join(out, openapi.V2JSONFile), doc); err != nil {
		return err
	}
	filtered, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	parsed, err := openapiv2.ParseDocument(filtered)
	if err != nil {
		return fmt.Errorf("parsing the filtered v2 document: %w", err)
	}
	pb, err := proto.MarshalOptions{Deterministic: true}.Marshal(parsed)
	if err != nil {
		return err
	}
	return writeGzip(filepath.Join(out, openapi.V2ProtoFile), pb)
}

func groupVersionOf(path string) (schema.GroupVersion, bool) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case len(parts) > 1 && parts[0] == "api":
		return schema.GroupVersion{Version: parts[1]}, true
	case len(parts) > 2 && parts[0] == "apis":
		return schema.GroupVersion{Group: parts[1], Version: parts[2]}, true
	}
	return schema.GroupVersion{}, false
}

// writeJSON writes v with its keys sorted, so that the same input gives the same bytes.
func writeJSON(path string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return writeGzip(path, raw)
}

func writeGzip(path string, raw []byte) error {
	var buf bytes.Buffer
	z, err := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(raw); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, buf.Bytes(), 0o644)
}
