package scheduling

import (
	"fmt"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// decideOn is the node that a pod gets, or the message that says why it gets none.
func decideOn(c *cache, pod string) string {
	node, failure := choose(newPod(makePod(pod)), c, 0)
	if failure == nil {
		return node
	}
	preempt(c, failure, 0)
	return failure.Error()
}

func TestChoose(t *testing.T) {
	const helpless = " preemption: 0/%[1]d nodes are available: %[1]d Preemption is not helpful for scheduling."
	for _, c := range []struct {
		name  string
		state []string
		pod   string
		want  string // the node's name, or the message
	}{
		{"no node", nil, "p", "no nodes available to schedule pods"},
		{"the only node", []string{"node a"}, "p", "a"},
		{"selector", []string{"node a", "node b disk=ssd"}, "p select=disk:ssd", "b"},
		{"selector of nothing", []string{"node a"}, "p select=disk:ssd",
			"0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector." + fmt.Sprintf(helpless, 1)},
		{"required affinity", []string{"node a disk=hdd", "node b disk=ssd"}, "p require=disk:ssd,nvme", "b"},
		{"any term will do", []string{"node a disk=hdd", "node b disk=tape"}, "p require=disk:ssd require=disk:tape", "b"},
		{"by name", []string{"node a", "node b"}, "p field=metadata.name:b", "b"},
		{"by a name there is none of", []string{"node a", "node b"}, "p field=metadata.name:c",
			"0/2 nodes are available: 2 node(s) didn't satisfy plugin(s) [NodeAffinity]." + fmt.Sprintf(helpless, 2)},
		{"by a name whose node will not do", []string{"node a", "node b cordoned"}, "p field=metadata.name:b",
			"0/2 nodes are available: 1 node(s) didn't satisfy plugin(s) [NodeAffinity], 1 node(s) were unschedulable." + fmt.Sprintf(helpless, 2)},
		{"names that exclude each other", []string{"node a"}, "p both=a,b",
			"0/1 nodes are available: pod affinity terms conflict." + fmt.Sprintf(helpless, 1)},
		{"cordoned", []string{"node a cordoned"}, "p",
			"0/1 nodes are available: 1 node(s) were unschedulable." + fmt.Sprintf(helpless, 1)},
		{"cordoned, tolerated", []string{"node a cordoned"}, "p tolerates=node.kubernetes.io/unschedulable", "a"},
		{"tainted", []string{"node a taint=x:NoSchedule", "node b taint=x:NoExecute"}, "p",
			"0/2 nodes are available: 2 node(s) had untolerated taint(s)." + fmt.Sprintf(helpless, 2)},
		{"tainted, tolerated", []string{"node a taint=x:NoSchedule", "node b taint=y:NoExecute"}, "p tolerates=x", "a"},
		{"not ready", []string{"node a ready=False"}, "p",
			"0/1 nodes are available: 1 node(s) had untolerated taint(s)." + fmt.Sprintf(helpless, 1)},
		{"not ready, tolerated", []string{"node a ready=False"}, "p tolerates=node.kubernetes.io/not-ready", "a"},
		{"unreachable", []string{"node a ready=Unknown"}, "p tolerates=node.kubernetes.io/not-ready",
			"0/1 nodes are available: 1 node(s) had untolerated taint(s)." + fmt.Sprintf(helpless, 1)},
		{"better without a taint to be avoided", []string{"node a taint=x:PreferNoSchedule", "node b cpu=1"}, "p", "b"},
		{"preferred", []string{"node a", "node b disk=ssd", "q on=b cpu=100m"}, "p prefer=disk:ssd", "b"},
		{"emptier", []string{"node a", "node b", "q on=a cpu=1 memory=1Gi"}, "p", "b"},
		{"pods that ask for nothing count too", []string{"node a", "node b", "q on=a"}, "p", "b"},
		{"too small", []string{"node a cpu=2 memory=1Gi"}, "p cpu=3 memory=2Gi",
			"0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory." + fmt.Sprintf(helpless, 1)},
		{"too full", []string{"node a cpu=2", "q on=a cpu=1500m"}, "p cpu=1",
			"0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."},
		{"just enough", []string{"node a cpu=2", "q on=a cpu=1500m"}, "p cpu=500m", "a"},
		{"asks for nothing and fits a full node", []string{"node a cpu=2", "q on=a cpu=2"}, "p", "a"},
		{"too many pods", []string{"node a pods=1", "q on=a"}, "p",
			"0/1 nodes are available: 1 Too many pods. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."},
		{"a resource no node has", []string{"node a"}, "p example.com/gpu=1",
			"0/1 nodes are available: 1 Insufficient example.com/gpu." + fmt.Sprintf(helpless, 1)},
		{"port taken", []string{"node a", "q on=a port=127.0.0.1/80"}, "p port=/80",
			"0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."},
		{"port taken by the pod that it replaces", []string{"node a", "old on=a port=/80 port=/443 version=web/1"}, "new port=/443 port=/80 version=web/2",
			"0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod." +
				" Deployment web may not be able to surge: the pod that this one replaces has hostPort 80 until this one is ready. Set its strategy to Recreate, or maxSurge to 0 and maxUnavailable to 1."},
		{"port taken by the pod that it replaces, on a node that will not do anyway", []string{"node a cordoned", "old on=a port=/80 version=web/1"}, "new port=/80 version=web/2",
			"0/1 nodes are available: 1 node(s) were unschedulable." + fmt.Sprintf(helpless, 1)},
		{"port taken by its like", []string{"node a", "p on=a port=/80 version=web/1"}, "q port=/80 version=web/1",
			"0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."},
		{"port taken by another deployment's", []string{"node a", "p on=a port=/80 version=api/1"}, "q port=/80 version=web/2",
			"0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."},
		{"port taken on another address", []string{"node a", "q on=a port=127.0.0.1/80"}, "p port=127.0.0.2/80", "a"},
		{"port free on another node", []string{"node a", "node b", "q on=a port=0.0.0.0/80"}, "p port=/80", "b"},
		{"many reasons", []string{"node a cordoned", "node b cpu=1", "node c ready=False", "node d cpu=2", "q on=d cpu=1"}, "p cpu=2",
			"0/4 nodes are available: 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable, 2 Insufficient cpu." +
				" preemption: 0/4 nodes are available: 1 No preemption victims found for incoming pod, 3 Preemption is not helpful for scheduling."},
		{"never preempts", []string{"node a cordoned"}, "p never-preempts",
			"0/1 nodes are available: 1 node(s) were unschedulable. preemption: not eligible due to preemptionPolicy=Never."},
		{"preempts", []string{"node a cpu=1", "q on=a cpu=1"}, "p cpu=1 priority=10",
			"0/1 nodes are available: 1 Insufficient cpu. preemption: found a potential placement for pod on node a, preempting 1 victims"},
		{"a pod on a node that is not there", []string{"node a", "q on=b"}, "p", "a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := decideOn(makeCache(c.state...), c.pod)
			if got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestEquallyGoodNodesTakeTurns(t *testing.T) {
	c := makeCache("node a", "node b", "node c", "node d cpu=1")
	var got string
	for turn := range 6 {
		node, _ := choose(newPod(makePod("p")), c, turn)
		got += node
	}
	if got != "abcabc" {
		t.Errorf("chose %s, want abcabc", got)
	}
}

// TestCacheAddsUp holds that whatever comes and goes in whatever order, what a
// node is thought to use is what the pods on it ask for.
func TestCacheAddsUp(t *testing.T) {
	c := makeCache("node a", "q on=a cpu=1 memory=1Gi port=/80", "r on=b cpu=2")
	q := makePod("q on=a cpu=1 memory=1Gi port=/80")
	if known, changed, _ := c.seen(q); !known || changed || c.placed["q"].pod.Pod != q {
		t.Error("the cache does not hold the newest state of a pod")
	}
	c.put(newPod(makePod("q cpu=1 memory=1Gi port=/80")), "b", true)
	if u := c.nodes["a"].requests; !u.nothing() || len(c.nodes["a"].ports) != 0 || len(c.nodes["a"].pods) != 0 {
		t.Errorf("a moved pod is still counted: %+v", c.nodes["a"])
	}
	if u := c.nodes["b"].requests; u.milliCPU != 3000 || u.memory != 1<<30 {
		t.Errorf("b uses %+v, want 3 cores and 1 GiB", u)
	}
	c.forget("r") // it is not assumed: nothing
	c.forget("q")
	c.forget("q")
	if u := c.nodes["b"].requests; u.milliCPU != 2000 || u.memory != 0 {
		t.Errorf("b uses %+v, want 2 cores", u)
	}
	c.take("r")
	if c.nodes["b"] != nil {
		t.Error("a node that never was is not forgotten with its last pod")
	}
	c.removeNode("a")
	if len(c.nodes)+len(c.list)+len(c.placed) != 0 {
		t.Errorf("left over: %v %v %v", c.nodes, c.list, c.placed)
	}
}
