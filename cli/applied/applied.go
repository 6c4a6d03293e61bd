// Package applied keeps the annotation in which client-side apply remembers what was applied last. Its name and form are
// kubectl's, so that either program can carry on where the other left off.
package applied

import (
	"encoding/json"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Annotation is the annotation's key.
const Annotation = corev1.LastAppliedConfigAnnotation

// Original is what was applied last; nil when obj was never applied.
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

// Set writes obj, as it is, into its own annotation.
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

// Update writes the annotation anew where there is one, or where create is set.
func Update(obj *unstructured.Unstructured, create bool) error {
	if create || Has(obj) {
		return Set(obj)
	}
	return nil
}

// configuration is obj without the annotation. The other annotations stay, as an empty map when there are none, which is
// how kubectl writes it: anything else would look like a change.
func configuration(obj *unstructured.Unstructured) ([]byte, error) {
	plain := obj.DeepCopy()
	annotations := plain.GetAnnotations()
	delete(annotations, Annotation)
	held := make(map[string]any, len(annotations))
	for k, v := range annotations {
		held[k] = v
	}
	if err := unstructured.SetNestedMap(plain.Object, held, "metadata", "annotations"); err != nil {
		return nil, err
	}
	data, err := json.Marshal(plain.Object)
	return append(data, '\n'), err
}
