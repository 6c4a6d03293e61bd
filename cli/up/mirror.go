package up

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/clock"

	"skiff/cli/client"
)

// mirror holds what the server has of the workloads, their pods and their replica sets, and follows it.
type mirror struct {
	client    *client.Client
	clock     clock.WithTicker
	workloads []client.Ref

	mu      sync.Mutex
	objects map[string]map[types.UID]*unstructured.Unstructured // by collection
	pods    map[types.UID]*corev1.Pod
	sets    map[types.UID]*appsv1.ReplicaSet
	err     error
	// changed holds a value when something has changed since it was last received from.
	changed chan struct{}
}

func newMirror(c *client.Client, clk clock.WithTicker, workloads []client.Ref) *mirror {
	return &mirror{client: c, clock: clk, workloads: workloads, objects: map[string]map[types.UID]*unstructured.Unstructured{},
		pods: map[types.UID]*corev1.Pod{}, sets: map[types.UID]*appsv1.ReplicaSet{}, changed: make(chan struct{}, 1)}
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

// collections are what has to be followed: each kind of workload, and pods, in each namespace.
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

// again is how long to wait before a collection that could not be followed is tried once more.
const again = time.Second

// keep follows one collection. Failing to is remembered and tried again: a daemon may be starting anew.
func (m *mirror) keep(ctx context.Context, r client.Ref) error {
	for {
		err := m.follow(ctx, r)
		if ctx.Err() != nil {
			return nil
		}
		m.note(err)
		timer := m.clock.NewTimer(again)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C():
		}
	}
}

func (m *mirror) note(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
	m.poke()
}

// follow lists a collection and watches it until the server ends the watch.
func (m *mirror) follow(ctx context.Context, r client.Ref) error {
	items, version, err := m.client.List(ctx, r, client.ListOptions{})
	if err != nil {
		return err
	}
	m.reset(r, items)
	w, err := m.client.Watch(ctx, r, client.ListOptions{ResourceVersion: version})
	if err != nil {
		return err
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-w.ResultChan():
			u, isObject := e.Object.(*unstructured.Unstructured)
			if !ok || e.Type == watch.Error || !isObject {
				return nil
			}
			m.apply(r, e.Type, u)
		}
	}
}

func (m *mirror) reset(r client.Ref, items []unstructured.Unstructured) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for uid := range m.objects[collectionKey(r)] {
		delete(m.pods, uid)
		delete(m.sets, uid)
	}
	m.objects[collectionKey(r)] = map[types.UID]*unstructured.Unstructured{}
	for i := range items {
		m.put(r, &items[i])
	}
	m.err = nil
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
		m.put(r, u)
	}
	m.poke()
}

// put keeps an object; pods and replica sets as their own types too. One that cannot be read as its type is left out there.
func (m *mirror) put(r client.Ref, u *unstructured.Unstructured) {
	m.objects[collectionKey(r)][u.GetUID()] = u
	switch r.Mapping.GroupVersionKind.Kind {
	case "Pod":
		p := &corev1.Pod{}
		if client.Into(u, p) == nil {
			m.pods[p.UID] = p
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

// snapshot is everything as it is now; the objects in it are not to be changed.
func (m *mirror) snapshot() (snapshot, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var s snapshot
	for _, r := range m.workloads {
		w := workload{Ref: r}
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
	return s, m.err
}
