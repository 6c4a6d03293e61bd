package workload

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// pod makes a pod of a line of words: its name, then what is special about it.
// Without more it runs on node n, ready for an hour, created two hours ago.
func pod(line string) *corev1.Pod {
	words := strings.Fields(line)
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: words[0], UID: types.UID(words[0]), Labels: map[string]string{"app": "kubia"},
			CreationTimestamp: metav1.NewTime(now.Add(-2 * time.Hour)),
		},
		Spec:   corev1.PodSpec{NodeName: "n"},
		Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}
	ready := now.Add(-time.Hour)
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "node":
			p.Spec.NodeName = value
		case "phase":
			p.Status.Phase = corev1.PodPhase(value)
			if value != "Running" {
				ready = time.Time{}
			}
		case "ready": // for how long; "no" is not
			ready = time.Time{}
			if value != "no" {
				ready = now.Add(-duration(value))
			}
		case "age":
			p.CreationTimestamp = metav1.NewTime(now.Add(-duration(value)))
		case "cost":
			p.Annotations = map[string]string{corev1.PodDeletionCost: value}
		case "restarts":
			var n int32
			_, _ = fmt.Sscan(value, &n)
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{RestartCount: n}, {RestartCount: 0}}
		case "sidecar", "init":
			var n int32
			_, _ = fmt.Sscan(value, &n)
			c := corev1.Container{Name: "s"}
			if key == "sidecar" {
				c.RestartPolicy = ptr.To(corev1.ContainerRestartPolicyAlways)
			}
			p.Spec.InitContainers = []corev1.Container{c}
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "s", RestartCount: n}}
		case "deleting":
			p.DeletionTimestamp = ptr.To(metav1.NewTime(now))
		case "app":
			p.Labels = map[string]string{"app": value}
		case "owner":
			p.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: value, UID: types.UID(value), Controller: ptr.To(true)}}
		default:
			panic(w)
		}
	}
	if !ready.IsZero() {
		p.Status.Conditions = []corev1.PodCondition{{
			Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(ready),
		}}
	}
	return p
}

func duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		panic(err)
	}
	return d
}

func pods(lines ...string) []*corev1.Pod {
	var all []*corev1.Pod
	for _, l := range lines {
		all = append(all, pod(l))
	}
	return all
}

func TestVictims(t *testing.T) {
	for _, c := range []struct {
		name    string
		pods    []string
		related []string
		n       int
		want    []string
	}{
		{"none", []string{"a", "b"}, nil, 0, nil},
		{"all", []string{"a", "b"}, nil, 5, []string{"a: none is wanted", "b: none is wanted"}},
		{"unassigned first", []string{"a phase=Pending", "b node= phase=Pending"}, nil, 1, []string{"b: on no node yet"}},
		{"then pending", []string{"a", "b phase=Pending", "c phase=Unknown"}, nil, 2, []string{"b: phase Pending", "c: phase Unknown"}},
		{"then not ready", []string{"a", "b ready=no", "c"}, nil, 1, []string{"b: not ready"}},
		{"then cheaper", []string{"a cost=10", "b cost=-5", "c"}, nil, 1, []string{"b: deletion cost -5"}},
		{"but not before readiness", []string{"a cost=-10", "b ready=no cost=10"}, nil, 1, []string{"b: not ready"}},
		{"a cost that is no number is 0", []string{"a cost=+10", "b cost=-1", "c cost=05"}, nil, 2,
			[]string{"b: deletion cost -1", "a: no different from the others"}},
		{"then doubled up", []string{"a node=x", "b node=y"}, []string{"a node=x", "b node=y", "o node=y"}, 1,
			[]string{"b: one of 2 on node y"}},
		{"only active pods double", []string{"a node=x", "b node=y"},
			[]string{"a node=x", "b node=y", "o node=x phase=Failed", "q node=x deleting"}, 1, []string{"a: no different from the others"}},
		{"then ready for less long", []string{"a ready=1h", "b ready=1m"}, nil, 1, []string{"b: ready for less long"}},
		{"times count by magnitude, then the UID", []string{"z ready=60m", "b ready=61m"}, nil, 1, []string{"b: ready for less long"}},
		{"ready since the future is youngest", []string{"a ready=1s", "b ready=-1s"}, nil, 1, []string{"b: ready for less long"}},
		{"then more restarts", []string{"a restarts=1", "b restarts=3"}, nil, 1, []string{"b: 3 restarts"}},
		{"then more sidecar restarts", []string{"a init=9", "b sidecar=3"}, nil, 1, []string{"b: 3 sidecar restarts"}},
		{"then younger", []string{"a age=3h", "b age=1m"}, nil, 1, []string{"b: younger"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 2 { // the order they are given in must not matter
				slices.Reverse(c.pods)
				var got []string
				for _, v := range Victims(pods(c.pods...), pods(c.related...), c.n, now) {
					got = append(got, v.Pod.Name+": "+v.Cause)
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("got %q, want %q", got, c.want)
				}
			}
		})
	}
}

func TestClaim(t *testing.T) {
	all := pods("mine owner=rs", "relabelled owner=rs app=foo", "orphan", "orphan-going deleting", "orphan-other app=foo",
		"others owner=x", "others-relabelled owner=x app=foo", "mine-going owner=rs deleting")
	selector := labels.SelectorFromSet(labels.Set{"app": "kubia"})
	owner := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "rs", UID: "rs"}}
	names := func(pods []*corev1.Pod) string {
		var n []string
		for _, p := range pods {
			n = append(n, p.Name)
		}
		return strings.Join(n, " ")
	}
	text := func(c Claims[*corev1.Pod]) string {
		return "owned " + names(c.Owned) + "; adopt " + names(c.Adopt) + "; release " + names(c.Release)
	}
	if got, want := text(Claim(owner, selector, all)), "owned mine mine-going; adopt orphan; release relabelled"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	owner.DeletionTimestamp = ptr.To(metav1.NewTime(now))
	if got, want := text(Claim(owner, selector, all)), "owned mine mine-going; adopt ; release "; got != want {
		t.Errorf("being deleted: got %s, want %s", got, want)
	}
}

func TestPodFromTemplate(t *testing.T) {
	owner := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "kubia", UID: "u"}}
	template := &corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{
			Name: "ignored", Labels: map[string]string{"app": "kubia"}, Annotations: map[string]string{"a": "b"}, Finalizers: []string{"x/y"},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}},
	}
	p := PodFromTemplate(template, owner, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))
	want := metav1.OwnerReference{
		APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "kubia", UID: "u", Controller: ptr.To(true), BlockOwnerDeletion: ptr.To(true),
	}
	if p.Name != "" || p.GenerateName != "kubia-" || p.Namespace != "ns" || p.Labels["app"] != "kubia" ||
		p.Annotations["a"] != "b" || p.Finalizers[0] != "x/y" || p.Spec.Containers[0].Name != "c" {
		t.Errorf("got %+v", p)
	}
	if ref := metav1.GetControllerOf(p); ref == nil || ref.String() != want.String() {
		t.Errorf("controlled by %v, want %v", ref, want)
	}
	p.Labels["app"], p.Annotations["a"], p.Spec.Containers[0].Name = "changed", "changed", "changed"
	if template.Labels["app"] != "kubia" || template.Annotations["a"] != "b" || template.Spec.Containers[0].Name != "c" {
		t.Error("the pod shares memory with the template")
	}
	owner.Name = strings.Repeat("a", 254)
	if got := PodFromTemplate(template, owner, appsv1.SchemeGroupVersion.WithKind("ReplicaSet")).GenerateName; got != owner.Name {
		t.Errorf("the name of a long-named owner's pods begins with %d characters, want no dash", len(got))
	}
}

func TestSlowStart(t *testing.T) {
	for _, c := range []struct {
		count, failFrom int
		calls, ok       int
	}{
		{0, 100, 0, 0},
		{1, 100, 1, 1},
		{10, 100, 10, 10},
		{500, 0, 1, 0},    // one call shows that none succeeds
		{500, 2, 3, 2},    // 1, then 2 of which one fails
		{500, 10, 15, 10}, // 1, 2, 4, then 8 of which 5 fail
	} {
		var mu sync.Mutex
		calls := 0
		ok, err := SlowStart(c.count, func() error {
			mu.Lock()
			defer mu.Unlock()
			calls++
			if calls > c.failFrom {
				return errors.New("quota")
			}
			return nil
		})
		if calls != c.calls || ok != c.ok || (err != nil) != (c.ok < c.count) {
			t.Errorf("%d wanted, %d possible: %d calls, %d succeeded, %v; want %d and %d", c.count, c.failFrom, calls, ok, err, c.calls, c.ok)
		}
	}
}
