package manifests

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"

	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Packed is a CustomResourceDefinition as the store keeps it in memory. What everybody asks for is
// there; the schemas, which take four times as much room as Go values as they do as text, lie in
// compressed text, of which a real one takes some 50 KB.
type Packed struct {
	metav1.TypeMeta
	// ObjectMeta is without managed fields, and of the annotations it has the one that tells who has
	// approved the definition.
	metav1.ObjectMeta
	// Spec is without schemas.
	Spec   extv1.CustomResourceDefinitionSpec
	Status extv1.CustomResourceDefinitionStatus

	gz []byte // the whole definition, as JSON, without its resourceVersion
}

// DeepCopyObject implements runtime.Object. The text is shared: nobody writes to it.
func (p *Packed) DeepCopyObject() runtime.Object {
	out := &Packed{TypeMeta: p.TypeMeta, ObjectMeta: *p.ObjectMeta.DeepCopy(), gz: p.gz}
	p.Spec.DeepCopyInto(&out.Spec)
	p.Status.DeepCopyInto(&out.Status)
	return out
}

// Definition is what of the definition needs no unpacking. It is shared: read-only.
func (p *Packed) Definition() *extv1.CustomResourceDefinition {
	return &extv1.CustomResourceDefinition{ObjectMeta: p.ObjectMeta, Spec: p.Spec, Status: p.Status}
}

// Unpack is the whole definition, which belongs to the caller.
func (p *Packed) Unpack() (*extv1.CustomResourceDefinition, error) {
	raw, err := p.JSON()
	if err != nil {
		return nil, err
	}
	crd := &extv1.CustomResourceDefinition{}
	if err := json.Unmarshal(raw, crd); err != nil {
		return nil, fmt.Errorf("unpacking the definition %s: %w", p.Name, err)
	}
	crd.TypeMeta = metav1.TypeMeta{}
	crd.ResourceVersion = p.ResourceVersion
	return crd, nil
}

// JSON is the whole definition as text, without its resourceVersion.
func (p *Packed) JSON() ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(p.gz))
	if err != nil {
		return nil, fmt.Errorf("unpacking the definition %s: %w", p.Name, err)
	}
	raw, err := io.ReadAll(z)
	if err != nil {
		return nil, fmt.Errorf("unpacking the definition %s: %w", p.Name, err)
	}
	return raw, nil
}

// Metadata is the definition's metadata, whole.
func (p *Packed) Metadata() (*metav1.ObjectMeta, error) {
	raw, err := p.JSON()
	if err != nil {
		return nil, err
	}
	var d struct {
		Metadata metav1.ObjectMeta `json:"metadata"`
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, fmt.Errorf("unpacking the metadata of the definition %s: %w", p.Name, err)
	}
	d.Metadata.ResourceVersion = p.ResourceVersion
	return &d.Metadata, nil
}

// unpackDefinition and packDefinition are the kind's Load and Save.
func unpackDefinition(o Object) (Object, error) {
	p, ok := o.(*Packed)
	if !ok {
		return nil, fmt.Errorf("a %T is stored as a definition", o)
	}
	return p.Unpack()
}

func packDefinition(o Object) (Object, error) {
	if p, ok := o.(*Packed); ok {
		return p, nil
	}
	crd, ok := o.(*extv1.CustomResourceDefinition)
	if !ok {
		return nil, fmt.Errorf("a %T is to be stored as a definition", o)
	}
	text := *crd
	text.TypeMeta = metav1.TypeMeta{APIVersion: extv1.SchemeGroupVersion.String(), Kind: "CustomResourceDefinition"}
	text.ResourceVersion = ""
	raw, err := json.Marshal(&text)
	if err != nil {
		return nil, fmt.Errorf("packing the definition %s: %w", crd.Name, err)
	}
	return pack(crd, raw)
}

// packStored packs a definition as it is on disk, without making Go values of its schemas.
func packStored(raw []byte) (*Packed, error) {
	type version struct {
		extv1.CustomResourceDefinitionVersion `json:",inline"`
		Schema                                struct{} `json:"schema"` // stands before the one with content
	}
	var d struct {
		Metadata metav1.ObjectMeta `json:"metadata"`
		Spec     struct {
			extv1.CustomResourceDefinitionSpec `json:",inline"`
			Versions                           []version `json:"versions"`
		} `json:"spec"`
		Status extv1.CustomResourceDefinitionStatus `json:"status"`
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, fmt.Errorf("decoding a definition: %w", err)
	}
	crd := &extv1.CustomResourceDefinition{ObjectMeta: d.Metadata, Spec: d.Spec.CustomResourceDefinitionSpec, Status: d.Status}
	for _, v := range d.Spec.Versions {
		crd.Spec.Versions = append(crd.Spec.Versions, v.CustomResourceDefinitionVersion)
	}
	return pack(crd, raw)
}

// packers are kept because each takes several hundred kilobytes, and a set of definitions comes at
// once.
var packers = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed)
	return z
}}

func pack(crd *extv1.CustomResourceDefinition, raw []byte) (*Packed, error) {
	var b bytes.Buffer
	z := packers.Get().(*gzip.Writer)
	defer packers.Put(z)
	z.Reset(&b)
	if _, err := z.Write(raw); err != nil {
		return nil, fmt.Errorf("packing the definition %s: %w", crd.Name, err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("packing the definition %s: %w", crd.Name, err)
	}
	p := &Packed{ObjectMeta: crd.ObjectMeta, Spec: crd.Spec, Status: crd.Status, gz: bytes.Clone(b.Bytes())}
	p.Annotations, p.ManagedFields = nil, nil
	if approved, ok := crd.Annotations[extv1.KubeAPIApprovedAnnotation]; ok {
		p.Annotations = map[string]string{extv1.KubeAPIApprovedAnnotation: approved}
	}
	p.Spec.Versions = slices.Clone(p.Spec.Versions)
	for i := range p.Spec.Versions {
		p.Spec.Versions[i].Schema = nil
	}
	return p.DeepCopyObject().(*Packed), nil
}
