package manifests

import (
	"math/rand"
	"reflect"
	"testing"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	"k8s.io/apimachinery/pkg/api/equality"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// filled returns an object of a kind with something in every field.
func filled(k *Kind, seed int64) Object {
	f := fuzzer.FuzzerFor(metafuzzer.Funcs, rand.NewSource(seed), Codecs())
	obj := k.New().(Object)
	f.Fill(obj)
	if a, ok := obj.(*autoscalingv2.HorizontalPodAutoscaler); ok && a.Spec.Behavior != nil {
		// Rules with an empty list of policies are refused, and would get others by default.
		for _, r := range []*autoscalingv2.HPAScalingRules{a.Spec.Behavior.ScaleUp, a.Spec.Behavior.ScaleDown} {
			if r != nil && len(r.Policies) == 0 {
				r.Policies = []autoscalingv2.HPAScalingPolicy{{Type: autoscalingv2.PodsScalingPolicy, Value: 1, PeriodSeconds: 1}}
			}
		}
	}
	obj.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	return obj
}

// TestRoundTrips sends filled objects of every kind, in every served version,
// through every media type, the way the API's handlers do.
func TestRoundTrips(t *testing.T) {
	for _, k := range allKinds() {
		internal := schema.GroupVersion{Group: k.GVK.Group, Version: runtime.APIVersionInternal}
		for _, served := range k.Served {
			internal.Group = served.Group
			for _, media := range Codecs().SupportedMediaTypes() {
				if media.MediaType == runtime.ContentTypeCBOR {
					continue // not enabled upstream
				}
				t.Run(served.String()+" "+media.MediaType, func(t *testing.T) {
					for seed := range int64(5) {
						roundTrip(t, k, seed, Codecs().EncoderForVersion(media.Serializer, served.GroupVersion()), Codecs().DecoderToVersion(media.Serializer, internal))
					}
				})
			}
		}
	}
}

func roundTrip(t *testing.T, k *Kind, seed int64, encoder runtime.Encoder, decoder runtime.Decoder) {
	t.Helper()
	data, err := runtime.Encode(encoder, filled(k, seed))
	if err != nil {
		t.Fatal(err)
	}
	// What is decoded has its defaults, so that is where the trip begins.
	want, err := runtime.Decode(decoder, data)
	if err != nil {
		t.Fatal(err)
	}
	if data, err = runtime.Encode(encoder, want.DeepCopyObject()); err != nil {
		t.Fatal(err)
	}
	got, err := runtime.Decode(decoder, data)
	if err != nil {
		t.Fatal(err)
	}
	if reflect.TypeOf(got) != reflect.TypeOf(k.New()) {
		t.Fatalf("decoded a %T", got)
	}
	if !equality.Semantic.DeepEqual(got, want) {
		t.Errorf("seed %d: got\n%+v\nwant\n%+v", seed, got, want)
	}
}

func TestStoreCodec(t *testing.T) {
	for _, k := range allKinds() {
		t.Run(k.GVK.Kind, func(t *testing.T) {
			for seed := range int64(5) {
				obj := filled(k, seed)
				Scheme().Default(obj)
				before := obj.DeepCopyObject()
				data, err := StoreCodec().Encode(obj)
				if err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(obj, before) {
					t.Fatal("encoding changed the object")
				}
				got, err := StoreCodec().Decode(k.GroupResource().String(), data)
				if err != nil {
					t.Fatal(err)
				}
				if k.Load != nil {
					if got, err = k.Load(got); err != nil {
						t.Fatal(err)
					}
				}
				if !equality.Semantic.DeepEqual(got, obj) {
					t.Errorf("seed %d: got\n%+v\nwant\n%+v", seed, got, obj)
				}
			}
		})
	}
}

func TestStoreCodecNamesTheType(t *testing.T) {
	data, err := StoreCodec().Encode(parse(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: d}\ndata: {k: v}"))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"c","namespace":"d"},"data":{"k":"v"}}`
	if string(data) != want {
		t.Errorf("got %s, want %s", data, want)
	}
}

func TestStoreCodecFillsInDefaults(t *testing.T) {
	obj, err := StoreCodec().Decode("configmaps", []byte(`{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"c"}}`))
	if err != nil || obj.GetName() != "c" || !obj.GetObjectKind().GroupVersionKind().Empty() {
		t.Errorf("%+v, %v", obj, err)
	}
	if _, err := StoreCodec().Decode("pods", []byte(`{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p"},"spec":{"containers":[{"name":"a"}]}}`)); err != nil {
		t.Error(err)
	}
}

func TestStoreCodecErrors(t *testing.T) {
	for name, test := range map[string]struct{ resource, data, want string }{
		"resource": {"teapots", "{}", `decoding an object of resource "teapots": Object 'Kind' is missing in '{}'`},
		"kind":     {"pods", `{"kind":"ConfigMap","apiVersion":"v1"}`, `decoding an object of resource "pods": found a /v1, Kind=ConfigMap`},
		"text":     {"pods", `{`, `decoding an object of resource "pods": couldn't get version/kind; json parse error: unexpected end of JSON input`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := StoreCodec().Decode(test.resource, []byte(test.data))
			if err == nil || err.Error() != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}
