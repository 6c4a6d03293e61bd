package testbed

import (
	"fmt"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"skiff/store"
)

// Faults are what a property test has found wrong. The test and the handlers of its feeds may add to
// them.
type Faults struct {
	mu    sync.Mutex
	lines []string
}

// Blame adds a fault.
func (f *Faults) Blame(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lines = append(f.lines, fmt.Sprintf(format, args...))
}

// Found are the faults, empty if there are none.
func (f *Faults) Found() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.lines, ", ")
}

// Departures follow the pods of a bed.
type Departures struct {
	left func(before *corev1.Pod, rest map[string]*corev1.Pod)

	mu     sync.Mutex
	pods   map[string]*corev1.Pod
	byTest map[types.UID]bool
}

// FollowDepartures calls left with each pod that somebody other than the test takes away, as it was
// before it was gone or terminating, and with the pods that there are now.
func (b *Bed) FollowDepartures(left func(before *corev1.Pod, rest map[string]*corev1.Pod)) *Departures {
	b.t.Helper()
	d := &Departures{left: left, pods: map[string]*corev1.Pod{}, byTest: map[types.UID]bool{}}
	if _, err := b.Feeds.Of("pods").Subscribe(b.t.Context(), d.see); err != nil {
		b.t.Fatal(err)
	}
	return d
}

func (d *Departures) see(e store.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now, _ := e.Object.(*corev1.Pod)
	before, known := d.pods[now.Name]
	if e.Type == watch.Deleted {
		delete(d.pods, now.Name)
	} else {
		d.pods[now.Name] = now
	}
	leaves := e.Type == watch.Deleted || now.DeletionTimestamp != nil
	if known && leaves && before.DeletionTimestamp == nil && !d.byTest[before.UID] {
		d.left(before, d.pods)
	}
}

// ByTest notes that the test is about to take a pod away.
func (d *Departures) ByTest(p *corev1.Pod) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.byTest[p.UID] = true
}
