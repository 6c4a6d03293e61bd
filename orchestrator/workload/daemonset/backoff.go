package daemonset

import (
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/orchestrator/controller"
)

// The wait before a failed pod is replaced doubles with each that fails on the
// node, as upstream's failedPodsBackoff (k8s.io/kubernetes cmd/kube-controller-manager).
const (
	firstBackoff = time.Second
	maxBackoff   = 15 * time.Minute
)

// backoffs remember how often pods have failed of late. They are the one thing that a look at a set
// takes from memory: a daemon that starts again begins with firstBackoff.
type backoffs struct {
	mu   sync.Mutex
	sets map[types.NamespacedName]byNode
}

// byNode are the failures of one set's pods on each node.
type byNode struct {
	set    types.UID
	failed map[string]failures
}

// failures are those on one node, since a generation of the set.
type failures struct {
	generation int64
	wait       time.Duration
	last       time.Time
}

// until is when a failed pod may be replaced, for each node where one has failed
// since the set was last changed.
func (b *backoffs) until(set *appsv1.DaemonSet) map[string]time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[string]time.Time{}
	known := b.sets[controller.NameOf(set)]
	if known.set != set.UID {
		return out
	}
	for node, f := range known.failed {
		if f.generation == set.Status.ObservedGeneration {
			out[node] = f.last.Add(f.wait)
		}
	}
	return out
}

// failed notes that a failed pod is replaced.
func (b *backoffs) failed(set *appsv1.DaemonSet, node string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sets == nil {
		b.sets = map[types.NamespacedName]byNode{}
	}
	key, generation := controller.NameOf(set), set.Status.ObservedGeneration
	if b.sets[key].set != set.UID {
		b.sets[key] = byNode{set.UID, map[string]failures{}}
	}
	f := b.sets[key].failed[node]
	if f.generation != generation || f.wait == 0 || now.Sub(f.last) > 2*maxBackoff {
		f = failures{generation: generation, wait: firstBackoff}
	} else {
		f.wait = min(2*f.wait, maxBackoff)
	}
	f.last = now
	b.sets[key].failed[node] = f
}

// forget drops what is remembered of a set that is gone or going.
func (b *backoffs) forget(set types.NamespacedName) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.sets, set)
}
