package edit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/jsonmergepatch"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"skiff/cli/applied"
	"skiff/cli/client"
)

// send patches one object by what the person changed in it; what they left alone is left alone on the server too, even
// if it has changed there meanwhile.
func (s *session) send(ctx context.Context, edited *unstructured.Unstructured) error {
	o, err := s.before(edited)
	if err != nil {
		return err
	}
	if reflect.DeepEqual(o.Value.Object, edited.Object) {
		return s.report.Report(o.Value, "skipped")
	}
	if err := applied.Update(edited, s.saveConfig); err != nil {
		return err
	}
	kind, patch, err := difference(o.Mapping.GroupVersionKind, o.Value, edited)
	if err != nil {
		return err
	}
	if s.showPatch {
		fmt.Fprintf(s.out, "Patch: %s\n", patch)
	}
	made, err := s.client.Patch(ctx, o.Ref, kind, patch, s.write)
	if err != nil {
		return err
	}
	return s.report.Report(made, "edited")
}

// difference is a two-way patch. A version that was not edited says nothing: it would only make the patch conflict.
func difference(kind schema.GroupVersionKind, from, to *unstructured.Unstructured) (types.PatchType, []byte, error) {
	a, err := json.Marshal(from)
	if err != nil {
		return "", nil, err
	}
	b, err := json.Marshal(to)
	if err != nil {
		return "", nil, err
	}
	typed, err := client.Types().New(kind)
	if runtime.IsNotRegisteredError(err) {
		patch, err := jsonmergepatch.CreateThreeWayJSONMergePatch(a, b, a)
		return types.MergePatchType, patch, err
	}
	if err != nil {
		return "", nil, err
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(a, b, typed)
	if err != nil {
		return "", nil, errors.Join(errors.New("comparing the edited object with the original"), err)
	}
	return types.StrategicMergePatchType, patch, nil
}
