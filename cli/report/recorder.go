package report

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/clock"

	"skiff/cli/client"
)

// Recorder follows everything that happens on a server, by its own clock: the server's tells whole
// seconds. Only what had happened before it began to look is taken from the server's times.
type Recorder struct {
	client    *client.Client
	clock     clock.WithTicker
	namespace string // "" for all
	logs      *logs  // nil where none are kept
	most      limits

	mu        sync.Mutex
	workloads map[types.UID]*Workload
	pods      map[types.UID]*Pod
	counts    map[types.UID]int32 // how often an Event had been counted when it was last seen
	list      []Event
	// owners are the owners of ReplicaSets, through which pods belong to Deployments, and of Jobs.
	owners map[types.UID]string
	order  []types.UID
	feed
}

// NewRecorder returns a recorder that has seen nothing. It keeps all there is, and the logs.
func NewRecorder(c *client.Client, clk clock.WithTicker) *Recorder {
	return &Recorder{client: c, clock: clk, workloads: map[types.UID]*Workload{}, pods: map[types.UID]*Pod{}, counts: map[types.UID]int32{}, owners: map[types.UID]string{},
		logs: newLogs(c), feed: newFeed()}
}

// NewLive returns a recorder of a namespace, or of all of them with "", for those who look at it while
// things happen (Since). It keeps no logs and forgets what is long over, so that it can run for days.
func NewLive(c *client.Client, clk clock.WithTicker, namespace string) *Recorder {
	r := NewRecorder(c, clk)
	r.logs, r.namespace, r.most = nil, namespace, liveLimits
	return r
}

// kinds are those whose objects are followed.
var kinds = []schema.GroupVersionKind{
	{Group: "apps", Version: "v1", Kind: "Deployment"}, {Group: "apps", Version: "v1", Kind: "StatefulSet"}, {Group: "apps", Version: "v1", Kind: "DaemonSet"},
	{Group: "apps", Version: "v1", Kind: "ReplicaSet"}, {Version: "v1", Kind: "ReplicationController"},
	{Group: "batch", Version: "v1", Kind: "CronJob"}, {Group: "batch", Version: "v1", Kind: "Job"},
	{Version: "v1", Kind: "Pod"}, {Version: "v1", Kind: "Event"},
}

// Run records until ctx ends.
func (r *Recorder) Run(ctx context.Context) error {
	catalog, err := r.client.Catalog()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, kind := range kinds {
		m, err := catalog.Kind(kind)
		if err != nil {
			continue // a server that does not have it
		}
		r.expect(m.Resource.Resource)
		group.Go(func() error { return r.follow(ctx, group, client.Ref{Mapping: m, Namespace: r.namespace}) })
	}
	if r.logs == nil {
		group.Go(func() error { return r.review(ctx) })
	}
	return group.Wait()
}

// pause is the time before a collection that could not be followed is tried again; it grows to
// mostPause while that fails.
const (
	pause     = 200 * time.Millisecond
	mostPause = 2 * time.Second
)

func (r *Recorder) follow(ctx context.Context, group *errgroup.Group, ref client.Ref) error {
	wait := pause
	for ctx.Err() == nil {
		// Whatever goes wrong, the daemon may be on its way up or down: it is tried as long as ctx lasts.
		_, err := r.client.Observe(ctx, ref, client.Observer{
			Listed: func(items []unstructured.Unstructured) (bool, error) {
				wait = pause
				r.seeAll(ctx, group, ref, items)
				return false, nil
			},
			Changed: func(t watch.EventType, u *unstructured.Unstructured) (bool, error) {
				r.see(ctx, group, t, u)
				return false, nil
			},
		})
		if err != nil && ctx.Err() == nil {
			r.trouble(ref.Mapping.Resource.Resource, err)
		}
		timer := r.clock.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C():
		}
		timer.Stop()
		wait = min(2*wait, mostPause)
	}
	return nil
}

// seeAll takes down all objects of a kind. What is not among them has gone while nobody looked.
func (r *Recorder) seeAll(ctx context.Context, group *errgroup.Group, ref client.Ref, items []unstructured.Unstructured) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.tell()
	r.listed(ref.Mapping.Resource.Resource)
	now, there := r.clock.Now(), map[types.UID]bool{}
	if ref.Mapping.GroupVersionKind.Kind == "Event" {
		slices.SortStableFunc(items, func(a, b unstructured.Unstructured) int { return cmp.Compare(lastSeen(&a), lastSeen(&b)) })
	}
	for i := range items {
		there[items[i].GetUID()] = true
		r.take(ctx, group, look{watch.Added, now, true}, &items[i])
	}
	r.endOthers(ref.Mapping.GroupVersionKind.Kind, there, now)
}

// look is how an object was seen. first reports that it may have been there for long.
type look struct {
	kind  watch.EventType
	now   time.Time
	first bool
}

func (l look) deleted() bool { return l.kind == watch.Deleted }

// see takes an object's state down.
func (r *Recorder) see(ctx context.Context, group *errgroup.Group, t watch.EventType, u *unstructured.Unstructured) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.tell()
	r.take(ctx, group, look{kind: t, now: r.clock.Now()}, u)
}

func (r *Recorder) take(ctx context.Context, group *errgroup.Group, l look, u *unstructured.Unstructured) {
	switch u.GetKind() {
	case "Event":
		e := &corev1.Event{}
		if client.Into(u, e) == nil {
			r.seeEvent(e, l)
		}
	case "Pod":
		p := &corev1.Pod{}
		if client.Into(u, p) != nil {
			return
		}
		r.seePod(p, l)
		if !l.deleted() && r.logs != nil {
			r.logs.follow(ctx, group, p)
		}
	default:
		r.seeWorkload(u, l)
	}
}

// endOthers ends what is said to be there still, and is not.
func (r *Recorder) endOthers(kind string, there map[types.UID]bool, now time.Time) {
	for uid, w := range r.workloads {
		if w.Kind == kind && w.Ended == nil && !there[uid] {
			r.endWorkload(w, now)
		}
	}
	if kind != "Pod" {
		return
	}
	for uid, p := range r.pods {
		if p.Ended == nil && !there[uid] {
			r.endPod(p, now)
		}
	}
}
