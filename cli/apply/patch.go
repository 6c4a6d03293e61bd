package apply

import (
	"errors"
	"fmt"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/jsonmergepatch"
	"k8s.io/apimachinery/pkg/util/mergepatch"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"skiff/cli/applied"
	"skiff/cli/client"
)

// threeWay returns the patch that takes current to modified: it sets what modified says and removes
// what was applied last and is no longer in modified. Lists of known types are merged by their
// keys, those of other types are replaced.
func threeWay(kind schema.GroupVersionKind, modified, current *unstructured.Unstructured, overwrite bool) (types.PatchType, []byte, error) {
	before := applied.Original(current)
	want, err := modified.MarshalJSON()
	if err != nil {
		return "", nil, err
	}
	have, err := current.MarshalJSON()
	if err != nil {
		return "", nil, err
	}
	typed, err := client.Types().New(kind)
	switch {
	case runtime.IsNotRegisteredError(err):
		patch, err := mergePatch(before, want, have)
		return types.MergePatchType, patch, err
	case err != nil:
		return "", nil, err
	}
	meta, err := strategicpatch.NewPatchMetaFromStruct(typed)
	if err != nil {
		return "", nil, err
	}
	patch, err := strategicpatch.CreateThreeWayMergePatch(before, want, have, meta, overwrite)
	if err != nil {
		return "", nil, fmt.Errorf("creating patch with:\noriginal:\n%s\nmodified:\n%s\ncurrent:\n%s\nfor: %w", before, want, have, err)
	}
	return types.StrategicMergePatchType, patch, nil
}

func mergePatch(before, want, have []byte) ([]byte, error) {
	patch, err := jsonmergepatch.CreateThreeWayJSONMergePatch(before, want, have,
		mergepatch.RequireKeyUnchanged("apiVersion"), mergepatch.RequireKeyUnchanged("kind"), mergepatch.RequireMetadataKeyUnchanged("name"))
	if mergepatch.IsPreconditionFailed(err) {
		return nil, errors.New("At least one of apiVersion, kind and name was changed")
	}
	return patch, err
}

// patched is what a patch makes of an object.
func patched(gvk schema.GroupVersionKind, current *unstructured.Unstructured, kind types.PatchType, patch []byte) (*unstructured.Unstructured, error) {
	before, err := current.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var after []byte
	if kind == types.StrategicMergePatchType {
		typed, terr := client.Types().New(gvk)
		if terr != nil {
			return nil, terr
		}
		after, err = strategicpatch.StrategicMergePatch(before, patch, typed)
	} else {
		after, err = jsonpatch.MergePatch(before, patch)
	}
	if err != nil {
		return nil, err
	}
	u := &unstructured.Unstructured{}
	return u, u.UnmarshalJSON(after)
}
