package store

import (
	"fmt"
	"maps"
	"slices"
)

// view is the whole state at one revision, as readers see it. It never changes.
type view struct {
	revision uint64
	tables   map[string]*table
}

func (v *view) lookup(k Key) *entry { return v.tables[k.Resource].get(k.Namespace, k.Name) }

// Revision is the newest revision that is durable and visible.
func (s *Store) Revision() uint64 { return s.view.Load().revision }

// Get gives the object at k, read-only.
func (s *Store) Get(k Key) (Object, bool) {
	e := s.view.Load().lookup(k)
	if e == nil {
		return nil, false
	}
	return e.object, true
}

// ByIndex gives the objects of resource that the index named so holds under
// value, ordered by namespace and name, read-only. It panics when Options
// declare no such index.
func (s *Store) ByIndex(resource, index, value string) []Object {
	position := s.schema(resource).index(index)
	if position < 0 {
		panic(fmt.Sprintf("store: resource %q has no index %q", resource, index))
	}
	t := s.view.Load().tables[resource]
	if t == nil {
		return nil
	}
	return t.find(position, value)
}

// schema gives what Options say about resource. It depends on nothing else, so
// each call makes the same.
func (s *Store) schema(resource string) *tableSchema {
	if known, ok := s.schemas[resource]; ok {
		return known
	}
	return &tableSchema{resource: resource, indexes: s.others}
}

// index is the position of the index called name, or -1.
func (t *tableSchema) index(name string) int {
	return slices.IndexFunc(t.indexes, func(i index) bool { return i.name == name })
}

// schemasOf sorts the indexes, so that positions in a table are fixed.
func schemasOf(indexes map[string]map[string]IndexFunc) map[string]*tableSchema {
	schemas := make(map[string]*tableSchema, len(indexes))
	for resource, named := range indexes {
		schemas[resource] = &tableSchema{resource: resource, indexes: sorted(named)}
	}
	return schemas
}

func sorted(named map[string]IndexFunc) (indexes []index) {
	for _, name := range slices.Sorted(maps.Keys(named)) {
		indexes = append(indexes, index{name, named[name]})
	}
	return indexes
}
