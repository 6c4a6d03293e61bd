package scheduling

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// decision is what is to be written about a pod: the node it gets, or why it
// gets none and which pods are to make room for it.
type decision struct {
	entry *entry
	pod   *corev1.Pod
	since time.Time
	// node is empty for a pod that fits nowhere.
	node string
	// message is why it does not.
	message string
	// nominated is where it will fit once the victims have left.
	nominated string
	victims   []*corev1.Pod
	// displaced are pods of a lower priority that waited for the same node.
	displaced []*corev1.Pod
}

// decide finds a node for a pod and counts it as being there, or as waiting: one
// step, so that nothing that would help slips in between. It returns nil when
// nothing is to be written.
func (s *Scheduler) decide(e *entry, now time.Time) *decision {
	current, err := s.options.Pods.Get(e.name.Namespace, e.name.Name)
	if err != nil || current.UID != e.uid || !pending(current) || s.cache.placed[e.uid] != nil {
		s.queue.drop(e.name)
		return nil
	}
	if e.hint && !fitsSomewhere(e.pod, s.cache) && !s.cache.stranded(e) {
		s.queue.done(e)
		return nil
	}
	p := newPod(current)
	d := &decision{entry: e, pod: current, since: now}
	s.turn++
	node, failure, plan := s.find(p)
	if failure == nil {
		d.node = node
		s.cache.nominate(p, "")
		s.cache.put(p, node, true)
		s.moved(nil)
		return d
	}
	s.makeRoom(d, p, failure, plan)
	d.message = failure.Error()
	s.queue.failed(e, p, failure.social(), now)
	return d
}

// find finds a node for a pod, or says why there is none and where others may make room. It looks
// again when the node has become worse for pods than was known.
func (s *Scheduler) find(p *pod) (node string, failure *unfit, plan *preemption) {
	for {
		if node, failure = choose(p, s.cache, s.turn); failure == nil {
			if s.worse(node) {
				continue
			}
			return node, nil, nil
		}
		if plan = preempt(s.cache, failure, s.turn); plan == nil || !s.worse(plan.node.key) {
			return "", failure, plan
		}
	}
}

// worse takes over a node as it is in the store, and reports whether it may keep pods out that it
// let in before. The feeds of nodes and of pods do not wait for each other: who cordons a node and
// then makes a pod must not find the pod there.
func (s *Scheduler) worse(name string) bool {
	known := s.cache.nodes[name].Node
	current, err := s.options.Nodes.Get("", name)
	if err != nil {
		s.nodeGone(name)
		return true
	}
	if current.ResourceVersion == known.ResourceVersion {
		return false
	}
	s.nodeIs(current)
	// What would have to change back for the better has become worse.
	return current.UID != known.UID || matters(current, known)
}

// makeRoom has pods leave, by a plan, for one that fits nowhere.
func (s *Scheduler) makeRoom(d *decision, p *pod, failure *unfit, plan *preemption) {
	waitsFor := s.cache.nominated[p.UID]
	if !failure.leaving {
		d.entry.victims = nil
	}
	if plan == nil {
		// It goes on waiting only while those that it preempted leave.
		if waitsFor != nil && !failure.leaving {
			s.nominate(p, "")
		} else if waitsFor != nil {
			d.nominated = waitsFor.key
		}
		return
	}
	for _, v := range plan.victims {
		d.victims = append(d.victims, v.Pod)
		d.entry.victims = append(d.entry.victims, v.UID)
	}
	d.nominated = plan.node.key
	for _, other := range plan.node.nominated {
		if other.priority < p.priority {
			d.displaced = append(d.displaced, other.Pod)
		}
	}
	s.nominate(p, plan.node.key)
	for _, other := range d.displaced {
		s.nominate(&pod{Pod: other}, "")
	}
}
