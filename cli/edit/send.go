package edit

import (
	"context"
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"skiff/cli/applied"
	"skiff/cli/client"
)

// send patches one object with the user's changes. Fields they did not touch are left alone on the
// server too, even if they have changed there meanwhile.
func (s *session) send(ctx context.Context, edited *unstructured.Unstructured) error {
	o, err := s.before(edited)
	if err != nil {
		return err
	}
	if reflect.DeepEqual(o.Value.Object, edited.Object) {
		return s.report.Report(o.Value, "skipped")
	}
	if s.last {
		return s.record(ctx, o, edited)
	}
	if err := applied.Update(edited, s.saveConfig); err != nil {
		return err
	}
	kind, patch, err := client.Difference(o.Mapping.GroupVersionKind, o.Value, edited)
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
