// Package resource turns what a person names (types and names, selectors, files, directories, URLs) into objects on the
// server, and back.
package resource

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// Files says where manifests are: files, directories, URLs, patterns, or "-" for standard input.
type Files struct {
	Names []string
	// Recursive goes into the directories of a directory.
	Recursive bool
}

// Manifest is one object as it was written.
type Manifest struct {
	// Source is the file or URL it came from.
	Source string
	Object *unstructured.Unstructured
}

// extensions are the files of a directory that are read; a file named by itself may have any name.
var extensions = []string{".json", ".yaml", ".yml"}

// Reader reads manifests.
type Reader struct {
	In   io.Reader
	HTTP *http.Client
}

// Read returns every object in the files, lists taken apart, in the order they stand. Objects read before an error, and in
// other files than the faulty one, are returned beside it.
func (r Reader) Read(ctx context.Context, f Files) ([]Manifest, error) {
	var out []Manifest
	var errs []error
	stdin := false
	for _, name := range f.Names {
		if name == "-" {
			if stdin {
				return nil, errors.New("standard input cannot be used for multiple arguments")
			}
			stdin = true
		}
		docs, err := r.readName(ctx, name, f.Recursive)
		out = append(out, docs...)
		if err != nil {
			errs = append(errs, err)
		}
	}
	return out, join(errs)
}

func (r Reader) readName(ctx context.Context, name string, recursive bool) ([]Manifest, error) {
	switch {
	case name == "-":
		return decodeAll("STDIN", r.In)
	case strings.HasPrefix(name, "http://"), strings.HasPrefix(name, "https://"):
		return r.readURL(ctx, name)
	}
	paths := []string{name}
	if _, err := os.Stat(name); err != nil && strings.ContainsAny(name, "*?[") {
		if paths, err = filepath.Glob(name); err != nil {
			return nil, fmt.Errorf("pattern %q is not valid: %w", name, err)
		}
		if len(paths) == 0 {
			return nil, fmt.Errorf("the path %q does not exist", name)
		}
	}
	var out []Manifest
	var errs []error
	for _, p := range paths {
		docs, err := readPath(p, recursive)
		out = append(out, docs...)
		errs = append(errs, err)
	}
	return out, join(errs)
}

func (r Reader) readURL(ctx context.Context, url string) ([]Manifest, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("the URL passed to filename %q is not valid: %w", url, err)
	}
	resp, err := r.HTTP.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("unable to read URL %q, server reported %s, status code=%d", url, resp.Status, resp.StatusCode)
	}
	return decodeAll(url, resp.Body)
}

// readPath reads a file, or the manifests of a directory in the order of their names.
func readPath(path string, recursive bool) ([]Manifest, error) {
	files, err := manifestFiles(path, recursive)
	if err != nil {
		return nil, err
	}
	var out []Manifest
	var errs []error
	for _, file := range files {
		docs, err := readFile(file)
		out = append(out, docs...)
		errs = append(errs, err)
	}
	return out, join(errs)
}

func manifestFiles(path string, recursive bool) ([]string, error) {
	var files []string
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != path && !recursive:
			return filepath.SkipDir
		case d.IsDir():
			return nil
		case p == path || slices.Contains(extensions, filepath.Ext(p)):
			files = append(files, p)
		}
		return nil
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("the path %q does not exist", path)
	case err != nil:
		return nil, fmt.Errorf("the path %q cannot be accessed: %w", path, err)
	case len(files) == 0:
		return nil, fmt.Errorf("error reading [%s]: recognized file extensions are %v", path, extensions)
	}
	return files, nil
}

func readFile(path string) ([]Manifest, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return decodeAll(path, f)
}

// decodeAll reads a stream of YAML or JSON documents. A document that is empty is passed over. Text may be UTF-8 or, with
// a byte order mark, UTF-16, as some Windows programs write it.
func decodeAll(source string, in io.Reader) ([]Manifest, error) {
	text := bufio.NewReader(transform.NewReader(in, unicode.BOMOverride(unicode.UTF8.NewDecoder())))
	documents := utilyaml.NewYAMLReader(text)
	var out []Manifest
	for {
		doc, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, fmt.Errorf("error parsing %s: %w", source, err)
		}
		objects, err := decodeDocument(doc)
		if err != nil {
			return out, fmt.Errorf("error parsing %s: %w", source, err)
		}
		for _, o := range objects {
			flat, err := flatten(o, source)
			out = append(out, flat...)
			if err != nil {
				return out, err
			}
		}
	}
}

// decodeDocument turns one YAML document, or several JSON values one after another, into objects.
// A key that stands twice is refused: which of the two is meant, nobody can tell.
func decodeDocument(doc []byte) ([]map[string]any, error) {
	if json.Valid(doc) || utilyaml.IsJSONBuffer(doc) && !flowYAML(doc) {
		return decodeJSON(doc)
	}
	data, err := yaml.YAMLToJSONStrict(doc)
	if err != nil {
		return nil, fmt.Errorf("error converting YAML to JSON: %w", err)
	}
	var v map[string]any
	if err := utiljson.Unmarshal(data, &v); err != nil {
		return nil, fmt.Errorf("a document must be an object: %w", err)
	}
	if len(v) == 0 {
		return nil, nil
	}
	return []map[string]any{v}, nil
}

// flowYAML tells YAML's flow style, which begins with a brace as JSON does, from JSON.
func flowYAML(doc []byte) bool {
	var first json.RawMessage
	return json.NewDecoder(bytes.NewReader(doc)).Decode(&first) != nil
}

func decodeJSON(doc []byte) ([]map[string]any, error) {
	var out []map[string]any
	stream := json.NewDecoder(bytes.NewReader(doc))
	for {
		var raw json.RawMessage
		if err := stream.Decode(&raw); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return nil, err
		}
		var v map[string]any
		strict, err := kjson.UnmarshalStrict(raw, &v)
		if err == nil {
			err = join(strict)
		}
		if err != nil {
			return nil, err
		}
		if len(v) > 0 {
			out = append(out, v)
		}
	}
}

// flatten takes a List apart, and checks that each object says what it is.
func flatten(v map[string]any, source string) ([]Manifest, error) {
	u := &unstructured.Unstructured{Object: v}
	if missing := untyped(u); len(missing) > 0 {
		what := missing[0]
		if len(missing) > 1 {
			what = "[" + strings.Join(missing, ", ") + "]"
		}
		return nil, fmt.Errorf("error validating %q: error validating data: %s; if you choose to ignore these errors, turn validation off with --validate=false", source, what)
	}
	items, isList := v["items"].([]any)
	if !isList || !strings.HasSuffix(u.GetKind(), "List") {
		return []Manifest{{Source: source, Object: u}}, nil
	}
	var out []Manifest
	for i, item := range items {
		m, ok := item.(map[string]any)
		if !ok {
			return out, fmt.Errorf("error parsing %s: items[%d] is not an object", source, i)
		}
		flat, err := flatten(m, source)
		out = append(out, flat...)
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

func untyped(u *unstructured.Unstructured) []string {
	var missing []string
	if u.GetAPIVersion() == "" {
		missing = append(missing, "apiVersion not set")
	}
	if u.GetKind() == "" {
		missing = append(missing, "kind not set")
	}
	return missing
}
