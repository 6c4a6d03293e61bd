package replicas

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"pgregory.net/rapid"

	"skiff/manifests/podfacts"
	"skiff/manifests/registry"
	"skiff/orchestrator/cluster/garbage"
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
	"scale", "relabel", "kill", "delete", "fail", "run", "orphan", "reap",
	"remove-background", "remove-foreground", "remove-orphan", "create", "restart",
}

// TestAnySequenceConverges holds that whatever is done to a ReplicaSet and its
// pods, in whatever order, as many pods are active in the end as it asks for,
// all of them selected by it and none of them left behind by it, and that no pod
// was ever created that was not missing.
func TestAnySequenceConverges(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		acts := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) act {
			return act{rapid.SampledFrom(verbs).Draw(r, "verb"), rapid.IntRange(0, 8).Draw(r, "n")}
		}), 1, 25).Draw(r, "acts")
		settle := rapid.Bool().Draw(r, "settle") // wait after each act, or only at the end
		var failure string
		synctest.Test(t, func(t *testing.T) { failure = play(t, acts, settle) })
		if failure != "" {
			r.Fatalf("%v (settle %v): %s", acts, settle, failure)
		}
	})
}

// stage is a cluster that acts are played on.
type stage struct {
	*testbed.Bed
	t       *testing.T
	options Options
	stop    func()

	mu      sync.Mutex
	active  map[types.UID]int // by controller
	surplus []string
}

func play(t *testing.T, acts []act, settle bool) string {
	s := &stage{Bed: testbed.New(t), t: t, active: map[types.UID]int{}}
	s.options = Options{Pods: registry.For[*corev1.Pod](s.Registry), Env: s.Env(), Workers: 2}
	s.start()
	s.Run(garbage.New(garbage.Options{Env: s.Env(), Workers: 4}).Run)
	if settle {
		if _, err := s.Feeds.Of("pods").Subscribe(t.Context(), s.count); err != nil {
			t.Fatal(err)
		}
	}
	s.act(act{"create", 3})
	synctest.Wait()
	for _, a := range acts {
		s.act(a)
		if settle {
			testbed.Settled()
			if failure := s.judge(); failure != "" {
				return fmt.Sprintf("after %s: %s", a, failure)
			}
		}
	}
	for range 2 {
		s.act(act{"reap", 0})
		testbed.Settled()
	}
	return s.judge()
}

func (s *stage) start() {
	s.stop = s.Run(NewReplicaSets(registry.For[*appsv1.ReplicaSet](s.Registry), s.options).Run)
}

// count watches that no pod is created that the set does not miss.
func (s *stage) count(e store.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	owner := func(o store.Object) types.UID {
		if p, ok := o.(*corev1.Pod); ok && podfacts.Active(p) {
			if ref := metav1.GetControllerOf(p); ref != nil {
				return ref.UID
			}
		}
		return ""
	}
	if e.Type != watch.Added {
		s.active[owner(e.Previous)]--
	}
	if e.Type == watch.Deleted {
		return
	}
	uid := owner(e.Object)
	s.active[uid]++
	rs, ok := testbed.Get[*appsv1.ReplicaSet](s.Bed, "default", "kubia")
	if ok && e.Type == watch.Added && uid == rs.UID && s.active[uid] > int(*rs.Spec.Replicas) {
		s.surplus = append(s.surplus, fmt.Sprintf("pod %s is number %d of %d", e.Object.GetName(), s.active[uid], *rs.Spec.Replicas))
	}
}

// judge says what is not as it should be once nothing happens any more.
func (s *stage) judge() string {
	s.mu.Lock()
	surplus := strings.Join(s.surplus, ", ")
	s.mu.Unlock()
	if surplus != "" {
		return surplus
	}
	rs, exists := testbed.Get[*appsv1.ReplicaSet](s.Bed, "default", "kubia")
	mine := 0
	for _, p := range testbed.List[*corev1.Pod](s.Bed, "default") {
		ref := metav1.GetControllerOf(p)
		switch {
		case ref == nil && p.Labels["app"] == "kubia" && podfacts.Active(p) && exists && rs.DeletionTimestamp == nil:
			return fmt.Sprintf("pod %s is selected and has no controller", p.Name)
		case ref == nil || !podfacts.Active(p):
		case !exists || ref.UID != rs.UID:
			return fmt.Sprintf("pod %s is active and its controller is gone", p.Name)
		case p.Labels["app"] != "kubia" && rs.DeletionTimestamp == nil:
			return fmt.Sprintf("pod %s is controlled and not selected", p.Name)
		default:
			mine++
		}
	}
	if exists && rs.DeletionTimestamp == nil && mine != int(*rs.Spec.Replicas) {
		return fmt.Sprintf("%d active pods, want %d", mine, *rs.Spec.Replicas)
	}
	if exists && rs.DeletionTimestamp == nil && (int(rs.Status.Replicas) != mine || rs.Status.ObservedGeneration != rs.Generation) {
		return fmt.Sprintf("status %+v with %d active pods", rs.Status, mine)
	}
	return ""
}

// act does something, or nothing when there is nothing to do it to.
func (s *stage) act(a act) {
	pods := testbed.List[*corev1.Pod](s.Bed, "default")
	var pod *corev1.Pod
	if len(pods) > 0 {
		pod = pods[a.n%len(pods)]
	}
	ctx := s.t.Context()
	client, sets := registry.For[*corev1.Pod](s.Registry), registry.For[*appsv1.ReplicaSet](s.Registry)
	now := *metav1.NewDeleteOptions(0)
	// Whatever fails because the object has gone meanwhile is as good as not done.
	switch a.verb {
	case "scale":
		n := int32(a.n)
		_, _ = sets.Update(ctx, "default", "kubia", func(rs *appsv1.ReplicaSet) error { rs.Spec.Replicas = &n; return nil })
	case "create":
		_, _ = sets.Create(ctx, replicaSet("kubia", int32(a.n), kubia))
	case "remove-background", "remove-foreground", "remove-orphan":
		policy := metav1.DeletionPropagation(strings.ToUpper(a.verb[7:8]) + a.verb[8:])
		_ = sets.Delete(ctx, "default", "kubia", metav1.DeleteOptions{PropagationPolicy: &policy})
	case "orphan":
		_, _ = client.Create(ctx, testbed.Pod("default", fmt.Sprint("orphan-", a.n), kubia))
	case "restart":
		s.stop()
		s.start()
	case "reap":
		for _, p := range pods {
			if p.DeletionTimestamp != nil {
				_ = client.Delete(ctx, "default", p.Name, now)
			}
		}
	}
	if pod == nil {
		return
	}
	switch a.verb {
	case "relabel":
		_, _ = client.Update(ctx, "default", pod.Name, func(p *corev1.Pod) error {
			p.Labels["app"] = map[string]string{"kubia": "foo", "foo": "kubia"}[p.Labels["app"]]
			return nil
		})
	case "kill":
		_ = client.Delete(ctx, "default", pod.Name, now)
	case "delete":
		_ = client.Delete(ctx, "default", pod.Name, metav1.DeleteOptions{})
	case "fail":
		_, _ = client.UpdateStatus(ctx, "default", pod.Name, func(p *corev1.Pod) error { p.Status.Phase = corev1.PodFailed; return nil })
	case "run":
		_ = s.Bind(ctx, "default", pod.Name, "node")
	}
}
