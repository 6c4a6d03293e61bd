package watch

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/clock"

	"skiff/cli/client"
	"skiff/cli/diagnosis"
	"skiff/cli/pods"
	"skiff/cli/resource"
)

// podList are the pods of a namespace, kept up to date.
type podList struct {
	client    *client.Client
	clock     clock.WithTicker
	namespace string
	// changed is called after each change.
	changed func()

	mu  sync.Mutex
	all map[types.UID]*corev1.Pod
}

// again is the pause before pods that could not be followed are asked for again.
const again = time.Second

// Run follows the pods until ctx ends. The daemon may be away for a while.
func (l *podList) Run(ctx context.Context) error {
	ref, err := pods.Ref(l.client, l.namespace, "")
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		_, _ = l.client.Observe(ctx, ref, client.Observer{Listed: l.reset, Changed: l.apply}) //nolint:errcheck // it is tried again
		timer := l.clock.NewTimer(again)
		select {
		case <-ctx.Done():
		case <-timer.C():
		}
		timer.Stop()
	}
	return nil
}

func (l *podList) reset(items []unstructured.Unstructured) (bool, error) {
	l.mu.Lock()
	l.all = map[types.UID]*corev1.Pod{}
	for i := range items {
		l.put(&items[i])
	}
	l.mu.Unlock()
	l.changed()
	return false, nil
}

func (l *podList) apply(t watch.EventType, u *unstructured.Unstructured) (bool, error) {
	l.mu.Lock()
	delete(l.all, u.GetUID())
	if t != watch.Deleted {
		l.put(u)
	}
	l.mu.Unlock()
	l.changed()
	return false, nil
}

// put stores a pod, unless it cannot be decoded.
func (l *podList) put(u *unstructured.Unstructured) {
	p := &corev1.Pod{}
	if client.Into(u, p) == nil {
		l.all[p.UID] = p
	}
}

// instance is one run of a container.
type instance struct {
	pod *corev1.Pod
	// id is the engine's.
	id string
}

// running are the containers of a name that run in the pods that a selector chooses, by the pods' names.
func (l *podList) running(selector func(*corev1.Pod) bool, container string) []instance {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []instance
	for _, p := range l.all {
		if p.DeletionTimestamp != nil || !selector(p) {
			continue
		}
		for _, s := range diagnosis.Statuses(p) {
			if _, id, ok := strings.Cut(s.ContainerID, "://"); ok && s.Name == container && s.State.Running != nil {
				out = append(out, instance{pod: p, id: id})
			}
		}
	}
	slices.SortFunc(out, func(a, b instance) int { return strings.Compare(a.pod.Name, b.pod.Name) })
	return out
}

// selectorOf chooses the pods of a workload.
func selectorOf(o *unstructured.Unstructured, r client.Ref) (func(*corev1.Pod) bool, error) {
	if o.GetKind() == "Pod" {
		return func(p *corev1.Pod) bool { return p.Name == r.Name }, nil
	}
	selector, err := pods.Selector(resource.Object{Ref: r, Value: o})
	if err != nil {
		return nil, err
	}
	return func(p *corev1.Pod) bool { return selector.Matches(labels.Set(p.Labels)) }, nil
}
