package node

import (
	"cmp"
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/docker"
	"skiff/probe"
)

// record is what the agent knows of a pod beside the object in the store.
type record struct {
	uid             types.UID
	namespace, name string

	mu sync.Mutex
	// attempts are the runs of each container, newest first.
	attempts map[string][]*attempt
	// What follows is mostly empty, and nil then: a node may have very many pods.
	// works are under way; a stop or start bears the container's name, a removal the container's ID.
	works    map[string]*running
	failures map[string]failure
	crashes  map[string]backoff
	images   map[string]imageView
	pulls    map[string]*pullRecord
	addr     netip.Addr
	// avoid is an address that somebody else turned out to have.
	avoid netip.Addr
	// refused says why the node does not take the pod, nil if it does.
	refused *refusal
	// admitted says that the node has taken the pod.
	admitted bool
	// prepared says that the volumes have been made.
	prepared bool
	// written are the versions of what the volumes were made from.
	written map[string]string
	// told is the run of each container about whose back-off there has been an event.
	told map[string]int
	// probed are the containers that are being asked.
	probed map[string]probing
	// overdue says that the event of an exceeded deadline has been recorded.
	overdue bool
	// outage is the engine's last outage that the pod has been told of.
	outage int
	// refs are the ConfigMaps and Secrets that the pod uses, as of its generation.
	refs       []objectRef
	generation int64
}

// put sets an entry of a map that may be nil.
func put[V any](m *map[string]V, key string, v V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[key] = v
}

// drop takes an entry away, and an empty map with it.
func drop[V any](m *map[string]V, key string) {
	delete(*m, key)
	if len(*m) == 0 {
		*m = nil
	}
}

// running is a work and how to give it up.
type running struct {
	work
	cancel context.CancelFunc
}

// pullRecord is the back-off of a container's pulls.
type pullRecord struct {
	pullFailure
	backoff backoff
}

// probing is what the prober has been told about a container.
type probing struct {
	key probe.Key
	// stopping says that only its readiness is asked, because it is being stopped.
	stopping bool
}

// objectRef names a ConfigMap or Secret.
type objectRef struct{ kind, namespace, name string }

// record returns the pod's record, and makes one if there is none.
func (a *Agent) record(uid types.UID, namespace, name string) *record {
	a.mu.Lock()
	defer a.mu.Unlock()
	r, ok := a.records[uid]
	if !ok {
		r = &record{
			uid: uid, namespace: namespace, name: name,
			attempts: map[string][]*attempt{},
		}
		a.records[uid] = r
	}
	return r
}

// known returns the pod's record, nil if there is none.
func (a *Agent) known(uid types.UID) *record {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.records[uid]
}

func (a *Agent) allRecords() []*record {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Values(a.records))
}

// uses notes what the pod takes values from.
func (a *Agent) uses(r *record, pod *corev1.Pod) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.generation == pod.Generation && r.generation != 0 {
		return
	}
	a.unuse(r)
	r.refs, r.generation = references(pod), pod.Generation
	for _, ref := range r.refs {
		if a.users[ref] == nil {
			a.users[ref] = map[types.UID]struct{}{}
		}
		a.users[ref][r.uid] = struct{}{}
	}
}

// unuse forgets what the pod takes values from. a.mu is held.
func (a *Agent) unuse(r *record) {
	for _, ref := range r.refs {
		delete(a.users[ref], r.uid)
		if len(a.users[ref]) == 0 {
			delete(a.users, ref)
		}
	}
}

// forget drops all that is known of a pod.
func (a *Agent) forget(r *record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.records, r.uid)
	a.unuse(r)
}

func (a *Agent) usersOf(ref objectRef) []types.UID {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Keys(a.users[ref]))
}

// references are the ConfigMaps, Secrets and claims a pod uses.
func references(pod *corev1.Pod) []objectRef {
	var refs []objectRef
	add := func(kind, name string) {
		if ref := (objectRef{kind, pod.Namespace, name}); name != "" && !slices.Contains(refs, ref) {
			refs = append(refs, ref)
		}
	}
	for _, c := range allContainers(&pod.Spec) {
		for _, from := range c.EnvFrom {
			if from.ConfigMapRef != nil {
				add("configmap", from.ConfigMapRef.Name)
			}
			if from.SecretRef != nil {
				add("secret", from.SecretRef.Name)
			}
		}
		for _, v := range c.Env {
			if v.ValueFrom != nil && v.ValueFrom.ConfigMapKeyRef != nil {
				add("configmap", v.ValueFrom.ConfigMapKeyRef.Name)
			}
			if v.ValueFrom != nil && v.ValueFrom.SecretKeyRef != nil {
				add("secret", v.ValueFrom.SecretKeyRef.Name)
			}
		}
	}
	for i := range pod.Spec.Volumes {
		addVolumeReferences(&pod.Spec.Volumes[i], add)
	}
	return refs
}

func addVolumeReferences(v *corev1.Volume, add func(kind, name string)) {
	if v.ConfigMap != nil {
		add("configmap", v.ConfigMap.Name)
	}
	if v.Secret != nil {
		add("secret", v.Secret.SecretName)
	}
	if v.PersistentVolumeClaim != nil {
		add("claim", v.PersistentVolumeClaim.ClaimName)
	}
	if v.Projected == nil {
		return
	}
	for _, s := range v.Projected.Sources {
		if s.ConfigMap != nil {
			add("configmap", s.ConfigMap.Name)
		}
		if s.Secret != nil {
			add("secret", s.Secret.Name)
		}
	}
}

// saw takes in a look at a container, unless a later moment of its life is known already.
func (r *record) saw(c docker.Container, id identity) *attempt {
	if a := r.find(c.ID); a != nil {
		if a.newer(c) {
			c.OOMKilled = c.OOMKilled || a.OOMKilled
			a.Container, a.removed, a.settled = c, false, true
			a.imageID = cmp.Or(a.imageID, c.ImageID)
		}
		return a
	}
	a := newAttempt(c, id)
	r.attempts[id.container] = trim(insert(r.attempts[id.container], a))
	return a
}

// imageOf is how the status calls the image of a new run: as the engine has told when it was last asked, or as that of
// another run of the same image.
func (r *record) imageOf(who identity) string {
	if id := r.images[who.container].id; id != "" {
		return id
	}
	for _, run := range r.attempts[who.container] {
		if run.hash == who.hash && run.imageID != "" {
			return run.imageID
		}
	}
	return ""
}

// insert keeps runs newest first.
func insert(runs []*attempt, a *attempt) []*attempt {
	i := slices.IndexFunc(runs, func(other *attempt) bool { return other.number < a.number })
	if i < 0 {
		i = len(runs)
	}
	return slices.Insert(slices.Clone(runs), i, a)
}

// trim forgets runs that the engine no longer has and that no status shows.
func trim(runs []*attempt) []*attempt {
	if len(runs) <= 2 {
		return runs
	}
	kept := slices.Clone(runs[:2])
	for _, a := range runs[2:] {
		if !a.removed {
			kept = append(kept, a)
		}
	}
	return kept
}

// find returns the run of a container on the engine, nil if it is not known.
func (r *record) find(id string) *attempt {
	for _, runs := range r.attempts {
		for _, a := range runs {
			if a.ID == id && id != "" {
				return a
			}
		}
	}
	return nil
}

// gone notes that the engine no longer has a container. A run that never began leaves no trace.
func (r *record) gone(a *attempt, now time.Time) {
	name := a.nameOf()
	if a.neverStarted() {
		r.drop(a)
		return
	}
	if a.State == docker.Running {
		a.State, a.ExitCode, a.FinishedAt = docker.Exited, exitKilled, now
	}
	a.removed, a.settled = true, true
	r.attempts[name] = trim(r.attempts[name])
}

// drop forgets a run.
func (r *record) drop(a *attempt) {
	name := a.nameOf()
	r.attempts[name] = slices.DeleteFunc(slices.Clone(r.attempts[name]), func(b *attempt) bool { return a == b })
	if len(r.attempts[name]) == 0 {
		delete(r.attempts, name)
	}
}

// died notes the end of a run that an event tells of, before the engine has been asked for the rest.
func (r *record) died(a *attempt, exitCode int, at time.Time) {
	if !a.running() && !a.neverStarted() {
		return
	}
	a.State, a.ExitCode, a.FinishedAt, a.settled = docker.Exited, exitCode, at, false
}
