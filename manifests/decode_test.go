package manifests

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
)

// decode reads one manifest, JSON or YAML, of any version that is served, as the
// API's handlers do with fieldValidation=Strict: a field that is unknown or given
// twice is an error. The object has its defaults and is in the stored version.
func decode(data []byte) (Object, error) {
	strict := json.NewSerializerWithOptions(json.DefaultMetaFactory, Scheme(), Scheme(), json.SerializerOptions{Yaml: !looksLikeJSON(data), Strict: true})
	decoded, gvk, err := strict.Decode(data, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("decoding a manifest: %w", err)
	}
	Scheme().Default(decoded)
	internal := schema.GroupVersion{Group: gvk.Group, Version: runtime.APIVersionInternal}
	stored, err := Scheme().UnsafeConvertToVersion(decoded, internal)
	if err != nil {
		return nil, fmt.Errorf("decoding a manifest: converting a %s: %w", gvk, err)
	}
	obj, ok := stored.(Object)
	if !ok {
		return nil, fmt.Errorf("decoding a manifest: a %s is not an object that can be stored", gvk)
	}
	return obj, nil
}

// looksLikeJSON says that the first character that is not white space opens a
// JSON object.
func looksLikeJSON(data []byte) bool {
	for _, c := range data {
		switch c {
		case ' ', '\t', '\r', '\n':
		default:
			return c == '{'
		}
	}
	return false
}
