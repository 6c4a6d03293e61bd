package registry

import "sync"

// lifecycle keeps objects out of namespaces that are gone. What makes an object
// holds it shared from before admission looks at the namespace until the object
// is stored; what begins a namespace's termination holds it alone while it
// stores that. So an object either is there before its namespace terminates, and
// goes with it, or is refused: nothing comes in behind the back of the
// controller that empties the namespace.
//
// Under it nothing waits but for a commit and for other writes of services, so
// that it can not be waited for in a circle: no admitter and no validation may
// create or delete.
type lifecycle struct{ lock sync.RWMutex }

// enter lets an object be made. The function it returns is to be called when it
// is stored or refused. What stores nothing, or outside of namespaces, need not
// wait.
//
// A resource quota is made alone: what is being made without it is there when it
// first counts, and whatever comes after is charged.
func (r *Resource) enter(dryRun bool) (left func()) {
	if dryRun || !r.kind.Namespaced {
		return nothing
	}
	lock := &r.registry.lifecycle.lock
	if r.alone {
		lock.Lock()
		return lock.Unlock
	}
	lock.RLock()
	return lock.RUnlock
}

// close begins the termination of a namespace: it waits for the objects that are
// being made, and keeps others waiting until the function it returns is called.
func (l *lifecycle) close() (open func()) {
	l.lock.Lock()
	return l.lock.Unlock
}
