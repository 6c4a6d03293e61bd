package storage

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// ConvertToTable implements rest.TableConvertor.
func (r *Resource) ConvertToTable(ctx context.Context, obj, o runtime.Object) (*metav1.Table, error) {
	if r.kind.Tables != nil {
		return r.kind.Tables().ConvertToTable(ctx, obj, o)
	}
	table := &metav1.Table{}
	if options, ok := o.(*metav1.TableOptions); !ok || !options.NoHeaders {
		table.ColumnDefinitions = r.tables.Columns(r.kind.GroupResource())
	}
	if list, err := meta.ListAccessor(obj); err == nil && meta.IsListType(obj) {
		table.ResourceVersion = list.GetResourceVersion()
		table.Continue = list.GetContinue()
		table.RemainingItemCount = list.GetRemainingItemCount()
	} else if one, err := meta.CommonAccessor(obj); err == nil {
		table.ResourceVersion = one.GetResourceVersion()
	}
	return table, r.eachRow(obj, func(row metav1.TableRow) { table.Rows = append(table.Rows, row) })
}

// eachRow calls add with the rows of an object or of a list's items.
func (r *Resource) eachRow(obj runtime.Object, add func(metav1.TableRow)) error {
	now := r.tables.Clock.Now()
	rows := func(item runtime.Object) error {
		made, err := r.tables.Rows(r.kind.GroupResource(), item, now)
		for _, row := range made {
			row.Object = runtime.RawExtension{Object: item}
			add(row)
		}
		return err
	}
	if meta.IsListType(obj) {
		return meta.EachListItem(obj, rows)
	}
	return rows(obj)
}
