package daemonset

import (
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/internal/testbed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ssd = map[string]string{"app": "ssd-monitor"}

// daemonSet is a set for all nodes, which is updated in place.
func daemonSet(with ...func(*appsv1.DaemonSet)) *appsv1.DaemonSet {
	ds := &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "ssd-monitor"},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: ssd},
			UpdateStrategy: appsv1.DaemonSetUpdateStrategy{
				Type:          appsv1.RollingUpdateDaemonSetStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxUnavailable: ptr.To(intstr.FromInt32(1)), MaxSurge: ptr.To(intstr.FromInt32(0))},
			},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: ssd}, Spec: testbed.PodSpec()},
		},
	}
	for _, change := range with {
		change(ds)
	}
	return ds
}

func onSSD(ds *appsv1.DaemonSet) {
	ds.Spec.Template.Spec.NodeSelector = map[string]string{"disk": "ssd"}
}
func onDelete(ds *appsv1.DaemonSet) {
	ds.Spec.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{Type: appsv1.OnDeleteDaemonSetStrategyType}
}
func unavailable(n string) func(*appsv1.DaemonSet) {
	return func(ds *appsv1.DaemonSet) {
		ds.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable = ptr.To(intstr.Parse(n))
	}
}
func surging(n string) func(*appsv1.DaemonSet) {
	return func(ds *appsv1.DaemonSet) {
		ds.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateDaemonSet{MaxUnavailable: ptr.To(intstr.FromInt32(0)), MaxSurge: ptr.To(intstr.Parse(n))}
	}
}

// nodes makes nodes of words such as "a", "b/ssd" and "c/NoSchedule".
func nodes(words string) (out []*corev1.Node) {
	for word := range strings.FieldsSeq(words) {
		parts := strings.Split(word, "/")
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: parts[0]}}
		for _, p := range parts[1:] {
			switch p {
			case "ssd", "hdd":
				n.Labels = map[string]string{"disk": p}
			case "cordoned":
				n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule})
			case "unreachable":
				n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: corev1.TaintNodeUnreachable, Effect: corev1.TaintEffectNoExecute})
			default:
				n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: "dedicated", Effect: corev1.TaintEffect(p)})
			}
		}
		out = append(out, n)
	}
	return out
}

// pods makes pods of words such as "1@a", "2@b/old/unready": unless they say
// otherwise they are the set's, of the present template, on their node and ready.
func pods(words string) (out []*corev1.Pod) {
	for word := range strings.FieldsSeq(words) {
		name, rest, _ := strings.Cut(word, "@")
		parts := strings.Split(rest, "/")
		is := func(s string) bool { return slices.Contains(parts[1:], s) }
		p := testbed.Pod("default", "p"+name, map[string]string{"app": "ssd-monitor", appsv1.ControllerRevisionHashLabelKey: "new"})
		p.UID, p.Spec.NodeName, p.Status.Phase = types.UID(name), parts[0], corev1.PodRunning
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Unix(0, 0)}}
		if !is("orphan") {
			p.OwnerReferences = []metav1.OwnerReference{{Kind: "DaemonSet", Name: "ssd-monitor", UID: "ds", Controller: ptr.To(true)}}
		}
		if is("old") {
			p.Labels[appsv1.ControllerRevisionHashLabelKey] = "old"
		}
		if is("foreign") {
			p.Labels["app"] = "foo"
		}
		if is("unready") {
			p.Status.Conditions = nil
		}
		if is("waiting") {
			p.Spec.NodeName, p.Status.Conditions, p.Status.Phase = "", nil, corev1.PodPending
			p.Spec.Affinity = pin(nil, parts[0])
		}
		if is("failed") {
			p.Status.Phase, p.Status.Conditions = corev1.PodFailed, nil
		}
		if is("succeeded") {
			p.Status.Phase, p.Status.Conditions = corev1.PodSucceeded, nil
		}
		if is("going") {
			p.DeletionTimestamp = &metav1.Time{}
		}
		out = append(out, p)
	}
	return out
}

func snapshotOf(t *testing.T, ds *appsv1.DaemonSet, nodes []*corev1.Node, pods []*corev1.Pod) *snapshot {
	t.Helper()
	ds.UID = "ds"
	selector, err := metav1.LabelSelectorAsSelector(ds.Spec.Selector)
	if err != nil {
		t.Fatal(err)
	}
	return &snapshot{set: ds, selector: selector, nodes: nodes, pods: pods, hash: "new", now: time.Unix(1000, 0)}
}

func TestPlan(t *testing.T) {
	for _, c := range []struct {
		name        string
		set         *appsv1.DaemonSet
		nodes, pods string
		want        string
	}{
		{"no node", daemonSet(), "", "", ""},
		{"one on each", daemonSet(), "a b", "1@a", "create pod on node b: it has none"},
		{"only where the selector says", daemonSet(onSSD), "a/ssd b/hdd c", "", "create pod on node a: it has none"},
		{"a node that was relabelled", daemonSet(onSSD), "a/hdd", "1@a", "delete pod p1 on node a: none is wanted here"},
		{"a tainted node", daemonSet(), "a/NoSchedule", "", ""},
		{"a node tainted later keeps its pod", daemonSet(), "a/NoSchedule", "1@a", ""},
		{"unless the taint drives it away", daemonSet(), "a/NoExecute", "1@a", "delete pod p1 on node a: none is wanted here"},
		{"a node that is closed to others", daemonSet(), "a/cordoned b/unreachable", "", "create pod on node a: it has none\ncreate pod on node b: it has none"},
		{"a node by name", daemonSet(func(ds *appsv1.DaemonSet) { ds.Spec.Template.Spec.NodeName = "b" }), "a b", "", "create pod on node b: it has none"},
		{"a node by affinity to fields", daemonSet(func(ds *appsv1.DaemonSet) { ds.Spec.Template.Spec.Affinity = pin(nil, "a") }), "a b", "", "create pod on node a: it has none"},
		{"two on a node", daemonSet(), "a", "1@a 2@a", "delete pod p2 on node a: one is enough"},
		{"the one that is there goes last", daemonSet(), "a", "1@a/waiting 2@a", "delete pod p1 on node a: one is enough"},
		{"one that waits for its node counts", daemonSet(), "a", "1@a/waiting", ""},
		{"its successor waits until it is gone", daemonSet(), "a", "1@a/going", ""},
		{"but not for one that has ended", daemonSet(), "a", "1@a/failed/going", "create pod on node a: it has none"},
		{"a failed one", daemonSet(), "a", "1@a/failed", "delete pod p1 on node a: it has ended in phase Failed"},
		{"a succeeded one", daemonSet(), "a", "1@a/succeeded", "delete pod p1 on node a: it has ended in phase Succeeded"},
		{"its node is gone", daemonSet(), "a", "1@a 2@gone/waiting 3@gone", "delete pod p2 on node gone: there is no such node"},
		{"an orphan", daemonSet(), "a", "1@a/orphan", "adopt pod p1: matches selector, no controller"},
		{"one relabelled", daemonSet(), "a", "1@a/foreign", "release pod p1: labels no longer match"},

		{"an update, one at a time", daemonSet(), "a b c", "1@a/old 2@b/old 3@c/old", "delete pod p1 on node a: update"},
		{"not while one is missing", daemonSet(), "a b c", "1@a 2@b/unready 3@c/old", ""},
		{"one that terminates is missing", daemonSet(), "a b", "1@a/old/going 2@b/old", ""},
		{"what is not available goes at once", daemonSet(), "a b c", "1@a/old/unready 2@b/old/unready 3@c/old",
			"delete pod p1 on node a: update, it is not available\ndelete pod p2 on node b: update, it is not available"},
		{"two at a time", daemonSet(unavailable("50%")), "a b c", "1@a/old 2@b/old 3@c/old", "delete pod p1 on node a: update\ndelete pod p2 on node b: update"},
		{"first each node gets its pod", daemonSet(), "a b", "1@a/old", "create pod on node b: it has none"},
		{"on delete", daemonSet(onDelete), "a b", "1@a/old 2@b/old", ""},

		{"surging: a second one", daemonSet(surging("1")), "a b", "1@a/old 2@b/old", "create pod on node a: update"},
		{"surging: until it is available", daemonSet(surging("1")), "a b", "1@a/old 2@b/old 3@a/unready", ""},
		{"surging: then the old one goes", daemonSet(surging("1")), "a b", "1@a/old 2@b/old 3@a", "delete pod p1 on node a: a newer one is available"},
		{"surging: or when it is not ready", daemonSet(surging("1")), "a b", "1@a/old/unready 2@b/old 3@a/unready", "delete pod p1 on node a: it is not ready and a newer one is there"},
		{"surging: two at a time", daemonSet(surging("100%")), "a b", "1@a/old 2@b/old", "create pod on node a: update\ncreate pod on node b: update"},
		{"surging: beside one that is not available", daemonSet(surging("1")), "a b", "1@a/old/unready 2@b/old/unready",
			"create pod on node a: update, the old one is not available\ncreate pod on node b: update, the old one is not available"},
		{"surging: beside one that terminates", daemonSet(surging("1")), "a", "1@a/going", "create pod on node a: none of those it has lives on"},
		{"surging: not three", daemonSet(surging("1")), "a", "1@a/old 2@a/old/unready 3@a/unready", "delete pod p2 on node a: one of a template is enough"},
		{"surging: a node it leaves", daemonSet(surging("1"), onSSD), "a/NoSchedule/ssd b/ssd", "1@a/old 2@b", "delete pod p1 on node a: update, none is wanted here"},
		{"surging: not before another serves", daemonSet(surging("1"), onSSD), "a/NoSchedule/ssd b/ssd", "1@a/old 2@b/unready", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := makePlan(snapshotOf(t, c.set, nodes(c.nodes), pods(c.pods)))
			if err != nil {
				t.Fatal(err)
			}
			if got := p.String(); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestFailedPodWaitsForItsBackoff(t *testing.T) {
	s := snapshotOf(t, daemonSet(), nodes("a b"), pods("1@a/failed 2@b/failed"))
	s.retry = map[string]time.Time{"a": s.now.Add(3 * time.Second), "b": s.now}
	p, err := makePlan(s)
	if got := p.String(); err != nil || got != "delete pod p2 on node b: it has ended in phase Failed" || p.after != 3*time.Second {
		t.Errorf("%s, again after %s, %v", got, p.after, err)
	}
}

func TestBackoffDoubles(t *testing.T) {
	var b backoffs
	now := time.Unix(0, 0)
	set := func(uid types.UID, generation int64) *appsv1.DaemonSet {
		ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "ds", UID: uid}}
		ds.Status.ObservedGeneration = generation
		return ds
	}
	for _, want := range []time.Duration{1, 2, 4, 8} {
		b.failed(set("1", 1), "a", now)
		if got := b.until(set("1", 1))["a"].Sub(now); got != want*time.Second {
			t.Errorf("wait %s, want %ds", got, want)
		}
	}
	if len(b.until(set("1", 2))) != 0 {
		t.Error("a changed set has to wait for what failed before")
	}
	for range 20 {
		b.failed(set("1", 1), "a", now)
	}
	if got := b.until(set("1", 1))["a"].Sub(now); got != maxBackoff {
		t.Errorf("wait %s at most", got)
	}
	now = now.Add(31 * time.Minute)
	b.failed(set("1", 1), "a", now)
	if got := b.until(set("1", 1))["a"].Sub(now); got != firstBackoff {
		t.Errorf("wait %s after a long time without failures", got)
	}
	if len(b.until(set("2", 1))) != 0 {
		t.Error("a set has to wait for what failed in another that bore its name")
	}
}

func TestStatus(t *testing.T) {
	s := snapshotOf(t, daemonSet(onSSD), nodes("a/ssd b/ssd c/ssd d/hdd e/ssd"), pods("1@a 2@b/old/unready 3@d 4@e/failed/going"))
	got, _ := statusOf(s, 0)
	want := appsv1.DaemonSetStatus{
		DesiredNumberScheduled: 4, CurrentNumberScheduled: 2, NumberMisscheduled: 1, NumberReady: 1,
		UpdatedNumberScheduled: 1, NumberAvailable: 1, NumberUnavailable: 3,
	}
	if got.String() != want.String() {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestTolerationsOfTheTemplateStay(t *testing.T) {
	spec := testbed.PodSpec()
	spec.HostNetwork = true
	spec.Tolerations = []corev1.Toleration{
		{Key: "dedicated", Operator: corev1.TolerationOpExists},
		{Key: corev1.TaintNodeNotReady, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: ptr.To[int64](5)},
	}
	var got []string
	for _, toleration := range tolerations(&spec) {
		if toleration.TolerationSeconds != nil {
			t.Errorf("%s is tolerated for a time only", toleration.Key)
		}
		got = append(got, strings.TrimPrefix(toleration.Key, "node.kubernetes.io/")+":"+string(toleration.Effect))
	}
	want := "dedicated: not-ready:NoExecute unreachable:NoExecute disk-pressure:NoSchedule memory-pressure:NoSchedule " +
		"pid-pressure:NoSchedule unschedulable:NoSchedule network-unavailable:NoSchedule"
	if strings.Join(got, " ") != want {
		t.Errorf("got %s\nwant %s", strings.Join(got, " "), want)
	}
}

func TestPinKeepsPreferences(t *testing.T) {
	preferred := []corev1.PreferredSchedulingTerm{{Weight: 1}}
	affinity := &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: preferred}}
	p := &corev1.Pod{Spec: corev1.PodSpec{Affinity: pin(affinity, "a")}}
	if nodeOf(p) != "a" || len(p.Spec.Affinity.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution) != 1 {
		t.Errorf("affinity %+v", p.Spec.Affinity)
	}
	if affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution != nil {
		t.Error("the template was changed")
	}
}
