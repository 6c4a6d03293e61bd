// Package applied keeps the annotation in which client-side apply records the last applied
// configuration. Its name and form are kubectl's, so either program can carry on where the other
// left off.
package applied

import (
	"encoding/json"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Annotation is the annotation's key.
const Annotation = corev1.LastAppliedConfigAnnotation

// Original returns the last applied configuration, nil when obj was never applied.
func Original(obj *unstructured.Unstructured) []byte {
	if v, ok := obj.GetAnnotations()[Annotation]; ok {
		return []byte(v)
	}
	return nil
}

// Has reports whether obj was ever applied.
func Has(obj *unstructured.Unstructured) bool {
	_, ok := obj.GetAnnotations()[Annotation]
	return ok
}

// Set records obj, as it stands, in its own annotation.
func Set(obj *unstructured.Unstructured) error {
	config, err := configuration(obj)
	if err != nil {
		return err
	}
	annotations := maps.Clone(obj.GetAnnotations())
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[Annotation] = string(config)
	obj.SetAnnotations(annotations)
	return nil
}

// Update records obj anew if it has the annotation, or if create is set.
func Update(obj *unstructured.Unstructured, create bool) error {
	if create || Has(obj) {
		return Set(obj)
	}
	return nil
}

// Plain is obj without the annotation. The other annotations stay, as an empty map when there are none:
// kubectl writes it so, and anything else would look like a change.
func Plain(obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	plain := obj.DeepCopy()
	annotations := plain.GetAnnotations()
	delete(annotations, Annotation)
	held := make(map[string]any, len(annotations))
	for k, v := range annotations {
		held[k] = v
	}
	return plain, unstructured.SetNestedMap(plain.Object, held, "metadata", "annotations")
}

// configuration is obj without the annotation, as text.
func configuration(obj *unstructured.Unstructured) ([]byte, error) {
	plain, err := Plain(obj)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(plain.Object)
	return append(data, '\n'), err
}
