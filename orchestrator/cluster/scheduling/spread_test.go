package scheduling

import (
	"fmt"
	"testing"
)

const uneven = "node(s) didn't match pod topology spread constraints"

// helpless is the end of the message of a pod for which preemption does nothing
// on any of so many nodes.
func helpless(nodes int) string {
	return fmt.Sprintf(" preemption: 0/%[1]d nodes are available: %[1]d Preemption is not helpful for scheduling.", nodes)
}

// preemptless is the same where there is nobody to preempt.
func preemptless(nodes int) string {
	return fmt.Sprintf(" preemption: 0/%[1]d nodes are available: %[1]d No preemption victims found for incoming pod.", nodes)
}

func TestSpread(t *testing.T) {
	zones := []string{"node a zone=1", "node b zone=1", "node c zone=2"}
	for _, c := range []struct {
		name  string
		state []string
		pod   string
		want  string
	}{
		{"to the domain that has fewer", []string{"x1 on=a label=app:x"}, "p label=app:x spread=1/zone/app:x", "c"},
		{"others do not count", []string{"y on=c label=app:y", "x1 on=a label=app:x"}, "p label=app:x spread=1/zone/app:x", "c"},
		{"nor those that are about to go", []string{"x1 on=a label=app:x", "x2 on=c label=app:x", "x3 on=c label=app:x terminating"},
			"p label=app:x spread=1/zone/app:x select=name:c", "c"},
		{"nor those of another namespace", []string{"x1 on=c label=app:x ns=other"}, "p label=app:x spread=1/zone/app:x select=name:c", "c"},
		{"a skew of two", []string{"x1 on=a label=app:x"}, "p label=app:x spread=2/zone/app:x select=name:a any-affinity", "a"},
		{"a skew of one", []string{"x1 on=a label=app:x"}, "p label=app:x spread=1/zone/app:x select=name:a any-affinity",
			"0/3 nodes are available: 1 " + uneven + ", 2 node(s) didn't match Pod's node affinity/selector." +
				" preemption: 0/3 nodes are available: 1 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling."},
		{"nodes it can not have do not count", []string{"x1 on=a label=app:x"}, "p label=app:x spread=1/zone/app:x select=name:a", "a"},
		{"a pod that does not match itself", []string{"x1 on=a label=app:x", "x2 on=c label=app:x"}, "p spread=1/zone/app:x select=name:a any-affinity", "a"},
		{"without the label", []string{"node d", "node e"}, "p label=app:x spread=1/rack/app:x",
			"0/5 nodes are available: 5 " + uneven + " (missing required label)." + helpless(5)},
		{"too few domains", []string{"x1 on=a label=app:x", "x2 on=c label=app:x"}, "p label=app:x spread=1/zone/app:x domains=3",
			"0/3 nodes are available: 3 " + uneven + "." + preemptless(3)},
		{"enough domains", []string{"x1 on=a label=app:x", "x2 on=c label=app:x"}, "p label=app:x spread=1/zone/app:x domains=2 select=name:c any-affinity", "c"},
		{"tainted domains count", []string{"x1 on=a label=app:x", "x2 on=c label=app:x", "node d zone=3 taint=x:NoSchedule"}, "p label=app:x spread=1/zone/app:x",
			"0/4 nodes are available: 1 node(s) had untolerated taint(s), 3 " + uneven +
				". preemption: 0/4 nodes are available: 1 Preemption is not helpful for scheduling, 3 No preemption victims found for incoming pod."},
		{"unless they are not to", []string{"x1 on=a label=app:x", "x2 on=c label=app:x", "node d zone=3 taint=x:NoSchedule"},
			"p label=app:x spread=1/zone/app:x untainted select=name:c", "c"},
		{"both constraints", []string{"x1 on=a label=app:x", "x2 on=c label=app:x"}, "p label=app:x spread=1/zone/app:x spread=1/name/app:x", "b"},
		{"better there", []string{"x1 on=a label=app:x", "x2 on=b label=app:x"}, "p label=app:x balance=1/zone/app:x", "c"},
		{"or where it has to", []string{"x1 on=a label=app:x", "x2 on=a label=app:x"}, "p label=app:x balance=1/zone/app:x select=zone:1", "b"},
		{"pods of a controller", []string{"x1 on=a set=s cpu=10m memory=10Mi", "x2 on=b set=s cpu=10m memory=10Mi", "y on=c cpu=200m memory=300Mi"}, "p set=s", "c"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := decideOn(makeCache(append(zones, c.state...)...), c.pod)
			if got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestReplicasAreEven holds that replicas come out even on equal nodes, as with
// upstream's default scores.
func TestReplicasAreEven(t *testing.T) {
	for _, pod := range []string{"set=s", "", "set=s cpu=100m", "set=s cpu=100m memory=1Gi"} {
		c := makeCache("node a", "node b", "node c")
		count := map[string]int{}
		for i := range 6 {
			p := newPod(makePod(fmt.Sprintf("p%d %s", i, pod)))
			node, failure := choose(p, c, 0)
			if failure != nil {
				t.Fatal(failure)
			}
			c.put(p, node, true)
			count[node]++
		}
		if fmt.Sprint(count) != "map[a:2 b:2 c:2]" {
			t.Errorf("pods %q: %v, want 2 each", pod, count)
		}
	}
}
