package scheduling

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
)

// cache is what is known of nodes and of the pods on them. It follows the store
// and is ahead of it in one thing: a pod for which a node was chosen counts as
// there while its binding is being written. It is guarded by its owner's lock.
type cache struct {
	nodes map[string]*node
	// list are the nodes that exist, by name.
	list   []*node
	placed map[types.UID]*place
}

// place is where a pod is. It is assumed until the store has said so.
type place struct {
	node    string
	pod     *pod
	assumed bool
}

func newCache() *cache {
	return &cache{nodes: map[string]*node{}, placed: map[types.UID]*place{}}
}

// setNode takes over a node's state, and tells whether pods that fitted nowhere
// might fit now.
func (c *cache) setNode(object *corev1.Node) (helps bool) {
	n := c.node(object.Name)
	before := n.Node
	n.set(object)
	if before == nil {
		at, _ := slices.BinarySearchFunc(c.list, object.Name, func(n *node, name string) int { return strings.Compare(n.Name, name) })
		c.list = slices.Insert(c.list, at, n)
	}
	return before == nil || matters(before, object)
}

// matters tells whether a change of a node can have let a pod in that it kept
// out. That it is cordoned, tainted, no longer ready or smaller can not.
func matters(before, now *corev1.Node) bool {
	return before.Spec.Unschedulable && !now.Spec.Unschedulable ||
		!apiequality.Semantic.DeepEqual(before.Labels, now.Labels) ||
		untainted(taintsOf(before), taintsOf(now)) ||
		grown(before.Status.Allocatable, now.Status.Allocatable)
}

// untainted tells whether a taint that keeps pods out has gone.
func untainted(before, now []corev1.Taint) bool {
	return slices.ContainsFunc(before, func(old corev1.Taint) bool {
		return old.Effect != corev1.TaintEffectPreferNoSchedule && !slices.ContainsFunc(now, func(t corev1.Taint) bool {
			return t.Key == old.Key && t.Value == old.Value && t.Effect == old.Effect
		})
	})
}

// grown tells whether there is more of something.
func grown(before, now corev1.ResourceList) bool {
	for name, q := range now {
		if q.Cmp(before[name]) > 0 {
			return true
		}
	}
	return false
}

func (c *cache) removeNode(name string) {
	n := c.nodes[name]
	if n == nil || n.Node == nil {
		return
	}
	c.list = slices.DeleteFunc(c.list, func(o *node) bool { return o == n })
	n.Node = nil
	c.drop(name, n)
}

// node is the node of a name, made when it is not known.
func (c *cache) node(name string) *node {
	n := c.nodes[name]
	if n == nil {
		n = newNode()
		c.nodes[name] = n
	}
	return n
}

// drop forgets a node of which nothing is left.
func (c *cache) drop(name string, n *node) {
	if n.Node == nil && len(n.pods) == 0 {
		delete(c.nodes, name)
	}
}

// put places a pod on the node it names, from where it was.
func (c *cache) put(p *pod, on string, assumed bool) {
	c.take(p.UID)
	c.placed[p.UID] = &place{node: on, pod: p, assumed: assumed}
	c.node(on).add(p)
}

// take removes a pod from where it is, and tells whether it was anywhere.
func (c *cache) take(uid types.UID) bool {
	at := c.placed[uid]
	if at == nil {
		return false
	}
	delete(c.placed, uid)
	n := c.nodes[at.node]
	n.remove(at.pod)
	c.drop(at.node, n)
	return true
}

// seen takes over a new state of a pod that is counted where it is already. That
// never changes, nor what it asks for. The old state is let go, so that the cache
// holds no more objects than the store.
func (c *cache) seen(p *corev1.Pod) bool {
	at := c.placed[p.UID]
	if at == nil || at.node != p.Spec.NodeName {
		return false
	}
	at.pod.Pod, at.assumed = p, false
	return true
}

// forget takes back an assumption, and tells whether there was one.
func (c *cache) forget(uid types.UID) bool {
	at := c.placed[uid]
	return at != nil && at.assumed && c.take(uid)
}
