package resource

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"skiff/cli/chart"
	"skiff/cli/kustomization"
)

// readKustomization builds the kustomization of a directory. What comes out has no lines of its own: it is
// named by the directory.
func readKustomization(ctx context.Context, dir string) ([]Manifest, error) {
	text, err := kustomization.Build(ctx, dir, kustomization.Options{})
	if err != nil {
		return nil, err
	}
	return local(dir)(decodeRendered(dir, text, func([]byte) string { return "" }))
}

// readChart renders a chart. Its objects are named by the templates that they were made from.
func (r Reader) readChart(ctx context.Context, name string, f Files) ([]Manifest, error) {
	o := f.Chart
	o.Namespace, o.In = cmp.Or(o.Namespace, r.Namespace, "default"), r.In
	text, remarks, err := chart.Render(ctx, name, o)
	if err != nil {
		return nil, err
	}
	all, err := local(name)(decodeRendered(name, text, chart.Source))
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, errors.New(name + ": the chart makes no objects with these values")
	}
	of := map[*unstructured.Unstructured]Manifest{}
	objects := make([]*unstructured.Unstructured, len(all))
	for i, m := range all {
		objects[i], of[m.Object] = m.Object, m
	}
	objects, more := chart.Arrange(objects)
	if f.Remark != nil {
		for _, remark := range append(remarks, more...) {
			f.Remark(name + ": " + strings.TrimPrefix(remark, "WARNING: "))
		}
	}
	out := make([]Manifest, len(objects))
	for i, o := range objects {
		out[i] = of[o]
	}
	return out, nil
}

// local notes the folder that objects were made from, if it is one of this machine. A packed chart is none.
func local(name string) func([]Manifest, error) ([]Manifest, error) {
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return within(name)
	}
	return func(all []Manifest, err error) ([]Manifest, error) { return all, err }
}

// decodeRendered decodes what another program has made. source names the place that a document was made
// from, "" where it is the same as that of the document before. Lines would be those of a text that nobody
// sees, so objects do not keep them.
func decodeRendered(name string, text []byte, source func(document []byte) string) ([]Manifest, error) {
	all, err := decodeAll(name, bytes.NewReader(text))
	place := name
	for i := range all {
		place = cmp.Or(source(all[i].document.text), place)
		all[i].Source, all[i].position = place, position{}
	}
	return all, err
}
