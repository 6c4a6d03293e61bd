package get

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/liggitt/tabwriter"

	"skiff/cli/client"
	"skiff/cli/resource"
)

// tables prints tables one below the other: rows of one type share a header, types are separated by
// an empty line.
type tables struct {
	options
	out      *counting
	w        *tabwriter.Writer
	withKind bool
	last     *meta.RESTMapping
	printer  printers.ResourcePrinter
	rows     int
}

// counting counts what is written, and writes an empty line first when gap is set.
type counting struct {
	io.Writer
	n   int
	gap bool
}

func (c *counting) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if c.gap {
		c.gap = false
		if _, err := fmt.Fprintln(c.Writer); err != nil {
			return 0, err
		}
	}
	c.n += len(p)
	return c.Writer.Write(p)
}

func newTables(out io.Writer, o options, withKind bool) *tables {
	c := &counting{Writer: out}
	return &tables{options: o, out: c, w: printers.GetNewTabWriter(c), withKind: withKind || o.showKind}
}

// begin starts a new table unless the last one is of the same type.
func (t *tables) begin(target resource.Target) error {
	if sameTable(t.last, target.Mapping) {
		return nil
	}
	if err := t.flush(); err != nil {
		return err
	}
	t.w.SetRememberedWidths(nil)
	t.out.gap = t.last != nil && !t.noHeaders && t.out.n > 0
	t.last = target.Mapping
	t.printer = t.options.printer(target, t.withKind)
	return nil
}

func (o options) printer(target resource.Target, withKind bool) printers.ResourcePrinter {
	return printers.NewTablePrinter(printers.PrintOptions{
		Kind: target.Mapping.GroupVersionKind.GroupKind(), WithKind: withKind, NoHeaders: o.noHeaders, Wide: o.output.Format == "wide",
		WithNamespace: o.query.AllNamespaces && target.Namespaced(), ColumnLabels: o.labels, ShowLabels: o.showLabels,
	})
}

func (t *tables) print(obj runtime.Object) error {
	if table, ok := obj.(*metav1.Table); ok {
		t.rows += len(table.Rows)
	} else {
		t.rows++
	}
	return t.printer.PrintObj(obj, t.w)
}

func (t *tables) flush() error { return t.w.Flush() }

// fetch gets a target, in as many pages as it takes, and prints it. Sorting needs all of it at
// once.
func (g *getter) fetch(ctx context.Context, t resource.Target, out *tables) error {
	path, err := g.sortPath()
	if err != nil {
		return err
	}
	o := client.ListOptions{Labels: t.Labels, Fields: t.Fields, Chunk: g.query.Chunk, Table: true, Objects: path != ""}
	if t.Name != "" || path != "" {
		o.Chunk = 0
	}
	return g.client.Pages(ctx, t.Ref, o, func(page *unstructured.Unstructured) error {
		obj, err := asTable(page)
		if err != nil {
			return err
		}
		if err := out.begin(t); err != nil {
			return err
		}
		if table, ok := obj.(*metav1.Table); ok && path != "" {
			if err := sortTable(table, path); err != nil {
				return err
			}
		}
		return out.print(obj)
	})
}

// asTable decodes a table with its rows' objects; what the server did not make a table of is
// returned as it is.
func asTable(u *unstructured.Unstructured) (runtime.Object, error) {
	if u.GetKind() != "Table" {
		if u.IsList() {
			return u.ToList()
		}
		return u, nil
	}
	table := &metav1.Table{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, table); err != nil {
		return nil, fmt.Errorf("decoding the server's table: %w", err)
	}
	for i := range table.Rows {
		raw := table.Rows[i].Object.Raw
		if len(raw) == 0 {
			continue
		}
		o := &unstructured.Unstructured{}
		if err := json.Unmarshal(raw, &o.Object); err != nil {
			return nil, fmt.Errorf("decoding a row of the server's table: %w", err)
		}
		table.Rows[i].Object.Object = o
	}
	return table, nil
}
