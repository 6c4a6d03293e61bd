package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// commit is one call of Commit on its way through the writer.
type commit struct {
	changes []change
	done    chan error // takes one answer without blocking the writer
}

// change is a Change made ready by the caller's goroutine, so that the writer has
// neither to copy nor to encode.
type change struct {
	key      Key
	expect   uint64
	deletion bool
	object   Object // the store's own copy: the new state, or the last one of a deletion
	json     string // of object; empty for a deletion
}

// Commit makes all changes or none, and returns when they are durable and
// visible. It gives the new states, for a deletion the last one bearing the
// deletion's revision, all read-only. A change that does not meet what it expects
// refuses the whole: ErrExists, ErrNotFound, ErrConflict.
//
// When ctx ends before the writer has taken the commit up, it is withdrawn, with
// ctx's error. After that Commit waits for the outcome, so that an error always
// means that nothing was changed (but for a disk that fails in the moment of
// writing: then memory keeps the old state, and the next start shows which of the
// two the disk has).
func (s *Store) Commit(ctx context.Context, changes ...Change) ([]Object, error) {
	began := s.clock.Now()
	objects, err := s.commit(ctx, changes)
	s.metrics.committed(s.clock.Since(began), err)
	return objects, err
}

func (s *Store) commit(ctx context.Context, changes []Change) ([]Object, error) {
	if len(changes) == 0 {
		return nil, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("commit %s: %w", changes[0].Key, err)
	}
	c, err := s.prepare(changes)
	if err != nil {
		return nil, err
	}
	select {
	case s.queue <- c:
	case <-ctx.Done():
		return nil, fmt.Errorf("commit %s: %w", c.changes[0].key, ctx.Err())
	case <-s.stopped:
		return nil, fmt.Errorf("commit %s: %w", c.changes[0].key, ErrClosed)
	}
	if err := <-c.done; err != nil {
		return nil, err
	}
	objects := make([]Object, len(c.changes))
	for i := range c.changes {
		objects[i] = c.changes[i].object
	}
	return objects, nil
}

// prepare copies and encodes. It refuses at once what the writer would refuse
// anyway: what is visible is durable, and revisions only grow, so a change that
// does not meet what it expects now never will.
func (s *Store) prepare(changes []Change) (*commit, error) {
	c := &commit{changes: make([]change, len(changes)), done: make(chan error, 1)}
	now, keys := s.view.Load(), make(map[Key]bool, len(changes))
	for i, asked := range changes {
		if err := valid(asked); err != nil {
			return nil, fmt.Errorf("commit %s: %w", asked.Key, err)
		}
		if keys[asked.Key] {
			return nil, fmt.Errorf("commit %s: changed twice in one commit", asked.Key)
		}
		keys[asked.Key] = true
		stored := now.lookup(asked.Key)
		if err := check(asked.Key, asked.Expect, stored); err != nil {
			return nil, err
		}
		ready, err := s.ready(asked, stored)
		if err != nil {
			return nil, fmt.Errorf("commit %s: %w", asked.Key, err)
		}
		c.changes[i] = ready
	}
	return c, nil
}

// valid refuses what can only be a mistake of the caller.
func valid(c Change) error {
	if c.Key.Resource == "" || c.Key.Name == "" {
		return errors.New("key without resource or name")
	}
	if c.Object == nil && c.Expect == 0 {
		return errors.New("deletion without the revision it expects")
	}
	for _, object := range []Object{c.Object, c.Last} {
		if object != nil && (object.GetNamespace() != c.Key.Namespace || object.GetName() != c.Key.Name) {
			return fmt.Errorf("the object is %q", object.GetNamespace()+"/"+object.GetName())
		}
	}
	return nil
}

// ready copies the object and encodes it, without resourceVersion (see the
// package's comment).
func (s *Store) ready(c Change, stored *entry) (change, error) {
	ready := change{key: c.Key, expect: c.Expect, deletion: c.Object == nil}
	if ready.deletion {
		last := c.Last
		if last == nil {
			last = stored.object
		}
		ready.object = last.DeepCopyObject().(Object)
		return ready, nil
	}
	ready.object = c.Object.DeepCopyObject().(Object)
	ready.object.SetResourceVersion("")
	json, err := s.codec.Encode(ready.object)
	if err != nil {
		return change{}, fmt.Errorf("encode: %w", err)
	}
	ready.json = strings.TrimSuffix(string(json), "\n")
	return ready, nil
}

// check compares what a change expects with what is stored; nil: nothing is.
func check(k Key, expect uint64, stored *entry) error {
	switch {
	case stored == nil && expect == 0:
		return nil
	case stored == nil:
		return fmt.Errorf("%s: %w", k, ErrNotFound)
	case expect == 0:
		return fmt.Errorf("%s: %w", k, ErrExists)
	case stored.revision != expect:
		return ErrConflict{Key: k, Have: stored.revision}
	}
	return nil
}

func formatRevision(revision uint64) string { return strconv.FormatUint(revision, 10) }
