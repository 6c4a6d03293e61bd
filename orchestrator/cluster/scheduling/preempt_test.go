package scheduling

import (
	"fmt"
	"strings"
	"testing"

	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// planOf is the plan to make room for a pod as text: where it goes, or the node
// where others leave and who they are, or why nobody does.
func planOf(c *cache, line string) string {
	node, failure := choose(newPod(makePod(line)), c, 0)
	if failure == nil {
		return node
	}
	plan := preempt(c, failure, 0)
	if plan == nil {
		return failure.preemption
	}
	names := make([]string, len(plan.victims))
	for i, v := range plan.victims {
		names[i] = v.Name
	}
	text := fmt.Sprintf("%s instead of %s", plan.node.key, strings.Join(names, ", "))
	if plan.violations > 0 {
		text += fmt.Sprintf(", %d violations", plan.violations)
	}
	return text
}

// makeBudget makes a budget of a line: name, label:value, how many may go, and
// those that go already.
func makeBudget(line string) *policyv1.PodDisruptionBudget {
	words := strings.Fields(line)
	b := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: words[0]}}
	b.Spec.Selector = makeSelector(words[1])
	_, _ = fmt.Sscan(words[2], &b.Status.DisruptionsAllowed)
	b.Status.DisruptedPods = map[string]metav1.Time{}
	for _, going := range words[3:] {
		b.Status.DisruptedPods[going] = metav1.Unix(1, 0)
	}
	return b
}

func TestPreempt(t *testing.T) {
	for _, c := range []struct {
		name    string
		state   []string
		budgets []string
		pod     string
		want    string
	}{
		{"a lower priority", []string{"node a cpu=2", "x on=a cpu=2 priority=1"}, nil, "p cpu=1 priority=2", "a instead of x"},
		{"not an equal one", []string{"node a cpu=2", "x on=a cpu=2 priority=2"}, nil, "p cpu=1 priority=2",
			"0/1 nodes are available: 1 No preemption victims found for incoming pod."},
		{"never", []string{"node a cpu=2", "x on=a cpu=2"}, nil, "p cpu=1 priority=2 never-preempts",
			"not eligible due to preemptionPolicy=Never."},
		{"no more than need be", []string{"node a cpu=3", "x on=a cpu=1 priority=1", "y on=a cpu=1 priority=3", "z on=a cpu=1 priority=2"}, nil,
			"p cpu=1 priority=9", "a instead of x"},
		{"the lower two", []string{"node a cpu=3", "x on=a cpu=1 priority=1", "y on=a cpu=1 priority=3", "z on=a cpu=1 priority=2"}, nil,
			"p cpu=2 priority=9", "a instead of z, x"},
		{"the one that has run for a shorter time", []string{"node a cpu=2", "x on=a cpu=1 started=10", "y on=a cpu=1 started=20"}, nil,
			"p cpu=1 priority=1", "a instead of y"},
		{"all do not suffice", []string{"node a cpu=3", "x on=a cpu=1", "y on=a cpu=2 priority=5"}, nil, "p cpu=2 priority=1",
			"0/1 nodes are available: 1 Insufficient cpu."},
		{"where it never helps", []string{"node a cordoned", "node b cpu=1", "x on=b"}, nil, "p cpu=2 priority=1",
			"0/2 nodes are available: 2 Preemption is not helpful for scheduling."},
		{"the least important on any node", []string{"node a cpu=1", "node b cpu=1", "x on=a cpu=1 priority=2", "y on=b cpu=1 priority=1"}, nil,
			"p cpu=1 priority=9", "b instead of y"},
		{"the least together", []string{"node a cpu=2", "node b cpu=2", "x on=a cpu=1 priority=2", "x2 on=a cpu=1 priority=2",
			"y on=b cpu=1 priority=2", "y2 on=b cpu=1 priority=1"}, nil, "p cpu=2 priority=9", "b instead of y, y2"},
		{"the fewest, even of a negative priority", []string{"node a cpu=2", "node b cpu=2", "x on=a cpu=1 priority=-5", "x2 on=a cpu=1 priority=-5",
			"y on=b cpu=2 priority=-5"}, nil, "p cpu=2", "b instead of y"},
		{"those that have run the shortest", []string{"node a cpu=1", "node b cpu=1", "x on=a cpu=1 started=10", "y on=b cpu=1 started=20"}, nil,
			"p cpu=1 priority=1", "b instead of y"},
		{"a port", []string{"node a", "x on=a port=/80", "y on=a"}, nil, "p port=/80 priority=1", "a instead of x"},
		{"an extended resource", []string{"node a example.com/gpu=5", "x on=a example.com/gpu=2", "y on=a example.com/gpu=2 priority=1"}, nil,
			"p example.com/gpu=2 priority=9", "a instead of x"},
		{"who shuns it", []string{"node a", "x on=a apart=app:p@name"}, nil, "p label=app:p priority=1", "a instead of x"},
		{"who crowds its domain", []string{"node a zone=1", "node b zone=2", "x on=a label=app:x", "y on=a label=app:x priority=1"}, nil,
			"p label=app:x spread=1/zone/app:x select=name:a any-affinity priority=9", "a instead of y, x"},
		{"a node for another of its kind", []string{"node a cpu=1", "x on=a cpu=1", "nominated a q cpu=1 priority=9"}, nil, "p cpu=1 priority=9",
			"0/1 nodes are available: 1 Insufficient cpu."},
		{"that of a lesser one", []string{"node a cpu=1", "x on=a cpu=1", "nominated a q cpu=1 priority=8"}, nil, "p cpu=1 priority=9", "a instead of x"},
		{"room kept for another", []string{"node a cpu=2", "nominated a q cpu=2 priority=9"}, nil, "p cpu=1 priority=9",
			"0/1 nodes are available: 1 No preemption victims found for incoming pod."},
		{"room not kept for a lesser one", []string{"node a cpu=2", "nominated a q cpu=2 priority=8"}, nil, "p cpu=1 priority=9", "a"},
		{"its own room", []string{"node a cpu=1 pods=5", "node b cpu=1", "y on=b", "nominated a p cpu=1 priority=9"}, nil, "p cpu=1 priority=9", "a"},
		{"those it preempted leave", []string{"node a cpu=1", "x on=a cpu=1 preempted", "nominated a p cpu=1 priority=9"}, nil, "p cpu=1 priority=9",
			"not eligible due to a terminating pod on the nominated node."},
		{"others leave", []string{"node a cpu=1", "x on=a cpu=1 terminating", "nominated a p cpu=1 priority=9"}, nil, "p cpu=1 priority=9", "a instead of x"},
		{"within the budget", []string{"node a cpu=2", "x on=a cpu=1 label=app:x", "y on=a cpu=1 priority=1"}, []string{"b app:x 1"},
			"p cpu=1 priority=9", "a instead of x"},
		{"rather one without a budget", []string{"node a cpu=2", "x on=a cpu=1 label=app:x", "y on=a cpu=1 priority=1"}, []string{"b app:x 0"},
			"p cpu=1 priority=9", "a instead of y"},
		{"in violation when it must be", []string{"node a cpu=2", "x on=a cpu=1 label=app:x", "y on=a cpu=1 priority=1"}, []string{"b app:x 0"},
			"p cpu=2 priority=9", "a instead of y, x, 1 violations"},
		{"rather where none is violated", []string{"node a cpu=1", "node b cpu=1", "x on=a cpu=1 label=app:x", "y on=b cpu=1 priority=1"}, []string{"b app:x 0"},
			"p cpu=1 priority=9", "b instead of y"},
		{"one that is disrupted already", []string{"node a cpu=2", "x on=a cpu=1 label=app:x", "y on=a cpu=1 priority=1"}, []string{"b app:x 0 x"},
			"p cpu=1 priority=9", "a instead of x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			state := makeCache(c.state...)
			for _, line := range c.budgets {
				b := makeBudget(line)
				state.budgets[types.NamespacedName{Namespace: b.Namespace, Name: b.Name}] = b
			}
			before := state.text()
			if got := planOf(state, c.pod); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
			if after := state.text(); after != before {
				t.Errorf("it was not only a thought: before\n%s\nafter\n%s", before, after)
			}
		})
	}
}

// text shows what is on the nodes.
func (c *cache) text() string {
	var text string
	for _, n := range c.list {
		text += fmt.Sprintln(n.key, len(n.pods), n.requests, n.usage, len(n.ports), n.groups)
	}
	return text + fmt.Sprintln(len(c.census.shunned), len(c.census.liked))
}
