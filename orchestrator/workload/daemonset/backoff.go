package daemonset

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// The wait before a failed pod is replaced doubles with each that fails on the
// node, as upstream's failedPodsBackoff (k8s.io/kubernetes cmd/kube-controller-manager).
const (
	firstBackoff = time.Second
	maxBackoff   = 15 * time.Minute
)

// backoffs remember how often pods have failed of late. It is the one thing that a
// look at a set takes from memory: a daemon that starts again begins with
// firstBackoff.
type backoffs struct {
	mu   sync.Mutex
	sets map[types.UID]map[string]failures
}

// failures are those on one node, since a generation of the set.
type failures struct {
	generation int64
	wait       time.Duration
	last       time.Time
}

// until is when a failed pod may be replaced, for each node where one has failed
// since the set was last changed.
func (b *backoffs) until(set types.UID, generation int64) map[string]time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[string]time.Time{}
	for node, f := range b.sets[set] {
		if f.generation == generation {
			out[node] = f.last.Add(f.wait)
		}
	}
	return out
}

// failed notes that a failed pod is replaced.
func (b *backoffs) failed(set types.UID, generation int64, node string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sets == nil {
		b.sets = map[types.UID]map[string]failures{}
	}
	if b.sets[set] == nil {
		b.sets[set] = map[string]failures{}
	}
	f := b.sets[set][node]
	if f.generation != generation || f.wait == 0 || now.Sub(f.last) > 2*maxBackoff {
		f = failures{generation: generation, wait: firstBackoff}
	} else {
		f.wait = min(2*f.wait, maxBackoff)
	}
	f.last = now
	b.sets[set][node] = f
}

// forget drops what is remembered of a set that is gone.
func (b *backoffs) forget(set types.UID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.sets, set)
}
