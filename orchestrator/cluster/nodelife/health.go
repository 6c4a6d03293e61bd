package nodelife

import (
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// pulses is when each node was last heard from, by this process's clock: the
// times that nodes write are theirs, and those written before a restart say
// nothing about now.
type pulses struct {
	mu    sync.Mutex
	nodes map[string]*pulse
}

// pulse is what a node last said, and when that was noticed.
type pulse struct {
	uid    types.UID
	ready  corev1.ConditionStatus // empty while the node has said nothing of it
	status metav1.Time            // the heartbeat in its status
	heard  time.Time
	// renewed is its Lease's. It is kept apart: a Lease may be seen before its
	// node.
	renewed metav1.MicroTime
}

func newPulses() *pulses { return &pulses{nodes: map[string]*pulse{}} }

func (p *pulses) of(name string) *pulse {
	if p.nodes[name] == nil {
		p.nodes[name] = &pulse{}
	}
	return p.nodes[name]
}

// node takes in a node's status. A new node counts as heard from when it is
// first seen. That its conditions became Unknown is no word of the node's.
func (p *pulses) node(n *corev1.Node, now time.Time) (isNew bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.of(n.Name)
	if at.news(n) {
		at.heard = now
	}
	isNew = at.uid != n.UID
	at.uid = n.UID
	at.ready, at.status = said(n)
	return isNew
}

// news reports whether a node, as it is now, has said something that was not noticed yet.
func (at *pulse) news(n *corev1.Node) bool {
	ready, heartbeat := said(n)
	return at.uid != n.UID || ready != at.ready && ready != corev1.ConditionUnknown || !heartbeat.Equal(&at.status)
}

// said is whether a node says that it is ready, empty if it has said nothing, and when it said so.
func said(n *corev1.Node) (ready corev1.ConditionStatus, heartbeat metav1.Time) {
	if c := condition(&n.Status, corev1.NodeReady); c != nil {
		return c.Status, c.LastHeartbeatTime
	}
	return "", metav1.Time{}
}

// lease takes in a node's Lease: renewing it is a heartbeat, also by a clock that was set back
// since.
func (p *pulses) lease(l *coordinationv1.Lease, now time.Time) {
	if l.Spec.RenewTime == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.of(l.Name)
	if !at.renewed.Equal(l.Spec.RenewTime) {
		at.renewed, at.heard = *l.Spec.RenewTime, now
	}
}

func (p *pulses) forget(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.nodes, name)
}

// all is when each of the nodes was last heard from. A node that is listed may have said something
// of which the feed has not told yet: that is heard now.
func (p *pulses) all(nodes []*corev1.Node, now time.Time) map[string]time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	heard := make(map[string]time.Time, len(nodes))
	for _, n := range nodes {
		if at := p.nodes[n.Name]; at != nil && !at.news(n) {
			heard[n.Name] = at.heard
		} else {
			heard[n.Name] = now
		}
	}
	return heard
}

// heard is when a node was last heard from.
func (p *pulses) heard(name string) (at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.nodes[name]; known != nil {
		at = known.heard
	}
	return at
}

// forgive counts every node as heard from now.
func (p *pulses) forgive(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, at := range p.nodes {
		at.heard = now
	}
}

func condition(s *corev1.NodeStatus, kind corev1.NodeConditionType) *corev1.NodeCondition {
	for i := range s.Conditions {
		if s.Conditions[i].Type == kind {
			return &s.Conditions[i]
		}
	}
	return nil
}
