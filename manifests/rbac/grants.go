package rbac

import (
	"sync"

	rbacv1 "k8s.io/api/rbac/v1"

	"skiff/store"
)

// subject is whom bindings may be about.
type subject struct {
	bindings   string // the resource of the bindings
	namespace  string
	kind, name string
}

// grant is what one binding grants.
type grant struct {
	from  *source
	rules []rbacv1.PolicyRule
	err   error // there is no such role
}

// maxSubjects bounds how many subjects are kept: access reviews may ask about anybody.
const maxSubjects = 4096

// grants keeps what bindings grant to each subject that was asked about, for as long as roles and
// bindings are as they were.
type grants struct {
	mu    sync.RWMutex
	as    [4]store.Snapshot // how roles and bindings were
	known map[subject][]grant
}

// of returns what is granted to a subject, which find looks up if it is not known.
func (g *grants) of(state Reader, s subject, find func(subject) []grant) []grant {
	now := [4]store.Snapshot{state.Snapshot(roles), state.Snapshot(clusterRoles), state.Snapshot(roleBindings), state.Snapshot(clusterRoleBindings)}
	g.mu.RLock()
	found, ok := g.known[s]
	current := same(g.as, now)
	g.mu.RUnlock()
	if ok && current {
		return found
	}
	found = find(s) // of now or of something newer
	g.mu.Lock()
	defer g.mu.Unlock()
	if !same(g.as, now) || len(g.known) >= maxSubjects {
		g.as, g.known = now, map[subject][]grant{}
	}
	g.known[s] = found
	return found
}

func same(a, b [4]store.Snapshot) bool {
	for i := range a {
		if !a[i].Same(b[i]) {
			return false
		}
	}
	return true
}
