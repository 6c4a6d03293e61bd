package api

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/runtime/serializer/versioning"

	"skiff/manifests"
	"skiff/manifests/custom"
)

// customCreater makes empty custom resources.
type customCreater struct{}

// New implements runtime.ObjectCreater.
func (customCreater) New(kind schema.GroupVersionKind) (runtime.Object, error) {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(kind)
	return u, nil
}

// customTyper tells custom resources and the options of requests.
type customTyper struct{ options *runtime.Scheme }

// ObjectKinds implements runtime.ObjectTyper.
func (t customTyper) ObjectKinds(obj runtime.Object) ([]schema.GroupVersionKind, bool, error) {
	if _, ok := obj.(runtime.Unstructured); !ok {
		return t.options.ObjectKinds(obj)
	}
	gvk := obj.GetObjectKind().GroupVersionKind()
	switch {
	case gvk.Kind == "":
		return nil, false, runtime.NewMissingKindErr("")
	case gvk.Version == "":
		return nil, false, runtime.NewMissingVersionErr("")
	}
	return []schema.GroupVersionKind{gvk}, false, nil
}

// Recognizes implements runtime.ObjectTyper.
func (t customTyper) Recognizes(gvk schema.GroupVersionKind) bool {
	return t.options.Recognizes(gvk) || gvk.Version != "" && gvk.Kind != ""
}

// customDefaulter fills in the defaults of schemas.
type customDefaulter struct{ version *custom.Version }

// Default implements runtime.ObjectDefaulter.
func (d customDefaulter) Default(in runtime.Object) {
	if u, v := ofDefinition(in, d.version.Def); v != nil {
		v.Default(u)
		return
	}
	if _, ok := in.(runtime.Unstructured); !ok {
		manifests.Scheme().Default(in)
	}
}

// ofDefinition is an object with the version that it is of, nil for what is none of the definition's.
func ofDefinition(obj runtime.Object, def *custom.Definition) (*unstructured.Unstructured, *custom.Version) {
	u, ok := obj.(*unstructured.Unstructured)
	if !ok || u.GroupVersionKind().GroupKind() != def.Stored.GVK.GroupKind() {
		return nil, nil
	}
	return u, def.Served(u.GroupVersionKind().Version)
}

// customSerializer reads and writes custom resources.
type customSerializer struct {
	version *custom.Version
	convert custom.Convertor
	media   []runtime.SerializerInfo
}

// SupportedMediaTypes implements runtime.NegotiatedSerializer.
func (s customSerializer) SupportedMediaTypes() []runtime.SerializerInfo { return s.media }

// customMediaTypes are made once: requests ask for them several times each.
func customMediaTypes(typer runtime.ObjectTyper) []runtime.SerializerInfo {
	with := func(o json.SerializerOptions) runtime.Serializer {
		return json.NewSerializerWithOptions(json.DefaultMetaFactory, customCreater{}, typer, o)
	}
	return []runtime.SerializerInfo{{
		MediaType: "application/json", MediaTypeType: "application", MediaTypeSubType: "json", EncodesAsText: true,
		Serializer:       with(json.SerializerOptions{StreamingCollectionsEncoding: true}),
		PrettySerializer: with(json.SerializerOptions{Pretty: true}),
		StrictSerializer: with(json.SerializerOptions{Strict: true}),
		StreamSerializer: &runtime.StreamSerializerInfo{EncodesAsText: true, Serializer: with(json.SerializerOptions{}), Framer: json.Framer},
	}, {
		MediaType: "application/yaml", MediaTypeType: "application", MediaTypeSubType: "yaml", EncodesAsText: true,
		Serializer:       with(json.SerializerOptions{Yaml: true}),
		StrictSerializer: with(json.SerializerOptions{Yaml: true, Strict: true}),
	}}
}

// EncoderForVersion implements runtime.NegotiatedSerializer.
func (s customSerializer) EncoderForVersion(e runtime.Encoder, gv runtime.GroupVersioner) runtime.Encoder {
	scheme := manifests.Scheme()
	return versioning.NewCodec(e, nil, s.convert, scheme, withWatchEvents{scheme}, scheme, gv, nil, "customEncoder")
}

// DecoderToVersion implements runtime.NegotiatedSerializer.
func (s customSerializer) DecoderToVersion(d runtime.Decoder, gv runtime.GroupVersioner) runtime.Decoder {
	strict := false
	if j, ok := d.(*json.Serializer); ok {
		strict = j.IsStrict()
	}
	scheme := manifests.Scheme()
	coerced := coercingDecoder{d, s.version.Def, strict}
	return versioning.NewCodec(nil, coerced, runtime.UnsafeObjectConvertor(scheme), scheme, scheme, customDefaulter{s.version}, nil, gv, "customDecoder")
}

// withWatchEvents lets the events of watches be encoded as they are: no scheme has them for the
// groups of custom resources, and without a kind the encoder would write nothing.
type withWatchEvents struct{ *runtime.Scheme }

// ObjectKinds implements runtime.ObjectTyper.
func (t withWatchEvents) ObjectKinds(obj runtime.Object) ([]schema.GroupVersionKind, bool, error) {
	if _, ok := obj.(*metav1.WatchEvent); ok {
		return []schema.GroupVersionKind{{Version: "v1", Kind: "WatchEvent"}}, true, nil
	}
	return t.Scheme.ObjectKinds(obj)
}

// coercingDecoder brings what it decodes into the form of the schema, and when it is strict refuses
// what has to go for that.
type coercingDecoder struct {
	runtime.Decoder
	def    *custom.Definition
	strict bool
}

// Decode implements runtime.Decoder.
func (c coercingDecoder) Decode(data []byte, defaults *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	obj, gvk, err := c.Decoder.Decode(data, defaults, into)
	var found []error
	if err != nil {
		strict, ok := runtime.AsStrictDecodingError(err)
		if !ok || obj == nil {
			return nil, gvk, err
		}
		found = strict.Errors()
	}
	if u, v := ofDefinition(obj, c.def); v != nil {
		unknown, err := v.Coerce(u, custom.Strictness{Paths: c.strict})
		if err != nil {
			return nil, gvk, err
		}
		for _, path := range unknown {
			found = append(found, fmt.Errorf(`unknown field "%s"`, path))
		}
	}
	if c.strict && len(found) > 0 {
		return obj, gvk, runtime.NewStrictDecodingError(found)
	}
	return obj, gvk, nil
}
