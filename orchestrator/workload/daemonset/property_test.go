package daemonset

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"skiff/manifests/podfacts"
	"skiff/manifests/registry"
	"skiff/orchestrator/internal/testbed"
)

// act is one thing that somebody does to the cluster. n chooses the node, the pod
// or the template.
type act struct {
	verb string
	n    int
}

func (a act) String() string { return fmt.Sprint(a.verb, " ", a.n) }

var verbs = []string{
	"image", "selector", "label", "unlabel", "taint", "untaint", "add-node", "remove-node",
	"run", "run", "kill", "delete", "fail", "unready", "relabel", "orphan", "restart", "strategy",
}

// TestAnySequenceConverges holds that whatever is done to a DaemonSet, its nodes
// and its pods, in whatever order, there is in the end one pod of the present
// template on each node that the set asks for and none elsewhere; and that never
// more of its pods are on a node than one, or two while it surges, and never more nodes without a ready
// one than it allows.
func TestAnySequenceConverges(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		acts := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) act {
			return act{rapid.SampledFrom(verbs).Draw(r, "verb"), rapid.IntRange(0, 3).Draw(r, "n")}
		}), 1, 25).Draw(r, "acts")
		surge := rapid.Bool().Draw(r, "surge")
		var failure string
		synctest.Test(t, func(t *testing.T) { failure = play(t, acts, surge) })
		if failure != "" {
			r.Fatalf("%v (surge %v): %s", acts, surge, failure)
		}
	})
}

func play(t *testing.T, acts []act, surge bool) string {
	b := newBed(t)
	b.node("n0", map[string]string{"disk": "ssd"})
	b.node("n1", map[string]string{"disk": "ssd"})
	set := daemonSet(onSSD)
	if surge {
		surging("1")(set)
	}
	b.followAvailability()
	testbed.Create(b.Bed, set)
	synctest.Wait()
	for _, a := range acts {
		b.act(a)
		synctest.Wait()
		if crowd := b.crowded(); crowd != "" {
			return fmt.Sprintf("after %s: %s", a, crowd)
		}
		if wrong := b.faults.Found(); wrong != "" {
			return fmt.Sprintf("after %s: %s", a, wrong)
		}
	}
	for range 20 {
		b.run()
		time.Sleep(time.Hour) // all backoffs are over
	}
	synctest.Wait()
	if wrong := b.faults.Found(); wrong != "" {
		return "while it settled: " + wrong
	}
	return b.judge()
}

// crowded names a node with more of the set's live pods than may be.
func (b *bed) crowded() string {
	ds, _ := testbed.Get[*appsv1.DaemonSet](b.Bed, "default", "ssd-monitor")
	limit := 1
	if (&snapshot{set: ds}).surges() {
		limit = 2
	}
	on := map[string]int{}
	for _, p := range testbed.List[*corev1.Pod](b.Bed, "default") {
		if metav1.IsControlledBy(p, ds) && podfacts.Active(p) {
			if on[nodeOf(p)]++; on[nodeOf(p)] > limit {
				return fmt.Sprintf("%d pods on node %s", on[nodeOf(p)], nodeOf(p))
			}
		}
	}
	return ""
}

// judge says what is not as it should be once nothing happens any more.
func (b *bed) judge() string {
	ds, _ := testbed.Get[*appsv1.DaemonSet](b.Bed, "default", "ssd-monitor")
	var wrong []string
	on := map[string]int{}
	for _, p := range testbed.List[*corev1.Pod](b.Bed, "default") {
		switch {
		case metav1.GetControllerOfNoCopy(p) == nil && p.Labels["app"] == "ssd-monitor" && podfacts.Active(p):
			wrong = append(wrong, "an orphan that matches")
		case !metav1.IsControlledBy(p, ds) || !podfacts.Active(p):
		case ds.Spec.UpdateStrategy.Type != appsv1.OnDeleteDaemonSetStrategyType && p.Spec.Containers[0].Image != ds.Spec.Template.Spec.Containers[0].Image:
			wrong = append(wrong, "a pod of image "+p.Spec.Containers[0].Image)
		default:
			on[p.Spec.NodeName]++
		}
	}
	wanted := 0
	for _, n := range testbed.List[*corev1.Node](b.Bed, "") {
		wish := targetOf(ds).of(n)
		switch {
		case wish.run:
			wanted++
			if on[n.Name] != 1 {
				wrong = append(wrong, fmt.Sprintf("%d pods on node %s", on[n.Name], n.Name))
			}
		case !wish.stay && on[n.Name] != 0:
			wrong = append(wrong, "a pod on node "+n.Name)
		}
	}
	s := ds.Status
	if int(s.DesiredNumberScheduled) != wanted || int(s.NumberReady) != wanted || s.ObservedGeneration != ds.Generation {
		wrong = append(wrong, fmt.Sprintf("%d nodes and status %+v", wanted, s))
	}
	return strings.Join(wrong, ", ")
}

// act does something, or nothing when there is nothing to do it to.
func (b *bed) act(a act) {
	ctx := b.t.Context()
	nodes, pods := registry.For[*corev1.Node](b.Registry), registry.For[*corev1.Pod](b.Registry)
	node := fmt.Sprint("n", a.n)
	change := func(do func(*corev1.Node)) {
		_, _ = nodes.Update(ctx, "", node, func(n *corev1.Node) error { do(n); return nil })
	}
	// Whatever fails because the object has gone meanwhile is as good as not done.
	switch a.verb {
	case "image":
		b.change(func(ds *appsv1.DaemonSet) { ds.Spec.Template.Spec.Containers[0].Image = fmt.Sprint("v", a.n) })
	case "selector":
		b.change(func(ds *appsv1.DaemonSet) {
			ds.Spec.Template.Spec.NodeSelector = map[string]string{"disk": []string{"ssd", "hdd"}[a.n%2]}
		})
	case "strategy":
		b.change([]func(*appsv1.DaemonSet){onDelete, func(ds *appsv1.DaemonSet) { ds.Spec.UpdateStrategy = daemonSet().Spec.UpdateStrategy }}[a.n%2])
	case "label":
		change(func(n *corev1.Node) { n.Labels = map[string]string{"disk": "ssd"} })
	case "unlabel":
		change(func(n *corev1.Node) { n.Labels = map[string]string{"disk": "hdd"} })
	case "taint":
		effect := []corev1.TaintEffect{corev1.TaintEffectNoExecute, corev1.TaintEffectNoSchedule}[a.n%2]
		change(func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{{Key: "dedicated", Effect: effect}} })
	case "untaint":
		change(func(n *corev1.Node) { n.Spec.Taints = nil })
	case "add-node":
		if _, ok := testbed.Get[*corev1.Node](b.Bed, "", node); !ok {
			b.node(node, map[string]string{"disk": "ssd"})
		}
	case "remove-node":
		// Its pods are the pod clean-up's.
		_ = nodes.Delete(ctx, "", node, metav1.DeleteOptions{})
		synctest.Wait()
		for _, p := range testbed.List[*corev1.Pod](b.Bed, "default") {
			if p.Spec.NodeName == node {
				b.departures.ByTest(p)
				_ = pods.Delete(ctx, "default", p.Name, *metav1.NewDeleteOptions(0))
			}
		}
	case "run":
		b.run()
	case "orphan":
		p := testbed.Pod("default", fmt.Sprint("orphan-", a.n), map[string]string{"app": "foo"})
		p.Spec.Affinity = pin(nil, node)
		_, _ = pods.Create(ctx, p)
	case "restart":
		b.stop()
		b.start()
	}
	all := testbed.List[*corev1.Pod](b.Bed, "default")
	if len(all) == 0 {
		return
	}
	chosen := all[a.n%len(all)]
	name := chosen.Name
	switch a.verb {
	case "kill":
		b.departures.ByTest(chosen)
		_ = pods.Delete(ctx, "default", name, *metav1.NewDeleteOptions(0))
	case "delete":
		b.departures.ByTest(chosen)
		_ = pods.Delete(ctx, "default", name, metav1.DeleteOptions{})
	case "fail":
		_, _ = pods.UpdateStatus(ctx, "default", name, func(p *corev1.Pod) error { p.Status.Phase = corev1.PodFailed; return nil })
	case "unready":
		_, _ = pods.UpdateStatus(ctx, "default", name, func(p *corev1.Pod) error {
			p.Status.Conditions, p.Status.Phase = nil, corev1.PodPending
			return nil
		})
	case "relabel":
		_, _ = pods.Update(ctx, "default", name, func(p *corev1.Pod) error { p.Labels["app"] = "foo"; return nil })
	}
}
