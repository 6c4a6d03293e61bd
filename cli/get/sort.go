package get

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/util/jsonpath"
)

// sortTable sorts rows by the field at path of the object behind each.
func sortTable(t *metav1.Table, path string) error {
	return sortBy(t.Rows, path, func(r metav1.TableRow) map[string]any {
		if u, ok := r.Object.Object.(*unstructured.Unstructured); ok {
			return u.Object
		}
		return nil
	})
}

// sortObjects sorts objects by the field at path.
func sortObjects(items []unstructured.Unstructured, path string) error {
	return sortBy(items, path, func(u unstructured.Unstructured) map[string]any { return u.Object })
}

// sortBy sorts items by a field; those without it come first, equal ones keep their order. A field
// that no item has is an error, for it is most likely misspelt.
func sortBy[T any](items []T, path string, content func(T) map[string]any) error {
	p := jsonpath.New("sorting").AllowMissingKeys(true)
	if err := p.Parse(path); err != nil {
		return fmt.Errorf("sorting error: %w", err)
	}
	type keyed struct {
		item T
		key  any
	}
	found := len(items) == 0
	all := make([]keyed, len(items))
	for i, item := range items {
		key, ok, err := lookup(p, content(item))
		if err != nil {
			return fmt.Errorf("sorting error: %w", err)
		}
		found = found || ok
		all[i] = keyed{item, key}
	}
	if !found {
		return fmt.Errorf("couldn't find any field with path %q in the list of objects", path)
	}
	slices.SortStableFunc(all, func(a, b keyed) int { return compare(a.key, b.key) })
	for i := range all {
		items[i] = all[i].item
	}
	return nil
}

func lookup(p *jsonpath.JSONPath, content map[string]any) (any, bool, error) {
	results, err := p.FindResults(content)
	if err != nil || len(results) == 0 || len(results[0]) == 0 {
		return nil, false, err
	}
	return results[0][0].Interface(), true, nil
}

// compare orders two JSON values: numbers by value, strings as quantities when both are, by their
// letters otherwise.
func compare(a, b any) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	if x, ok := number(a); ok {
		if y, ok := number(b); ok {
			return cmp.Compare(x, y)
		}
	}
	x, y := fmt.Sprint(a), fmt.Sprint(b)
	if p, err := resource.ParseQuantity(x); err == nil {
		if q, err := resource.ParseQuantity(y); err == nil {
			return p.Cmp(q)
		}
	}
	return cmp.Compare(x, y)
}

func number(v any) (float64, bool) {
	r := reflect.ValueOf(v)
	switch {
	case r.CanInt():
		return float64(r.Int()), true
	case r.CanFloat():
		return r.Float(), true
	}
	return 0, false
}
