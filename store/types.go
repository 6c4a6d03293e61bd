package store

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/clock"
)

// Object is what the store keeps. Every object the store hands out is shared
// with all its other readers and is read-only: DeepCopyObject before a change.
type Object interface {
	runtime.Object
	metav1.Object
}

// Key names one object. Resource is a schema.GroupResource as text: "pods",
// "replicasets.apps". Namespace is empty for cluster-scoped objects.
type Key struct{ Resource, Namespace, Name string }

// String is the key as it appears in errors and logs: pods "default/kubia".
func (k Key) String() string {
	if k.Namespace == "" {
		return fmt.Sprintf("%s %q", k.Resource, k.Name)
	}
	return fmt.Sprintf("%s %q", k.Resource, k.Namespace+"/"+k.Name)
}

// Codec turns objects into the text that is kept on disk and back. Encode is
// called with metadata.resourceVersion empty, by many goroutines at a time, and
// must give JSON.
type Codec interface {
	Encode(Object) ([]byte, error)
	Decode(resource string, data []byte) (Object, error)
}

// IndexFunc gives the values under which an index finds an object. It is called
// again when the object is replaced, so the same object must always give the
// same values.
type IndexFunc func(Object) []string

// Change is one write of a Commit.
type Change struct {
	Key Key
	// Expect is the revision the object must be at; 0: it must not exist.
	Expect uint64
	// Object is the new state; nil deletes. The store keeps a copy of its own
	// and leaves this one alone.
	Object Object
	// Last is, for a delete, the final state that watchers are shown; nil: the
	// state that was stored.
	Last Object
}

// Event is one change as watchers see it.
type Event struct {
	// Type is watch.Added, watch.Modified or watch.Deleted.
	Type watch.EventType
	// Object is the state after the change. For watch.Deleted it is the last
	// state, bearing the deletion's revision.
	Object Object
	// Previous is the state before the change, nil for watch.Added.
	Previous Object
	// Revision is the change's own: no two events share one.
	Revision uint64
}

// Options say where the store lies and what it does with which resource.
type Options struct {
	// Path is the database file. It is made (mode 0600) when it isn't there; its
	// folder must be.
	Path string
	// Codec is required.
	Codec Codec
	// Clock defaults to the real one.
	Clock clock.WithTicker
	// Logger defaults to one that discards.
	Logger *slog.Logger
	// Metrics may be nil.
	Metrics prometheus.Registerer
	// Indexes holds, by resource and by index name, what ByIndex finds.
	Indexes map[string]map[string]IndexFunc
	// OtherIndexes are those of each resource that Indexes does not name.
	OtherIndexes map[string]IndexFunc
	// TTL holds, by resource, the age since the last write at which the store
	// itself deletes an object, within a minute.
	TTL map[string]time.Duration
	// Window is how many events of each resource are kept for watchers; default
	// 10,000. Events older than ten minutes are dropped as well.
	Window int
}
