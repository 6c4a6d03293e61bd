package apply

import (
	"errors"
	"fmt"

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

// threeWay makes the patch that takes current to modified: what modified says, less what was applied last and modified
// no longer says. Lists of known types are merged by their keys, those of other types replaced.
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
