package up

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/clock"

	"skiff/cli/client"
)

// mirror is a copy of the server's workloads, their pods and their replica sets, kept up to date by
// watching.
type mirror struct {
	client    *client.Client
	clock     clock.WithTicker
	workloads []client.Ref

	mu      sync.Mutex
	objects map[string]map[types.UID]*unstructured.Unstructured // by collection
	pods    map[types.UID]*corev1.Pod
	sets    map[types.UID]*appsv1.ReplicaSet
	history
	// errs are why collections could last not be followed.
	errs map[client.Ref]error
	// changed holds a value when something has changed since it was last received from.
	changed chan struct{}
}

func newMirror(c *client.Client, clk clock.WithTicker, workloads []client.Ref) *mirror {
	return &mirror{client: c, clock: clk, workloads: workloads, objects: map[string]map[types.UID]*unstructured.Unstructured{},
		pods: map[types.UID]*corev1.Pod{}, sets: map[types.UID]*appsv1.ReplicaSet{}, history: newHistory(), errs: map[client.Ref]error{}, changed: make(chan struct{}, 1)}
}

// Run follows every collection until ctx ends.
func (m *mirror) Run(ctx context.Context) error {
	collections, err := m.collections()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, r := range collections {
		group.Go(func() error { return m.keep(ctx, r) })
	}
	return group.Wait()
}

// collections are the collections to follow: each kind of workload, and pods, in each namespace.
func (m *mirror) collections() ([]client.Ref, error) {
	catalog, err := m.client.Catalog()
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	var out []client.Ref
	add := func(r client.Ref) {
		r.Name = ""
		if k := collectionKey(r); !seen[k] {
			seen[k] = true
			out = append(out, r)
		}
	}
	for _, w := range m.workloads {
		add(w)
		related := []schema.GroupVersionKind{{Version: "v1", Kind: "Pod"}}
		if w.Mapping.GroupVersionKind.Kind == "Deployment" {
			related = append(related, schema.GroupVersionKind{Group: "apps", Kind: "ReplicaSet"})
		}
		for _, gvk := range related {
			mapping, err := catalog.Kind(gvk)
			if err != nil {
				return nil, err
			}
			add(client.Ref{Mapping: mapping, Namespace: w.Namespace})
		}
	}
	return out, nil
}

func collectionKey(r client.Ref) string { return r.Mapping.Resource.String() + "/" + r.Namespace }

// again is the pause before a collection that could not be followed is tried again.
const again = time.Second

// keep follows one collection. A failure is recorded and retried: the daemon may be restarting.
func (m *mirror) keep(ctx context.Context, r client.Ref) error {
	for {
		err := m.follow(ctx, r)
		if ctx.Err() != nil {
			return nil
		}
		m.note(r, err)
		timer := m.clock.NewTimer(again)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C():
		}
	}
}

// note records why a collection could not be followed, if it could not.
func (m *mirror) note(r client.Ref, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		m.errs[r] = err
	}
	m.poke()
}

// hidden reports whether the objects of a kind in a namespace may not be looked at.
func (m *mirror) hidden(kind, namespace string) bool {
	for r, err := range m.errs {
		if r.Mapping.GroupVersionKind.Kind == kind && r.Namespace == namespace && apierrors.IsForbidden(err) {
			return true
		}
	}
	return false
}

// listed reports whether it is known which objects of a kind there are.
func (m *mirror) listed(r client.Ref) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, known := m.objects[collectionKey(r)]
	return known
}

// trouble is the error of the first collection, by name, that cannot be followed.
func (m *mirror) trouble() error {
	broken := slices.SortedFunc(maps.Keys(m.errs), func(a, b client.Ref) int { return strings.Compare(collectionKey(a), collectionKey(b)) })
	if len(broken) == 0 {
		return nil
	}
	return m.errs[broken[0]]
}

// follow lists a collection and watches it until the server ends the watch.
func (m *mirror) follow(ctx context.Context, r client.Ref) error {
	_, err := m.client.Observe(ctx, r, client.Observer{
		Listed: func(items []unstructured.Unstructured) (bool, error) {
			m.reset(r, items)
			return false, nil
		},
		Changed: func(t watch.EventType, u *unstructured.Unstructured) (bool, error) {
			m.apply(r, t, u)
			return false, nil
		},
	})
	return err
}

func (m *mirror) reset(r client.Ref, items []unstructured.Unstructured) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for uid := range m.objects[collectionKey(r)] {
		delete(m.pods, uid)
		delete(m.sets, uid)
	}
	_, again := m.objects[collectionKey(r)]
	m.objects[collectionKey(r)] = map[types.UID]*unstructured.Unstructured{}
	for i := range items {
		m.put(r, &items[i], !again)
	}
	delete(m.errs, r)
	m.poke()
}

func (m *mirror) apply(r client.Ref, t watch.EventType, u *unstructured.Unstructured) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch t {
	case watch.Deleted:
		delete(m.objects[collectionKey(r)], u.GetUID())
		delete(m.pods, u.GetUID())
		delete(m.sets, u.GetUID())
	case watch.Added, watch.Modified:
		m.put(r, u, false)
	}
	m.poke()
}

// put stores an object; pods and replica sets also as their own types, unless they cannot be
// decoded. first reports whether it is in the collection's first listing.
func (m *mirror) put(r client.Ref, u *unstructured.Unstructured, first bool) {
	m.objects[collectionKey(r)][u.GetUID()] = u
	switch r.Mapping.GroupVersionKind.Kind {
	case "Pod":
		p := &corev1.Pod{}
		if client.Into(u, p) == nil {
			m.pods[p.UID] = p
			m.history.note(p, m.clock.Now(), first)
		}
	case "ReplicaSet":
		rs := &appsv1.ReplicaSet{}
		if client.Into(u, rs) == nil {
			m.sets[rs.UID] = rs
		}
	}
}

func (m *mirror) poke() {
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// snapshot returns the present state; its objects must not be changed.
func (m *mirror) snapshot() (snapshot, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := snapshot{history: m.history.clone()}
	for _, r := range m.workloads {
		w := workload{Ref: r, blind: m.hidden("Pod", r.Namespace) || r.Mapping.GroupVersionKind.Kind == "Deployment" && m.hidden("ReplicaSet", r.Namespace)}
		for _, u := range m.objects[collectionKey(r)] {
			if u.GetName() == r.Name {
				w.value = u
			}
		}
		s.workloads = append(s.workloads, w)
	}
	for _, p := range m.pods {
		s.pods = append(s.pods, p)
	}
	for _, rs := range m.sets {
		s.sets = append(s.sets, rs)
	}
	slices.SortFunc(s.sets, func(a, b *appsv1.ReplicaSet) int { return strings.Compare(a.Name, b.Name) })
	return s, m.trouble()
}
