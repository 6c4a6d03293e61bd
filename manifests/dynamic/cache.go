package dynamic

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"skiff/store"
)

// cache keeps what has been made of stored objects until they change.
type cache[T any] struct {
	mu   sync.Mutex
	made map[types.UID]entry[T]
}

type entry[T any] struct {
	version string
	value   T
}

// all returns what the objects of a snapshot make, in order. Concurrent requests wait for one another
// to compile what is new.
func (c *cache[T]) all(s store.Snapshot, compile func(store.Object) T) []T {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.made == nil {
		c.made = map[types.UID]entry[T]{}
	}
	out := make([]T, 0, s.Len())
	seen := make(map[types.UID]bool, s.Len())
	s.Ascend("", store.Key{}, func(o store.Object) bool {
		known, ok := c.made[o.GetUID()]
		if !ok || known.version != o.GetResourceVersion() {
			known = entry[T]{o.GetResourceVersion(), compile(o)}
			c.made[o.GetUID()] = known
		}
		seen[o.GetUID()] = true
		out = append(out, known.value)
		return true
	})
	if len(c.made) > len(seen) {
		for uid := range c.made {
			if !seen[uid] {
				delete(c.made, uid)
			}
		}
	}
	return out
}
