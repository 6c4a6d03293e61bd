package store

// Snapshot is the state of one resource at one revision. It is a value, it never
// changes, and it costs nothing to take or to keep but the objects it alone still
// holds.
type Snapshot struct {
	resource string
	revision uint64
	table    *table // nil: no object of this resource was ever there
}

// Snapshot gives the present state of resource.
func (s *Store) Snapshot(resource string) Snapshot {
	return s.view.Load().snapshot(resource)
}

func (v *view) snapshot(resource string) Snapshot {
	return Snapshot{resource: resource, revision: v.revision, table: v.tables[resource]}
}

// Revision is the store's revision at the time of the snapshot; a watch since
// then continues it.
func (s Snapshot) Revision() uint64 { return s.revision }

// Same reports whether no object has been written or deleted between two snapshots of a resource.
func (s Snapshot) Same(other Snapshot) bool {
	return s.resource == other.resource && s.table == other.table
}

// Len is the number of objects, in all namespaces.
func (s Snapshot) Len() int {
	if s.table == nil {
		return 0
	}
	return s.table.objects.Len()
}

// Ascend calls fn with each object, ordered by namespace and name, until fn
// gives false. A namespace other than "" confines it to that one. It begins
// behind after, whose object need not exist; the zero Key is the beginning.
func (s Snapshot) Ascend(namespace string, after Key, fn func(Object) bool) {
	if s.table == nil {
		return
	}
	from := &entry{namespace: namespace}
	behind := &entry{namespace: after.Namespace, name: after.Name}
	if entryLess(from, behind) {
		from = behind
	}
	s.table.objects.AscendGreaterOrEqual(from, func(e *entry) bool {
		if namespace != "" && e.namespace != namespace {
			return false
		}
		if !entryLess(behind, e) {
			return true // after itself
		}
		return fn(e.object)
	})
}
