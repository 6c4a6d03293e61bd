package registry

import "sync"

// lifecycle keeps objects out of namespaces that are gone. What stores a new object holds it shared
// while it looks at the namespace a last time and commits; what begins a namespace's termination holds
// it alone while it stores that. So an object either is there before its namespace terminates, and
// goes with it, or is refused: nothing comes in behind the back of the controller that empties the
// namespace.
//
// Under it nothing waits but for a commit. Admission, which may ask webhooks for seconds, and
// validation come before it.
type lifecycle struct{ lock sync.RWMutex }

// Guard is an Admitter whose refusal must hold at the moment at which an object is made: it is asked
// again then. It answers at once, out of what is stored.
type Guard interface {
	Guard(r Request) error
}

// enter lets a new object be stored, unless a Guard refuses it. The function it returns is to be called
// when the object is stored or refused. What stores nothing, or outside of namespaces, need not wait.
//
// A resource quota is stored alone: what has been stored without it is there when it first counts, and
// whatever comes after is charged.
func (r *Resource) enter(request Request) (left func(), err error) {
	if request.Operation != Create || request.DryRun || !r.kind.Namespaced {
		return nothing, nil
	}
	lock := &r.registry.lifecycle.lock
	left = lock.RUnlock
	if r.alone {
		lock.Lock()
		left = lock.Unlock
	} else {
		lock.RLock()
	}
	if err := r.guard(request); err != nil {
		left()
		return nil, err
	}
	return left, nil
}

func (r *Resource) guard(request Request) error {
	request.Kind = r.kind
	for _, guard := range r.registry.guards {
		if err := guard.Guard(request); err != nil {
			return err
		}
	}
	return nil
}

// close begins the termination of a namespace: it waits for the objects that are being stored, and keeps
// others waiting until the function it returns is called.
func (l *lifecycle) close() (open func()) {
	l.lock.Lock()
	return l.lock.Unlock
}
