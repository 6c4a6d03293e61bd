package delete

import (
	"context"
	"fmt"
	"io"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"skiff/cli/resource"
)

// confirmed shows the objects that the targets stand for, and returns them if the person wants them deleted:
// those that were shown, and not what may have come to the collections since.
func (d *Deleter) confirmed(ctx context.Context, targets []resource.Target, in io.Reader) ([]resource.Target, error) {
	var shown []resource.Target
	err := resource.Finder{Client: d.Client}.Each(ctx, targets, 0, func(o resource.Object) error {
		shown = append(shown, resource.Target{Ref: o.Ref, Source: o.Source, Bulk: o.Bulk})
		return nil
	})
	if d.IgnoreNotFound && apierrors.IsNotFound(err) {
		err = nil
	}
	if err != nil {
		return nil, err
	}
	if len(shown) == 0 {
		fmt.Fprintln(d.Out, "No resources found")
		return nil, nil
	}
	fmt.Fprintf(d.Out, "You are about to delete the following %d resource(s):\n", len(shown))
	for _, t := range shown {
		fmt.Fprintf(d.Out, "%s/%s\n", t.Kind(), t.Name)
	}
	fmt.Fprint(d.Out, "Do you want to continue? (y/n): ")
	var answer string
	if _, err := fmt.Fscan(in, &answer); err != nil || !strings.EqualFold(answer, "y") {
		fmt.Fprintln(d.Out, "deletion is cancelled")
		return nil, nil
	}
	return shown, nil
}
