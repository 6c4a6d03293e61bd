package resource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"skiff/cli/kustomization"
)

// decoded is one value of a file, before Lists are expanded.
type decoded struct {
	value map[string]any
	position
}

// decodeAll reads a stream of YAML or JSON documents and skips empty ones. Text may be UTF-8 or,
// with a byte order mark, UTF-16, as some Windows programs write it.
func decodeAll(source string, in io.Reader) ([]Manifest, error) {
	file, err := io.ReadAll(transform.NewReader(in, unicode.BOMOverride(unicode.UTF8.NewDecoder())))
	if err != nil {
		return nil, fmt.Errorf("error reading %s: %w", source, err)
	}
	var out []Manifest
	for d := range documents(file) {
		values, err := d.decode()
		for _, v := range values {
			flat, err := flatten(v, source)
			out = append(out, flat...)
			if err != nil {
				return out, err
			}
		}
		if err != nil {
			return out, fmt.Errorf("error parsing %s: %w", source, err)
		}
	}
	return out, nil
}

// decode decodes a YAML document, or several consecutive JSON values. Duplicate keys are refused:
// nobody can tell which one is meant.
func (d *document) decode() ([]decoded, error) {
	if json.Valid(d.text) || utilyaml.IsJSONBuffer(d.text) && !flowYAML(d.text) {
		return d.decodeJSON()
	}
	data, err := yaml.YAMLToJSONStrict(d.text)
	if err != nil {
		if _, again := yaml.YAMLToJSONStrict(append([]byte("\n"), d.text...)); again != nil {
			err = d.locate(again)
		}
		return nil, fmt.Errorf("error converting YAML to JSON: %w", err)
	}
	var v map[string]any
	if err := utiljson.Unmarshal(data, &v); err != nil {
		return nil, fmt.Errorf("line %d: a document must be an object: %w", d.first(), err)
	}
	if len(v) == 0 {
		return nil, nil
	}
	return []decoded{{value: v, position: position{document: d}}}, nil
}

// flowYAML reports whether doc is YAML in flow style, which begins with a brace as JSON does.
func flowYAML(doc []byte) bool {
	var first json.RawMessage
	return json.NewDecoder(bytes.NewReader(doc)).Decode(&first) != nil
}

func (d *document) decodeJSON() ([]decoded, error) {
	var out []decoded
	stream := json.NewDecoder(bytes.NewReader(d.text))
	for {
		var raw json.RawMessage
		err := stream.Decode(&raw)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, fmt.Errorf("line %d: %w", d.lineOf(err), err)
		}
		read := int(stream.InputOffset())
		one := newDocument(d.lineAt(read-len(raw)), raw)
		v, err := decodeStrictly(raw)
		if err != nil {
			return out, fmt.Errorf("line %d: %w", one.line, err)
		}
		if len(v) > 0 {
			out = append(out, decoded{value: v, position: position{document: one}})
		}
	}
}

// lineAt is the line of the file that holds a byte of the document.
func (d *document) lineAt(offset int) int {
	return d.line + bytes.Count(d.text[:offset], []byte("\n"))
}

// lineOf is the line of the file on which JSON cannot be read on.
func (d *document) lineOf(err error) int {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return d.lineAt(min(int(syntax.Offset), len(d.text)))
	}
	return d.last()
}

func decodeStrictly(raw []byte) (map[string]any, error) {
	var v map[string]any
	strict, err := kjson.UnmarshalStrict(raw, &v)
	if err == nil {
		err = join(strict)
	}
	return v, err
}

// flatten expands a List, and checks that each object has a kind.
func flatten(v decoded, source string) ([]Manifest, error) {
	u := &unstructured.Unstructured{Object: v.value}
	if kustomization.IsFile(source, u) {
		return nil, fmt.Errorf("%s is no object but says how others are put together: name its directory with -k, as in -k %s", source, filepath.Dir(source))
	}
	if missing := untyped(u); len(missing) > 0 {
		if v.value["services"] != nil {
			return nil, fmt.Errorf("%s is a compose file, and this command takes manifests: skiff up takes both, and skiff convert -f %[1]s prints the manifests", source)
		}
		what := missing[0]
		if len(missing) > 1 {
			what = "[" + strings.Join(missing, ", ") + "]"
		}
		return nil, fmt.Errorf("error validating \"%s:%d\": error validating data: %s; if you choose to ignore these errors, turn validation off with --validate=false", source, v.line(), what)
	}
	items, isList := v.value["items"].([]any)
	if !isList || !strings.HasSuffix(u.GetKind(), "List") {
		return []Manifest{{Source: source, Object: u, position: v.position}}, nil
	}
	var out []Manifest
	for i, item := range items {
		m, ok := item.(map[string]any)
		if !ok {
			return out, fmt.Errorf("error parsing %s: line %d: items[%d] is not an object", source, v.item(i).line(), i)
		}
		flat, err := flatten(decoded{value: m, position: v.item(i)}, source)
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
