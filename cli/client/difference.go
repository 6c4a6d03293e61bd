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

// Difference is the patch that makes to of from: a strategic merge patch of a kind that this program knows, a merge patch of
// others. A version that is the same in both is no part of it: it would only make the patch conflict.
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
