package scheduling

import (
	"fmt"
	"strings"
	"testing"
)

func TestNeighbours(t *testing.T) {
	zones := []string{
		"node a zone=1", "node b zone=1", "node c zone=2",
		"namespace default team:a", "namespace other team:a", "namespace third team:b",
	}
	const (
		need     = "node(s) didn't match pod affinity rules"
		shun     = "node(s) didn't match pod anti-affinity rules"
		shunned  = "node(s) didn't satisfy existing pods anti-affinity rules"
		nobody   = " preemption: 0/3 nodes are available: 1 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling."
		selector = "2 node(s) didn't match Pod's node affinity/selector."
	)
	for _, c := range []struct {
		name  string
		state []string
		pod   string
		want  string
	}{
		{"near another", []string{"x on=c label=app:x"}, "p near=app:x@zone", "c"},
		{"on the same node", []string{"x on=b label=app:x"}, "p near=app:x@name", "b"},
		{"near what is not there", nil, "p near=app:x@zone", "0/3 nodes are available: 3 " + need + "." + helpless(3)},
		{"near its own, the first", nil, "p label=app:x near=app:x@zone select=name:b", "b"},
		{"near its own, not the first", []string{"x on=c label=app:x"}, "p label=app:x near=app:x@zone", "c"},
		{"its own where the label is not", nil, "p label=app:x near=app:x@rack", "0/3 nodes are available: 3 " + need + "." + helpless(3)},
		{"one pod that is all of it", []string{"x on=a label=app:x", "y on=a label=tier:y", "xy on=c label=app:x label=tier:y"},
			"p near=app:x@zone near=tier:y@zone", "c"},
		{"near one of another namespace", []string{"x on=c label=app:x ns=other"}, "p near=app:x@zone",
			"0/3 nodes are available: 3 " + need + "." + helpless(3)},
		{"when it says so", []string{"x on=c label=app:x ns=other"}, "p near=app:x@zone/other,more", "c"},
		{"or selects it", []string{"x on=c label=app:x ns=other", "x3 on=a label=app:x ns=third"}, "p near=app:x@zone/{team:a}", "c"},
		{"or all", []string{"x on=c label=app:x ns=other"}, "p near=app:x@zone/{*}", "c"},
		{"apart", []string{"x on=a label=app:x"}, "p apart=app:x@zone", "c"},
		{"apart, on another node", []string{"x on=a label=app:x", "y on=c"}, "p apart=app:x@name", "b"},
		{"apart from all there is", []string{"x on=a label=app:x"}, "p apart=app:x@zone select=name:b",
			"0/3 nodes are available: 1 " + shun + ", " + selector + nobody},
		{"others want to be apart", []string{"x on=a label=app:x apart=app:p@zone"}, "p label=app:p", "c"},
		{"others want to be apart from none like it", []string{"x on=a label=app:x apart=app:q@zone"}, "p label=app:p select=name:a", "a"},
		{"others want to be apart everywhere", []string{"x on=a label=app:x apart=app:p@zone"}, "p label=app:p select=name:b",
			"0/3 nodes are available: 1 " + shunned + ", " + selector + nobody},
		{"others elsewhere do not mind", []string{"x on=a ns=other apart=app:p@zone"}, "p label=app:p select=name:a", "a"},
		{"unless they select the namespace", []string{"x on=a ns=third apart=app:p@zone/{team:a}"}, "p label=app:p select=zone:1",
			"0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 2 " + shunned +
				". preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod."},
		{"likes to be near", []string{"x on=a label=app:x"}, "p likes=app:x@name", "a"},
		{"dislikes to be near", []string{"x on=c label=app:x cpu=10m memory=10Mi", "y on=a cpu=200m", "z on=b"}, "p dislikes=app:x@zone", "b"},
		{"others like it near", []string{"x on=a likes=app:p@name"}, "p label=app:p", "a"},
		{"others need it near", []string{"x on=a near=app:p@name"}, "p label=app:p", "a"},
		{"others dislike it near", []string{"x on=a dislikes=app:p@zone cpu=10m memory=10Mi", "y on=c"}, "p label=app:p", "c"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := decideOn(makeCache(append(zones, c.state...)...), c.pod); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestChangedLabelsAreSeen holds that what counts is what pods and namespaces are
// labelled now.
func TestChangedLabelsAreSeen(t *testing.T) {
	c := makeCache("node a", "node b", "namespace default team:a", "namespace other team:b", "x on=a label=app:x", "y on=b ns=other label=app:y")
	expect := func(pod, want string) {
		t.Helper()
		if got := decideOn(c, pod); got != want {
			t.Errorf("%s: %s, want %s", pod, got, want)
		}
	}
	expect("p near=app:x@name", "a")
	if known, changed, _ := c.seen(makePod("x on=a label=app:z")); !known || !changed {
		t.Error("the change is not noticed")
	}
	expect("p near=app:z@name", "a")
	expect("p near=app:x@name", "0/2 nodes are available: 2 node(s) didn't match pod affinity rules."+helpless(2))
	expect("p near=app:y@name/{team:a}", "0/2 nodes are available: 2 node(s) didn't match pod affinity rules."+helpless(2))
	c.setSpace("other", map[string]string{"team": "a"})
	expect("p near=app:y@name/{team:a}", "b")
}

// TestNamespacesAreToldBeforeAndAfterTheirPods holds that a pod is counted right
// whichever of the feeds of namespaces and pods is ahead.
func TestNamespacesAreToldBeforeAndAfterTheirPods(t *testing.T) {
	const apart, near = "p apart=app:x@name/{team:a}", "p near=app:x@name/{team:a}"
	full := "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules." +
		" preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
	none := "0/1 nodes are available: 1 node(s) didn't match pod affinity rules." + helpless(1)
	for _, c := range []struct{ name, acts, want string }{
		{"a namespace goes before its pod", "space, pod, ask, no space, no pod", "a / " + none},
		{"a namespace goes, its pod is still there", "space, pod, ask, no space", "a / " + none},
		{"a pod comes before its namespace", "ask, pod, space", full + " / a"},
		{"a pod comes before its namespace and goes", "ask, pod, space, no pod", "a / " + none},
		{"a pod comes before its namespace, and both go", "ask, pod, space, ask, no space, no pod, space", "a / " + none},
	} {
		t.Run(c.name, func(t *testing.T) {
			cache := makeCache("node a", "namespace default team:b")
			for _, act := range strings.Split(c.acts, ", ") {
				switch act {
				case "ask":
					_, _ = decideOn(cache, apart), decideOn(cache, near)
				case "space":
					cache.setSpace("other", map[string]string{"team": "a"})
				case "no space":
					cache.removeSpace("other")
				case "pod":
					cache.put(newPod(makePod("x on=a ns=other label=app:x")), "a", false)
				case "no pod":
					cache.take("x")
				}
			}
			if got := decideOn(cache, apart) + " / " + decideOn(cache, near); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestTalliesAreBounded holds that what was asked long ago is dropped, and right
// when it is asked again.
func TestTalliesAreBounded(t *testing.T) {
	c := makeCache("node a", "x on=a label=app:x")
	asked := func(label string) int {
		k := constraintsOf(newPod(makePod("p spread=1/name/app:"+label)), c, "DoNotSchedule")[0]
		return k.on[c.nodes["a"]]
	}
	for i := range 3 * maxTallies {
		asked(fmt.Sprint("l", i))
	}
	if n := len(c.census.tallies); n != maxTallies {
		t.Errorf("%d tallies, want %d", n, maxTallies)
	}
	if n := asked("x"); n != 1 {
		t.Errorf("%d pods, want 1", n)
	}
}
