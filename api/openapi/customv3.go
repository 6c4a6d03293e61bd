package openapi

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"skiff/manifests/custom"
)

// byVersion gathers the served versions of definitions by group version.
func byVersion(all []*custom.Definition) map[schema.GroupVersion][]*custom.Version {
	out := map[schema.GroupVersion][]*custom.Version{}
	for _, d := range all {
		for _, v := range d.Versions {
			if gv := v.GVK.GroupVersion(); v.Spec.Served {
				out[gv] = append(out[gv], v)
			}
		}
	}
	return out
}

// hashOf changes whenever the document of versions would, and is known without making it.
func hashOf(versions []*custom.Version) string {
	h := sha256.New()
	for _, v := range versions {
		fmt.Fprintln(h, v.Def.CRD.UID, v.Def.CRD.Generation, v.GVK, v.Resource, v.Def.CRD.Status.AcceptedNames.ListKind)
	}
	return fmt.Sprintf("%X", h.Sum(nil))
}

// indexWith lists the documents of v3, those of custom resources too.
func (d *Documents) indexWith(all []*custom.Definition) ([]byte, error) {
	if len(all) == 0 {
		return d.index, nil
	}
	var index struct {
		Paths map[string]map[string]string `json:"paths"`
	}
	if err := json.Unmarshal(d.index, &index); err != nil {
		return nil, err
	}
	for gv, versions := range byVersion(all) {
		path := "apis/" + gv.String()
		if index.Paths[path] == nil {
			index.Paths[path] = map[string]string{"serverRelativeURL": "/openapi/v3/" + path + "?hash=" + hashOf(versions)}
		}
	}
	return json.Marshal(index)
}

// customV3 is the document of a group version's custom resources, if there are any.
func customV3(all []*custom.Definition, path string) (document, bool, error) {
	gv, err := schema.ParseGroupVersion(strings.TrimPrefix(path, "apis/"))
	if err != nil {
		return document{}, false, nil //nolint:nilerr // no such path
	}
	versions := byVersion(all)[gv]
	if len(versions) == 0 {
		return document{}, false, nil
	}
	models, err := modelsOf(versions, custom.ComponentsV3)
	if err != nil {
		return document{}, false, err
	}
	paths := map[string]any{}
	for _, v := range versions {
		addPaths(paths, v, custom.ComponentsV3)
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		return document{}, false, err
	}
	err = json.NewEncoder(z).Encode(map[string]any{
		"openapi": "3.0.0", "info": map[string]string{"title": "Kubernetes CRD Swagger", "version": "v0.1.0"},
		"paths": paths, "components": map[string]any{"schemas": models},
	})
	if err != nil {
		return document{}, false, err
	}
	if err := z.Close(); err != nil {
		return document{}, false, err
	}
	return document{gz: b.Bytes(), hash: hashOf(versions), mediaType: jsonType}, true, nil
}
