package manifests

import (
	"bytes"
	"fmt"
	"reflect"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"

	"skiff/store"
)

// StoreCodec is how objects are kept on disk: JSON in their storage version.
// Objects it decodes have their defaults filled in, so that what an older skiff
// stored gets the defaults of fields that have come since. Custom resources are kept and decoded as
// they are: what defines them may be decoded later.
func StoreCodec() store.Codec { return buildStoreCodec() }

var buildStoreCodec = sync.OnceValue(func() store.Codec {
	c := storeCodec{
		json:  json.NewSerializerWithOptions(json.DefaultMetaFactory, Scheme(), Scheme(), json.SerializerOptions{}),
		types: map[reflect.Type]schema.GroupVersionKind{},
		kinds: map[string]*Kind{},
	}
	for _, k := range allKinds() {
		c.types[reflect.TypeOf(k.New())] = k.GVK
		c.kinds[k.GroupResource().String()] = k
	}
	return c
})

type storeCodec struct {
	json  *json.Serializer
	types map[reflect.Type]schema.GroupVersionKind
	kinds map[string]*Kind
}

// Encode leaves obj alone: its type is named on a shallow copy.
func (c storeCodec) Encode(obj Object) ([]byte, error) {
	switch obj := obj.(type) {
	case *unstructured.Unstructured:
		raw, err := obj.MarshalJSON()
		return bytes.TrimSuffix(raw, []byte("\n")), err
	case *Packed:
		return obj.JSON()
	}
	t := reflect.TypeOf(obj)
	gvk, ok := c.types[t]
	if !ok {
		return nil, fmt.Errorf("encoding %s/%s: type %T is not stored", obj.GetNamespace(), obj.GetName(), obj)
	}
	named := reflect.New(t.Elem())
	named.Elem().Set(reflect.ValueOf(obj).Elem())
	out := named.Interface().(runtime.Object)
	out.GetObjectKind().SetGroupVersionKind(gvk)
	var b bytes.Buffer
	if err := c.json.Encode(out, &b); err != nil {
		return nil, fmt.Errorf("encoding %s %s/%s: %w", gvk.Kind, obj.GetNamespace(), obj.GetName(), err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func (c storeCodec) Decode(resource string, data []byte) (Object, error) {
	k, ok := c.kinds[resource]
	if !ok {
		return decodeCustom(resource, data)
	}
	if resource == CustomResourceDefinitions.String() {
		return packStored(data)
	}
	gvk := k.GVK
	out, _, err := c.json.Decode(data, &gvk, k.New())
	if err != nil {
		return nil, fmt.Errorf("decoding an object of resource %q: %w", resource, err)
	}
	obj, ok := out.(Object)
	if !ok || reflect.TypeOf(out) != reflect.TypeOf(k.New()) {
		return nil, fmt.Errorf("decoding an object of resource %q: found a %s", resource, out.GetObjectKind().GroupVersionKind())
	}
	Scheme().Default(obj)
	obj.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	return obj, nil
}

func decodeCustom(resource string, data []byte) (Object, error) {
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(data); err != nil {
		return nil, fmt.Errorf("decoding an object of resource %q: %w", resource, err)
	}
	return u, nil
}
