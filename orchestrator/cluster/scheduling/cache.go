package scheduling

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// cache is what is known of nodes and of the pods on them. It follows the store
// and is ahead of it in two things: a pod for which a node was chosen counts as
// there while its binding is being written, and so does the nomination of one
// that waits for others to make room. It is guarded by its owner's lock.
type cache struct {
	nodes map[string]*node
	// list are the nodes that exist, by name.
	list []*node
	// zoned: some node says in which zone it is.
	zoned  bool
	placed map[types.UID]*place
	// nominated are the nodes that pods wait for, by the pod.
	nominated map[types.UID]*node
	census    census
	// spaces are the namespaces' labels.
	spaces  map[string]labels.Set
	budgets map[types.NamespacedName]*policyv1.PodDisruptionBudget
}

// place is where a pod is. It is assumed until the store has said so.
type place struct {
	node    string
	pod     *pod
	assumed bool
}

func newCache() *cache {
	return &cache{
		nodes: map[string]*node{}, placed: map[types.UID]*place{}, nominated: map[types.UID]*node{},
		census: newCensus(), spaces: map[string]labels.Set{},
		budgets: map[types.NamespacedName]*policyv1.PodDisruptionBudget{},
	}
}

// setNode takes over a node's state, and reports whether pods that fitted nowhere
// might fit now.
func (c *cache) setNode(object *corev1.Node) (n *node, helps bool) {
	n = c.node(object.Name)
	before := n.Node
	n.set(object)
	if before == nil {
		at, _ := slices.BinarySearchFunc(c.list, object.Name, func(n *node, name string) int { return strings.Compare(n.Name, name) })
		c.list = slices.Insert(c.list, at, n)
	}
	c.zoned = c.zoned || object.Labels[corev1.LabelTopologyZone] != ""
	return n, before == nil || matters(before, object)
}

// matters reports whether a change of a node can have let a pod in that it kept
// out. That it is cordoned, tainted, no longer ready or smaller can not.
func matters(before, now *corev1.Node) bool {
	return before.Spec.Unschedulable && !now.Spec.Unschedulable ||
		!maps.Equal(before.Labels, now.Labels) ||
		untainted(taintsOf(before), taintsOf(now)) ||
		grown(before.Status.Allocatable, now.Status.Allocatable)
}

// untainted reports whether a taint that keeps pods out has gone.
func untainted(before, now []corev1.Taint) bool {
	return slices.ContainsFunc(before, func(old corev1.Taint) bool {
		return old.Effect != corev1.TaintEffectPreferNoSchedule && !slices.ContainsFunc(now, func(t corev1.Taint) bool {
			return t.Key == old.Key && t.Value == old.Value && t.Effect == old.Effect
		})
	})
}

// grown reports whether there is more of something.
func grown(before, now corev1.ResourceList) bool {
	for name, q := range now {
		if q.Cmp(before[name]) > 0 {
			return true
		}
	}
	return false
}

// removeNode takes note that a node is gone, and returns it if it was there.
func (c *cache) removeNode(name string) *node {
	n := c.nodes[name]
	if n == nil || n.Node == nil {
		return nil
	}
	c.list = slices.DeleteFunc(c.list, func(o *node) bool { return o == n })
	n.Node = nil
	c.drop(n)
	return n
}

// node is the node of a name, made when it is not known.
func (c *cache) node(name string) *node {
	n := c.nodes[name]
	if n == nil {
		n = newNode(name)
		c.nodes[name] = n
	}
	return n
}

// drop forgets a node of which nothing is left.
func (c *cache) drop(n *node) {
	if n.Node == nil && len(n.pods) == 0 && len(n.nominated) == 0 {
		delete(c.nodes, n.key)
	}
}

// put places a pod on the node it names, from where it was.
func (c *cache) put(p *pod, on string, assumed bool) {
	c.take(p.UID)
	c.placed[p.UID] = &place{node: on, pod: p, assumed: assumed}
	c.enter(p, c.node(on))
}

// take removes a pod from where it is, and tells from where; nil is nowhere.
func (c *cache) take(uid types.UID) *node {
	at := c.placed[uid]
	if at == nil {
		return nil
	}
	delete(c.placed, uid)
	n := c.nodes[at.node]
	c.leave(at.pod, n)
	c.drop(n)
	return n
}

// enter counts a pod on a node, and leave does no longer.
func (c *cache) enter(p *pod, n *node) {
	n.add(p)
	c.census.count(p, n, 1)
}

func (c *cache) leave(p *pod, n *node) {
	n.remove(p)
	c.census.count(p, n, -1)
}

// seen takes over a new state of a pod that is counted where it is already. It
// reports whether it is, whether what other pods may ask of it is another, and on
// which node there is more room because it has been resized, nil for none. The old
// state is let go, so that the cache holds no more objects than the store.
func (c *cache) seen(p *corev1.Pod) (known, changed bool, roomier *node) {
	at := c.placed[p.UID]
	if at == nil || at.node != p.Spec.NodeName {
		return false, false, nil
	}
	at.assumed = false
	old := at.pod
	same := old.Generation == p.Generation && maps.Equal(old.Labels, p.Labels) && old.group == groupOf(p) &&
		(old.DeletionTimestamp == nil) == (p.DeletionTimestamp == nil)
	// Only a pod that was changed can have been resized; when that comes into force is in its status.
	if same && (p.Generation <= 1 || requestsOf(p).equal(old.requests)) {
		old.Pod = p
		return true, false, nil
	}
	now := newPod(p)
	c.put(now, at.node, false)
	if now.requests.milliCPU < old.requests.milliCPU || now.requests.memory < old.requests.memory {
		roomier = c.node(at.node)
	}
	return true, !same, roomier
}

// forget takes back an assumption, and tells of which node; nil is of none.
func (c *cache) forget(uid types.UID) *node {
	if at := c.placed[uid]; at == nil || !at.assumed {
		return nil
	}
	return c.take(uid)
}

// nominate notes for which node a pod waits; none is the empty name. It returns
// the node for which it waited before, nil for none.
func (c *cache) nominate(p *pod, name string) *node {
	before := c.nominated[p.UID]
	if before != nil {
		delete(c.nominated, p.UID)
		delete(before.nominated, p.UID)
		c.drop(before)
	}
	if name != "" {
		n := c.node(name)
		c.nominated[p.UID] = n
		n.nominated[p.UID] = p
	}
	return before
}

// setSpace takes over a namespace's labels, and reports whether it or they are new.
// The feeds of namespaces and of pods do not wait for each other, so that a pod
// may be known before its namespace is and after it no longer is. What was counted
// by other labels is counted anew when it is next asked for: a pod that was
// counted with the old ones and is let go with the new would leave a wrong count.
func (c *cache) setSpace(name string, now labels.Set) (changed bool) {
	before, known := c.spaces[name]
	if known && maps.Equal(before, now) {
		return false
	}
	c.spaces[name] = now
	clear(c.census.tallies)
	return true
}

// removeSpace forgets a namespace, and reports whether it was known.
func (c *cache) removeSpace(name string) (changed bool) {
	if _, known := c.spaces[name]; !known {
		return false
	}
	delete(c.spaces, name)
	clear(c.census.tallies)
	return true
}
