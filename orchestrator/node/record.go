package node

import (
	"fmt"
	"maps"
	"net/netip"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"skiff/orchestrator/node/pod"
	"skiff/probe"
)

// record is what the agent knows of a pod beside the object in the store. Only its own methods, in
// the files record*.go, take its lock.
type record struct {
	uid             types.UID
	namespace, name string

	mu       sync.Mutex
	attempts pod.Attempts
	// Most of the maps below are empty most of the time, and nil then: a node may have very many
	// pods.

	// operations are under way. Starts, stops and pulls are listed under the container's name,
	// removals under the container's ID on the engine, the deletion of the pod under "".
	operations map[string]*operation
	// startFailures, backoffs and images are by container.
	startFailures map[string]pod.StartFailure
	backoffs      map[string]pod.Backoff
	images        map[string]pod.Image
	// pulls are the back-offs of pulls that failed, by container.
	pulls map[string]*pullBackoff
	addr  netip.Addr
	// avoid is an address that turned out to be in use by somebody else.
	avoid netip.Addr
	// rejected says why the node did not admit the pod; nil if it did, or has not decided.
	rejected *pod.Rejection
	admitted bool
	// allocation is what is allocated for the pod, nil as long as nothing was decided, and resize how
	// far a change of it has come.
	allocation *pod.Allocation
	resize     pod.Resize
	// prepared says that the volumes have been set up, and written has the versions of the objects
	// from which their files were written.
	prepared bool
	written  map[string]string
	// probed are the containers that the prober knows about. The map is replaced, never changed.
	probed map[string]probing
	// backoffEvents are the attempts of each container whose back-off there has been an event for.
	// deadlineEvent and outageEvent say the same of an exceeded deadline and of an outage of the
	// engine, which has a number.
	backoffEvents map[string]int
	deadlineEvent bool
	outageEvent   int
	// seen is when the agent first saw the pod, and startBegun says that it has begun to start
	// something of it since. unreported is when a container started that the status does not show
	// yet. They are for the metrics.
	seen, unreported time.Time
	startBegun       bool

	// references and generation belong to records: they are guarded by its lock.
	references []objectRef
	generation int64
}

// pullBackoff is a pull that failed and how long to wait before the next one.
type pullBackoff struct {
	pod.PullFailure
	backoff pod.Backoff
}

// probing is what the prober has been told about a container.
type probing struct {
	key probe.Key
	// stopping says that only its readiness is probed, because it is being stopped.
	stopping bool
}

// put sets an entry of a map that may be nil.
func put[V any](m *map[string]V, key string, v V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[key] = v
}

// drop deletes an entry, and sets a map that is then empty to nil.
func drop[V any](m *map[string]V, key string) {
	delete(*m, key)
	if len(*m) == 0 {
		*m = nil
	}
}

// observe copies what the record holds into a view. It returns the containers that are probed and
// the versions from which the volumes were written.
func (r *record) observe(v *pod.View) (probed map[string]probing, written map[string]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v.Addr = r.addr
	v.Attempts = r.attempts.Clone()
	for name, o := range r.operations {
		put(&v.Operations, name, o.Operation)
	}
	v.StartFailures = maps.Clone(r.startFailures)
	v.Backoffs = maps.Clone(r.backoffs)
	v.Images = maps.Clone(r.images)
	v.Allocation, v.Resize = r.allocation, r.resize
	for name, p := range r.pulls {
		put(&v.PullFailures, name, p.PullFailure)
	}
	return r.probed, r.written
}

// admission returns what has been decided about the pod, if anything has.
func (r *record) admission() (rejected *pod.Rejection, decided bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rejected, r.rejected != nil || r.admitted
}

// decide records whether the node admits the pod: it does if rejected is nil.
func (r *record) decide(rejected *pod.Rejection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rejected, r.admitted = rejected, rejected == nil
}

// begun reports whether the pod has been admitted, or anything has been done for it.
func (r *record) begun() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.admitted || len(r.attempts) > 0 || len(r.operations) > 0
}

// address returns the pod's IP: the one it has, the one its status shows if that can still be had,
// or a new one.
func (r *record) address(from Addresses, shown string) (netip.Addr, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.addr.IsValid() {
		return r.addr, nil
	}
	had, err := netip.ParseAddr(shown)
	if err == nil && had != r.avoid && from.Reserve(string(r.uid), had) == nil {
		r.addr = had
		return had, nil
	}
	addr, err := from.Allocate(string(r.uid))
	if err != nil {
		return netip.Addr{}, fmt.Errorf("allocating an address for the pod: %w", err)
	}
	r.addr = addr
	return addr, nil
}

// currentAddress is the pod's IP, invalid if it has none.
func (r *record) currentAddress() netip.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.addr
}

// reserveAddress gives a pod that has no address the one it had under an earlier daemon.
func (r *record) reserveAddress(from Addresses, addr netip.Addr) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.addr.IsValid() || !addr.IsValid() {
		return nil
	}
	if err := from.Reserve(string(r.uid), addr); err != nil {
		return err
	}
	r.addr = addr
	return nil
}

// releaseAddress gives the pod's address back.
func (r *record) releaseAddress(to Addresses) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addr = netip.Addr{}
	to.Release(string(r.uid))
}

// avoidAddress gives back an address that somebody else uses. The pod does not ask for it again.
func (r *record) avoidAddress(to Addresses) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.avoid = r.addr
	r.addr = netip.Addr{}
	to.Release(string(r.uid))
}

// volumesPrepared reports whether the pod's volumes have been set up.
func (r *record) volumesPrepared() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.prepared
}

// volumesWritten records the versions of the objects from which the volumes' files were written.
func (r *record) volumesWritten(versions map[string]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.prepared, r.written = true, versions
}

// firstBackoffEvent reports whether there has been no event yet for the back-off after an attempt
// of a container, and records that there is one now.
func (r *record) firstBackoffEvent(container string, attempt int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	before, ok := r.backoffEvents[container]
	put(&r.backoffEvents, container, attempt)
	return !ok || before != attempt
}

// firstDeadlineEvent is the same for an exceeded deadline.
func (r *record) firstDeadlineEvent() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := !r.deadlineEvent
	r.deadlineEvent = true
	return first
}

// firstOutageEvent is the same for an outage of the engine.
func (r *record) firstOutageEvent(outage int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := r.outageEvent != outage
	r.outageEvent = outage
	return first
}

// probeChange is a container about which the prober must be told something. A zero key says that it
// was, or is, not probed.
type probeChange struct {
	container string
	old, new  probing
}

// setProbed records which containers are to be probed, and returns what that changes.
func (r *record) setProbed(want map[string]probing) []probeChange {
	r.mu.Lock()
	defer r.mu.Unlock()
	var changes []probeChange
	for name, old := range r.probed {
		if want[name] != old {
			changes = append(changes, probeChange{name, old, want[name]})
		}
	}
	for name, p := range want {
		if _, ok := r.probed[name]; !ok {
			changes = append(changes, probeChange{name, probing{}, p})
		}
	}
	r.probed = want
	return changes
}
