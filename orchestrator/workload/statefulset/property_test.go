package statefulset

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"pgregory.net/rapid"

	"skiff/manifests/registry"
	"skiff/orchestrator/internal/testbed"
	"skiff/store"
)

// act is one thing that somebody does to the cluster. n chooses the pod, or the
// count.
type act struct {
	verb string
	n    int
}

func (a act) String() string { return fmt.Sprint(a.verb, " ", a.n) }

var verbs = []string{
	"scale", "image", "partition", "ready", "ready", "unready", "kill", "delete", "fail", "reap", "relabel", "orphan", "restart", "policy", "drop-claim",
}

// TestAnySequenceConverges holds that whatever is done to a StatefulSet and its
// pods, in whatever order, it has in the end the pods it asks for, each with its
// claim and of the right revision; and that, if it keeps an order, no pod was ever
// created while one of a lower ordinal was not ready.
func TestAnySequenceConverges(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		acts := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) act {
			return act{rapid.SampledFrom(verbs).Draw(r, "verb"), rapid.IntRange(0, 4).Draw(r, "n")}
		}), 1, 25).Draw(r, "acts")
		together := rapid.Bool().Draw(r, "parallel")
		var failure string
		synctest.Test(t, func(t *testing.T) { failure = play(t, acts, together) })
		if failure != "" {
			r.Fatalf("%v (parallel %v): %s", acts, together, failure)
		}
	})
}

func play(t *testing.T, acts []act, together bool) string {
	b := newBed(t)
	set := statefulSet(3, withClaims)
	if together {
		parallel(set)
	}
	b.followAvailability(together)
	if _, err := b.Feeds.Of("pods").Subscribe(t.Context(), func(e store.Event) {
		if p, ok := e.Object.(*corev1.Pod); ok && e.Type == watch.Added && !together {
			b.lookBelow(p)
		}
	}); err != nil {
		t.Fatal(err)
	}
	testbed.Create(b.Bed, set)
	for _, a := range acts {
		b.act(a)
		synctest.Wait()
		if wrong := b.faults.Found(); wrong != "" {
			return fmt.Sprintf("after %s: %s", a, wrong)
		}
	}
	b.settle()
	if wrong := b.faults.Found(); wrong != "" {
		return "while it settled: " + wrong
	}
	return b.judge()
}

// lookBelow notes which pods of lower ordinals were not ready when p came.
func (b *bed) lookBelow(p *corev1.Pod) {
	set, ok := testbed.Get[*appsv1.StatefulSet](b.Bed, "default", "web")
	n, member := ordinalOf(&appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "web"}}, p.Name)
	if !ok || !member || !metav1.IsControlledBy(p, set) {
		return
	}
	for i := range n {
		before, ok := testbed.Get[*corev1.Pod](b.Bed, "default", podName(set, i))
		if !ok || !available(before) {
			b.faults.Blame("%s created while %s was not ready", p.Name, podName(set, i))
		}
	}
}

// settle lets the node agent do its work until nothing happens any more. A broken
// rollout of a set that keeps an order has to be helped, as upstream's.
func (b *bed) settle() {
	for range 40 {
		time.Sleep(time.Minute) // all backoffs are over
		synctest.Wait()
		set, _ := testbed.Get[*appsv1.StatefulSet](b.Bed, "default", "web")
		for _, p := range testbed.List[*corev1.Pod](b.Bed, "default") {
			n, _ := ordinalOf(set, p.Name)
			// One that was taken from the set has a name the set needs, and one that
			// was given to it can not be given claims any more.
			inTheWay := p.Labels["app"] != "kubia" || !mountsClaims(set, p, n)
			switch {
			case p.DeletionTimestamp != nil, inTheWay:
				b.removed(p.Name)
				_ = registry.For[*corev1.Pod](b.Registry).Delete(b.t.Context(), "default", p.Name, *metav1.NewDeleteOptions(0))
			case p.Status.Phase == corev1.PodFailed, metav1.GetControllerOfNoCopy(p) == nil:
			case !runningAndReady(p):
				_, _ = registry.For[*corev1.Pod](b.Registry).UpdateStatus(b.t.Context(), "default", p.Name, func(p *corev1.Pod) error {
					setReady(p, true)
					return nil
				})
			}
			synctest.Wait()
		}
	}
}

// judge says what is not as it should be once nothing happens any more.
func (b *bed) judge() string {
	set, _ := testbed.Get[*appsv1.StatefulSet](b.Bed, "default", "web")
	mine := 0
	for _, p := range testbed.List[*corev1.Pod](b.Bed, "default") {
		n, member := ordinalOf(set, p.Name)
		if !metav1.IsControlledBy(p, set) {
			if member && p.Labels["app"] == "kubia" {
				return fmt.Sprintf("member %s has no controller", p.Name)
			}
			continue
		}
		mine++
		image := p.Spec.Containers[0].Image
		switch {
		case n < first(set) || n >= end(set):
			return fmt.Sprintf("pod %s is not wanted", p.Name)
		case !runningAndReady(p):
			return fmt.Sprintf("pod %s is not ready", p.Name)
		case rolls(set) && n >= partition(set) && image != set.Spec.Template.Spec.Containers[0].Image:
			return fmt.Sprintf("pod %s has image %s", p.Name, image)
		}
		if c, ok := testbed.Get[*corev1.PersistentVolumeClaim](b.Bed, "default", "data-"+p.Name); !ok || c.DeletionTimestamp != nil {
			return fmt.Sprintf("pod %s has no claim", p.Name)
		}
	}
	s := set.Status
	if mine != replicas(set) || int(s.Replicas) != mine || int(s.ReadyReplicas) != mine || s.ObservedGeneration != set.Generation {
		return fmt.Sprintf("%d pods of %d, status %+v", mine, replicas(set), s)
	}
	return ""
}

// act does something, or nothing when there is nothing to do it to.
func (b *bed) act(a act) {
	ctx, n := b.t.Context(), int32(a.n)
	pods, sets := registry.For[*corev1.Pod](b.Registry), registry.For[*appsv1.StatefulSet](b.Registry)
	change := func(do func(*appsv1.StatefulSet)) {
		_, _ = sets.Update(ctx, "default", "web", func(set *appsv1.StatefulSet) error { do(set); return nil })
	}
	// Whatever fails because the object has gone meanwhile is as good as not done.
	switch a.verb {
	case "scale":
		change(func(set *appsv1.StatefulSet) { set.Spec.Replicas = &n })
	case "image":
		change(func(set *appsv1.StatefulSet) { set.Spec.Template.Spec.Containers[0].Image = fmt.Sprint("v", n) })
	case "partition":
		change(partitioned(n))
	case "policy":
		change(retains([]appsv1.PersistentVolumeClaimRetentionPolicyType{retain, drop}[n%2], []appsv1.PersistentVolumeClaimRetentionPolicyType{retain, drop}[n/2%2]))
	case "orphan":
		_, _ = pods.Create(ctx, testbed.Pod("default", fmt.Sprint("web-", n), kubia))
	case "reap":
		b.reap()
	case "restart":
		b.stop()
		b.start()
	case "drop-claim":
		if _, used := testbed.Get[*corev1.Pod](b.Bed, "default", fmt.Sprint("web-", n)); used {
			return // its protection finalizer would keep it, and as upstream's the controller makes it anew for a new pod only
		}
		_ = registry.For[*corev1.PersistentVolumeClaim](b.Registry).Delete(ctx, "default", fmt.Sprint("data-web-", n), metav1.DeleteOptions{})
	}
	all := testbed.List[*corev1.Pod](b.Bed, "default")
	if len(all) == 0 {
		return
	}
	name := all[a.n%len(all)].Name
	status := func(do func(*corev1.Pod)) {
		_, _ = pods.UpdateStatus(ctx, "default", name, func(p *corev1.Pod) error { do(p); return nil })
	}
	switch a.verb {
	case "ready":
		_ = b.Bind(ctx, "default", name, "node")
		status(func(p *corev1.Pod) { setReady(p, true) })
	case "unready":
		status(func(p *corev1.Pod) { setReady(p, false) })
	case "fail":
		status(func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed })
	case "kill":
		b.removed(name)
		_ = pods.Delete(ctx, "default", name, *metav1.NewDeleteOptions(0))
	case "delete":
		b.removed(name)
		_ = pods.Delete(ctx, "default", name, metav1.DeleteOptions{})
	case "relabel":
		_, _ = pods.Update(ctx, "default", name, func(p *corev1.Pod) error {
			p.Labels["app"] = map[string]string{"kubia": "foo", "foo": "kubia"}[p.Labels["app"]]
			return nil
		})
	}
}
