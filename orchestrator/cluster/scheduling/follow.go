package scheduling

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"

	"skiff/orchestrator/controller"
	"skiff/store"
)

// follow brings the changes of the store to the cache and the queue, in order.
// It returns when all that exists is there.
func (s *Scheduler) follow(ctx context.Context) (detach func(), err error) {
	var detaches []func()
	detach = func() {
		for _, d := range detaches {
			d()
		}
	}
	for _, f := range []struct {
		resource string
		changed  func(store.Event)
	}{
		// Nodes first, so that it is known of each pod whether it is on one.
		{"nodes", s.nodeChanged},
		{"namespaces", s.namespaceChanged},
		{"poddisruptionbudgets.policy", s.budgetChanged},
		{"pods", s.podChanged},
	} {
		d, err := s.options.Feeds.Of(f.resource).Subscribe(ctx, func(e store.Event) {
			s.mu.Lock()
			defer s.mu.Unlock()
			f.changed(e)
		})
		if err != nil {
			detach()
			return nil, err
		}
		detaches = append(detaches, d)
	}
	return detach, nil
}

func (s *Scheduler) nodeChanged(e store.Event) {
	if object := e.Object.(*corev1.Node); e.Type == watch.Deleted {
		s.nodeGone(object.Name)
	} else {
		s.nodeIs(object)
	}
}

func (s *Scheduler) nodeGone(name string) {
	if n := s.cache.removeNode(name); n != nil {
		s.strand(n)
	}
	s.moved(nil)
}

func (s *Scheduler) nodeIs(object *corev1.Node) {
	n, helps := s.cache.setNode(object)
	if helps {
		s.moved(n)
	} else {
		s.strand(n)
	}
}

func (s *Scheduler) namespaceChanged(e store.Event) {
	object := e.Object.(*corev1.Namespace)
	var changed bool
	if e.Type == watch.Deleted {
		changed = s.cache.removeSpace(object.Name)
	} else {
		changed = s.cache.setSpace(object.Name, labels.Set(object.Labels))
	}
	if changed {
		s.moved(nil)
	}
}

func (s *Scheduler) budgetChanged(e store.Event) {
	name := controller.NameOf(e.Object)
	if budget, ok := e.Object.(*policyv1.PodDisruptionBudget); ok && e.Type != watch.Deleted {
		s.cache.budgets[name] = budget
		return
	}
	delete(s.cache.budgets, name)
}

func (s *Scheduler) podChanged(e store.Event) {
	p := e.Object.(*corev1.Pod)
	if e.Type != watch.Deleted && occupies(p) {
		s.arrived(p)
		return
	}
	if e.Type == watch.Deleted || p.Spec.NodeName != "" {
		if n := s.cache.take(p.UID); n != nil {
			s.moved(n)
		}
	}
	if e.Type == watch.Deleted || !pending(p) {
		s.dismiss(p)
		return
	}
	before, _ := e.Previous.(*corev1.Pod)
	if known := s.cache.nominated[p.UID] != nil; known || p.Status.NominatedNodeName != "" {
		// What this scheduler has decided and not written yet counts, too.
		if before == nil || before.Status.NominatedNodeName != p.Status.NominatedNodeName {
			s.nominate(newPod(p), p.Status.NominatedNodeName)
		}
	}
	if before == nil || !pending(before) || !apiequality.Semantic.DeepEqual(before.Spec, p.Spec) ||
		!apiequality.Semantic.DeepEqual(before.Labels, p.Labels) {
		s.queue.put(p)
	}
}

// arrived takes note of a pod that is on a node.
func (s *Scheduler) arrived(p *corev1.Pod) {
	known, changed, roomier := s.cache.seen(p)
	if !known {
		s.cache.put(newPod(p), p.Spec.NodeName, false)
		changed = true
	}
	if changed || roomier != nil {
		s.moved(roomier)
	}
	s.dismiss(p)
}

// dismiss forgets a pod for which no node is to be found any more.
func (s *Scheduler) dismiss(p *corev1.Pod) {
	name := controller.NameOf(p)
	if e := s.queue.entries[name]; e != nil && e.uid == p.UID {
		s.queue.drop(name)
	}
	if s.cache.nominated[p.UID] != nil {
		s.nominate(&pod{Pod: p}, "")
	}
}

// nominate notes that a pod waits for a node, or for none any more: then there
// may be room for others where it waited.
func (s *Scheduler) nominate(p *pod, node string) {
	if before := s.cache.nominate(p, node); before != nil && before.key != node {
		s.moved(before)
	}
}
