package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"skiff/manifests"
	"skiff/manifests/registry"
	"skiff/store"
)

// Definitions serves CustomResourceDefinitions. A list of them can be had without all being unpacked
// at once: fifty take forty megabytes as Go values.
type Definitions struct{ *Collection }

type metadataOnly struct{}

// WithMetadataOnly says that a request asks for nothing of definitions but their metadata.
func WithMetadataOnly(ctx context.Context) context.Context {
	return context.WithValue(ctx, metadataOnly{}, true)
}

// List implements rest.Lister.
func (d *Definitions) List(ctx context.Context, o *metainternalversion.ListOptions) (runtime.Object, error) {
	if ctx.Value(metadataOnly{}) == nil || selectsFields(o) {
		return d.Collection.List(ctx, o)
	}
	objects, list, err := d.stored(ctx, o)
	if err != nil {
		return nil, statusOf(err)
	}
	for i, obj := range objects {
		m, err := obj.(*manifests.Packed).Metadata()
		if err != nil {
			return nil, statusOf(err)
		}
		objects[i] = &extv1.CustomResourceDefinition{ObjectMeta: *m}
	}
	return listOf(d.kind, objects, list)
}

func selectsFields(o *metainternalversion.ListOptions) bool {
	return o != nil && o.FieldSelector != nil && !o.FieldSelector.Empty()
}

func (d *Definitions) stored(ctx context.Context, o *metainternalversion.ListOptions) ([]store.Object, metav1.ListMeta, error) {
	options := listOptions(o)
	options.Stored = true
	return d.resource.List(ctx, "", options)
}

// DefinitionWriter writes lists of definitions as JSON, one at a time.
type DefinitionWriter struct{ definitions *Definitions }

// NewDefinitionWriter returns a writer of the registry's definitions.
func NewDefinitionWriter(r *registry.Registry) DefinitionWriter {
	resource := r.Resource(manifests.CustomResourceDefinitions)
	return DefinitionWriter{&Definitions{&Collection{&Resource{resource: resource, kind: resource.Kind()}}}}
}

// List finds what to write, unless fields are selected: then it is not for this writer. Nothing has
// been written when it fails.
func (w DefinitionWriter) List(ctx context.Context, o *metainternalversion.ListOptions) (write func(io.Writer) error, ok bool, err error) {
	if selectsFields(o) {
		return nil, false, nil
	}
	objects, list, err := w.definitions.stored(ctx, o)
	if err != nil {
		return nil, true, statusOf(err)
	}
	return func(to io.Writer) error { return writeDefinitions(to, objects, list) }, true, nil
}

func writeDefinitions(w io.Writer, objects []store.Object, list metav1.ListMeta) error {
	meta, err := json.Marshal(list)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, `{"kind":"CustomResourceDefinitionList","apiVersion":%q,"metadata":%s,"items":[`, extv1.SchemeGroupVersion, meta); err != nil {
		return err
	}
	for i, obj := range objects {
		raw, err := definitionJSON(obj.(*manifests.Packed))
		if err != nil {
			return err
		}
		if i > 0 {
			raw = append([]byte(","), raw...)
		}
		if _, err := w.Write(raw); err != nil {
			return err
		}
	}
	_, err = io.WriteString(w, "]}\n")
	return err
}

// definitionJSON is a definition with its resourceVersion, which is not in the text that is kept.
// Nothing but its metadata is looked at.
func definitionJSON(p *manifests.Packed) ([]byte, error) {
	raw, err := p.JSON()
	if err != nil {
		return nil, err
	}
	var d struct {
		Metadata metav1.ObjectMeta `json:"metadata"`
		Spec     json.RawMessage   `json:"spec"`
		Status   json.RawMessage   `json:"status"`
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, fmt.Errorf("reading the definition %s: %w", p.Name, err)
	}
	d.Metadata.ResourceVersion = p.ResourceVersion
	return json.Marshal(d)
}
