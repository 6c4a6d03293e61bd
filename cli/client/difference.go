package client

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/jsonmergepatch"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
)

// Difference returns the patch that turns from into to: a strategic merge patch for kinds that this
// program knows, a merge patch for others. An unchanged resource version is left out: it would only
// make the patch conflict.
func Difference(kind schema.GroupVersionKind, from, to *unstructured.Unstructured) (types.PatchType, []byte, error) {
	a, err := json.Marshal(from)
	if err != nil {
		return "", nil, err
	}
	b, err := json.Marshal(to)
	if err != nil {
		return "", nil, err
	}
	typed, err := Types().New(kind)
	if runtime.IsNotRegisteredError(err) {
		patch, err := jsonmergepatch.CreateThreeWayJSONMergePatch(a, b, a)
		return types.MergePatchType, patch, err
	}
	if err != nil {
		return "", nil, err
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(a, b, typed)
	if err != nil {
		return "", nil, fmt.Errorf("comparing the changed object with the original: %w", err)
	}
	return types.StrategicMergePatchType, patch, nil
}
