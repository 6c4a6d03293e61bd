package store

import (
	"slices"

	"github.com/google/btree"
)

// degree of the trees: up to 2*degree-1 pointers a node, about one kilobyte to
// copy for each level a write passes.
const degree = 32

// entry is one object at one revision. It never changes once it is in a table.
type entry struct {
	namespace, name string
	object          Object
	revision        uint64
	updated         int64 // last write, Unix milliseconds
}

func (e *entry) key(resource string) Key { return Key{resource, e.namespace, e.name} }

func entryLess(a, b *entry) bool {
	if a.namespace != b.namespace {
		return a.namespace < b.namespace
	}
	return a.name < b.name
}

// indexEntry files an entry under one of its values.
type indexEntry struct {
	value string
	*entry
}

func indexLess(a, b indexEntry) bool {
	if a.value != b.value {
		return a.value < b.value
	}
	return entryLess(a.entry, b.entry)
}

// index is one named index of a resource.
type index struct {
	name   string
	values IndexFunc
}

// table holds the objects of one resource. The writer alone changes tables, and
// only such as nobody else has seen: it works on a clone and publishes another.
type table struct {
	objects *btree.BTreeG[*entry]
	indexes []*btree.BTreeG[indexEntry] // as schema.indexes
	schema  *tableSchema
	changed uint64 // revision of the last change
}

// tableSchema is what all versions of a table share.
type tableSchema struct {
	resource string
	indexes  []index
}

func newTable(schema *tableSchema) *table {
	t := &table{objects: btree.NewG(degree, entryLess), schema: schema}
	for range schema.indexes {
		t.indexes = append(t.indexes, btree.NewG(degree, indexLess))
	}
	return t
}

// clone is O(1): both sides copy the nodes they change from now on.
func (t *table) clone() *table {
	c := &table{objects: t.objects.Clone(), schema: t.schema, changed: t.changed}
	c.indexes = make([]*btree.BTreeG[indexEntry], len(t.indexes))
	for i, tree := range t.indexes {
		c.indexes[i] = tree.Clone()
	}
	return c
}

// get also answers for the nil table, which is empty.
func (t *table) get(namespace, name string) *entry {
	if t == nil {
		return nil
	}
	e, _ := t.objects.Get(&entry{namespace: namespace, name: name})
	return e
}

func (t *table) put(e *entry) {
	old, _ := t.objects.ReplaceOrInsert(e)
	for i, index := range t.schema.indexes {
		values := index.values(e.object)
		t.unindex(i, old, values)
		for _, v := range values {
			t.indexes[i].ReplaceOrInsert(indexEntry{v, e})
		}
	}
}

func (t *table) remove(e *entry) {
	old, _ := t.objects.Delete(e)
	for i := range t.schema.indexes {
		t.unindex(i, old, nil)
	}
}

// unindex takes old out of the i-th index, except from under the values that
// stay.
func (t *table) unindex(i int, old *entry, stay []string) {
	if old == nil {
		return
	}
	for _, v := range t.schema.indexes[i].values(old.object) {
		if !slices.Contains(stay, v) {
			t.indexes[i].Delete(indexEntry{v, old})
		}
	}
}

// find gives the objects that the i-th index holds under value, by namespace and
// name.
func (t *table) find(i int, value string) []Object {
	var found []Object
	t.indexes[i].AscendGreaterOrEqual(indexEntry{value, &entry{}}, func(e indexEntry) bool {
		if e.value != value {
			return false
		}
		found = append(found, e.object)
		return true
	})
	return found
}
