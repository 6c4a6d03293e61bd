package openapi

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	openapiv2 "github.com/google/gnostic-models/openapiv2"
	"google.golang.org/protobuf/proto"

	"skiff/manifests/custom"
)

// The document of v2 describes everything at once: with fifty definitions it has ten megabytes, and
// several times as much as Go values. So it is never whole in memory but as compressed bytes: each
// version's part is made by itself, and written behind the others.

// serveV2As answers with the document in one of its two encodings.
func (d handler) serveV2As(w http.ResponseWriter, r *http.Request, media string) {
	all := d.definitions()
	if len(all) == 0 {
		serve(w, r, d.v2[media])
		return
	}
	doc := document{mediaType: media, hash: d.v2Hash(all, media)}
	if r.Header.Get("If-None-Match") != doc.etag() {
		var err error
		if doc.gz, err = d.assembleV2(all, media); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	serve(w, r, doc)
}

// v2Hash changes whenever the document would, and is known without making it.
func (d handler) v2Hash(all []*custom.Definition, media string) string {
	var served []*custom.Version
	for _, def := range all {
		for _, v := range def.Versions {
			if v.Spec.Served {
				served = append(served, v)
			}
		}
	}
	return d.v2[media].hash[:32] + hashOf(served)[:32]
}

func (d handler) assembleV2(all []*custom.Definition, media string) ([]byte, error) {
	base, err := unpack(d.v2[media].gz)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	write := writeV2JSON
	if media == v2ProtoType {
		write = writeV2Proto
	}
	if err := write(z, base, all); err != nil {
		return nil, fmt.Errorf("assembling the OpenAPI document: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// part is what a version adds to the document of v2.
type part struct {
	Definitions map[string]any `json:"definitions"`
	Paths       map[string]any `json:"paths"`
}

func partOf(v *custom.Version) (part, error) {
	p := part{Definitions: map[string]any{}, Paths: map[string]any{}}
	models, err := v.Models(custom.DefinitionsV2)
	if err != nil {
		return p, err
	}
	for name, s := range models {
		p.Definitions[name] = s
	}
	addPaths(p.Paths, v, custom.DefinitionsV2)
	return p, nil
}

// eachServed calls f with each version that is served.
func eachServed(all []*custom.Definition, f func(*custom.Version) error) error {
	for _, def := range all {
		for _, v := range def.Versions {
			if !v.Spec.Served {
				continue
			}
			if err := f(v); err != nil {
				return fmt.Errorf("describing %s: %w", v.GVK, err)
			}
		}
	}
	return nil
}

// writeV2JSON copies the document and puts the parts behind what its two fields have already.
func writeV2JSON(w io.Writer, base []byte, all []*custom.Definition) error {
	var whole map[string]json.RawMessage
	if err := json.Unmarshal(base, &whole); err != nil {
		return err
	}
	separator := "{"
	for _, name := range slices.Sorted(maps.Keys(whole)) {
		value := whole[name]
		if _, err := fmt.Fprintf(w, "%s%q:", separator, name); err != nil {
			return err
		}
		separator = ","
		if name != "definitions" && name != "paths" {
			if _, err := w.Write(value); err != nil {
				return err
			}
			continue
		}
		if err := writeGrown(w, value, name, all); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, "}")
	return err
}

// writeGrown writes an object, which is not empty, with the fields that versions add to it.
func writeGrown(w io.Writer, object json.RawMessage, name string, all []*custom.Definition) error {
	if _, err := w.Write(bytes.TrimSuffix(bytes.TrimSpace(object), []byte("}"))); err != nil {
		return err
	}
	err := eachServed(all, func(v *custom.Version) error {
		p, err := partOf(v)
		if err != nil {
			return err
		}
		fields := p.Definitions
		if name == "paths" {
			fields = p.Paths
		}
		raw, err := json.Marshal(fields)
		if err != nil {
			return err
		}
		_, err = io.WriteString(w, ","+strings.TrimSuffix(strings.TrimPrefix(string(raw), "{"), "}"))
		return err
	})
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, "}")
	return err
}

// writeV2Proto writes a message for each version behind the document's: messages of protobuf that
// are written one behind the other are read as one.
func writeV2Proto(w io.Writer, base []byte, all []*custom.Definition) error {
	if _, err := w.Write(base); err != nil {
		return err
	}
	return eachServed(all, func(v *custom.Version) error {
		p, err := partOf(v)
		if err != nil {
			return err
		}
		raw, err := json.Marshal(map[string]any{
			"swagger": "2.0", "info": map[string]string{"title": "Kubernetes", "version": "v1"}, // which a document must have
			"definitions": p.Definitions, "paths": p.Paths,
		})
		if err != nil {
			return err
		}
		doc, err := openapiv2.ParseDocument(raw)
		if err != nil {
			return err
		}
		doc.Swagger, doc.Info = "", nil // they are the base's to say
		message, err := proto.Marshal(doc)
		if err != nil {
			return err
		}
		_, err = w.Write(message)
		return err
	})
}
