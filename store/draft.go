package store

import (
	"maps"
	"time"

	"k8s.io/apimachinery/pkg/watch"
)

// draft is the next view in the making: what the commits of one transaction
// change, on clones. It is published whole or forgotten.
type draft struct {
	base     map[string]*table
	touched  map[string]*table
	schema   func(resource string) *tableSchema
	revision uint64
	updated  int64
	events   map[string][]Event
	rows     []change // in the order to write them
	numbers  []uint64 // their revisions
}

func newDraft(base map[string]*table, schema func(string) *tableSchema, revision uint64, now time.Time) *draft {
	return &draft{
		base:     base,
		touched:  map[string]*table{},
		schema:   schema,
		revision: revision,
		updated:  now.UnixMilli(),
		events:   map[string][]Event{},
	}
}

// add takes a commit in, or refuses it and stays as it was.
func (d *draft) add(c *commit) error {
	for _, change := range c.changes {
		if err := check(change.key, change.expect, d.lookup(change.key)); err != nil {
			return err
		}
	}
	for _, change := range c.changes {
		d.apply(change)
	}
	return nil
}

func (d *draft) lookup(k Key) *entry {
	t, ok := d.touched[k.Resource]
	if !ok {
		t = d.base[k.Resource]
	}
	return t.get(k.Namespace, k.Name)
}

// table gives the clone that may be changed.
func (d *draft) table(resource string) *table {
	t, ok := d.touched[resource]
	if ok {
		return t
	}
	if base, ok := d.base[resource]; ok {
		t = base.clone()
	} else {
		t = newTable(d.schema(resource))
	}
	d.touched[resource] = t
	return t
}

func (d *draft) apply(c change) {
	d.revision++
	c.object.SetResourceVersion(formatRevision(d.revision))
	event := Event{Type: watch.Added, Object: c.object, Revision: d.revision}
	t := d.table(c.key.Resource)
	if old := t.get(c.key.Namespace, c.key.Name); old != nil {
		event.Type, event.Previous = watch.Modified, old.object
	}
	e := &entry{
		namespace: c.key.Namespace,
		name:      c.key.Name,
		object:    c.object,
		revision:  d.revision,
		updated:   d.updated,
	}
	if c.deletion {
		event.Type = watch.Deleted
		t.remove(e)
	} else {
		t.put(e)
	}
	t.changed = d.revision
	d.events[c.key.Resource] = append(d.events[c.key.Resource], event)
	d.rows = append(d.rows, c)
	d.numbers = append(d.numbers, d.revision)
}

// tables gives the tables after the draft, twice: those the writer goes on from,
// and those that readers get, which nobody clones or changes any more.
func (d *draft) tables(published map[string]*table) (own, public map[string]*table) {
	own, public = maps.Clone(d.base), maps.Clone(published)
	for resource, t := range d.touched {
		own[resource], public[resource] = t, t.clone()
	}
	return own, public
}
