package get

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"skiff/cli/command"
	"skiff/cli/output"
	"skiff/cli/resource"
)

// objects prints the objects themselves in the form that -o names: one that was named alone by
// itself, several as a List.
func (g *getter) objects(ctx context.Context) error {
	p, err := output.New(g.output)
	if err != nil {
		return err
	}
	path, err := g.sortPath()
	if err != nil {
		return err
	}
	targets, err := g.targets(ctx)
	alone := len(targets) == 1 && targets[0].Name != "" && err == nil
	list := &unstructured.UnstructuredList{Object: map[string]any{"kind": "List", "apiVersion": "v1", "metadata": map[string]any{"resourceVersion": ""}}}
	ferr := g.finder.Each(ctx, targets, g.query.Chunk, func(o resource.Object) error {
		list.Items = append(list.Items, *o.Value)
		return nil
	})
	if g.ignore {
		ferr = resource.IgnoreNotFound(ferr)
	}
	err = command.Join(err, ferr)
	if alone && (err != nil || len(list.Items) == 0) {
		return err
	}
	if len(list.Items) == 0 && g.ignore {
		return err
	}
	var obj runtime.Object = list
	if alone {
		obj = &list.Items[0]
	} else if path != "" {
		if serr := sortObjects(list.Items, path); serr != nil && len(list.Items) > 0 {
			return serr
		}
	}
	return command.Join(p.PrintObj(obj, g.env.Out), err)
}

// notFoundIsFine reports whether a missing object is to be ignored.
func (g *getter) notFoundIsFine(err error) bool { return g.ignore && apierrors.IsNotFound(err) }
