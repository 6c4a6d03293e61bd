package deployment

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"

	"skiff/manifests/podfacts"
	"skiff/manifests/registry"
	"skiff/orchestrator/internal/testbed"
	"skiff/store"
)

// TestClusterConverges holds of the real controllers on a real store what
// TestRolloutsKeepTheirLimits holds of the plans alone.
func TestClusterConverges(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		acts := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) act {
			return act{rapid.SampledFrom(verbs).Draw(r, "verb"), rapid.Int32Range(0, 6).Draw(r, "n")}
		}), 1, 12).Draw(r, "acts")
		var failure string
		synctest.Test(t, func(t *testing.T) { failure = play(t, acts) })
		if failure != "" {
			r.Fatalf("%v: %s", acts, failure)
		}
	})
}

// act is one thing that somebody does to the cluster; n chooses what or how many.
type act struct {
	verb string
	n    int32
}

var verbs = []string{
	"start", "start", "start", "start", "reap", "reap", "image", "image", "scale", "limits", "pause", "strategy", "kill", "break", "scale-set", "delete-set",
}

// stage is a cluster that acts are played on.
type stage struct {
	*bed
	mu     sync.Mutex
	pods   map[types.UID]bool // that are active
	limit  int                // of active pods
	excess string
}

func play(t *testing.T, acts []act) string {
	s := &stage{bed: newBed(t), pods: map[types.UID]bool{}, limit: 4}
	if _, err := s.Feeds.Of("pods").Subscribe(t.Context(), s.count); err != nil {
		t.Fatal(err)
	}
	s.create(3)
	synctest.Wait()
	for _, a := range acts {
		least, sound := s.least(), s.sound()
		s.act(a)
		synctest.Wait()
		if s.excess != "" {
			return fmt.Sprintf("after %v: %s", a, s.excess)
		}
		// What only lets pods start or end must not cost available ones.
		if (a.verb == "start" || a.verb == "reap") && s.sound() < min(sound, least) {
			return fmt.Sprintf("after %v: %d available, %d before, at least %d", a, s.sound(), sound, least)
		}
	}
	s.act(act{"resume", 0})
	s.start()
	return s.judge()
}

// count watches that there are never more active pods than allowed.
func (s *stage) count(e store.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pods, e.Object.GetUID())
	if p, ok := e.Object.(*corev1.Pod); ok && e.Type != watch.Deleted && podfacts.Active(p) {
		s.pods[p.UID] = true
	}
	if len(s.pods) > s.limit && s.excess == "" {
		s.excess = fmt.Sprintf("%d pods of at most %d", len(s.pods), s.limit)
	}
}

// allow sets how many pods there may be from now on: what the Deployment says,
// or what there is and has been ordered already.
func (s *stage) allow() {
	ordered := 0
	for _, rs := range testbed.List[*appsv1.ReplicaSet](s.Bed, "default") {
		ordered += int(present(rs))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = max(int(limitsOf(s.get()).maxTotal()), len(s.pods), ordered)
}

// least is how many pods must stay available: none while sets are scaled in
// proportion, or recreated.
func (s *stage) least() int32 {
	d := s.get()
	if d.Spec.Strategy.Type != appsv1.RollingUpdateDeploymentStrategyType || d.Spec.Paused {
		return 0
	}
	return limitsOf(d).minAvailable()
}

func (s *stage) sound() (n int32) {
	for _, p := range testbed.List[*corev1.Pod](s.Bed, "default") {
		if podfacts.Active(p) && podfacts.Ready(p) {
			n++
		}
	}
	return n
}

func (s *stage) judge() string {
	d := s.get()
	images := map[string]int32{}
	for _, p := range testbed.List[*corev1.Pod](s.Bed, "default") {
		if podfacts.Active(p) {
			images[p.Spec.Containers[0].Image]++
		}
	}
	want := d.Spec.Template.Spec.Containers[0].Image
	if n := images[want]; n != *d.Spec.Replicas || n != int32(len(s.pods)) {
		return fmt.Sprintf("pods of images %v, want %d of %s", images, *d.Spec.Replicas, want)
	}
	if !complete(d, &d.Status) {
		return fmt.Sprintf("status %+v", d.Status)
	}
	return ""
}

// act does something, or nothing when there is nothing to do it to.
func (s *stage) act(a act) {
	ctx := s.t.Context()
	pods := testbed.List[*corev1.Pod](s.Bed, "default")
	sets := testbed.List[*appsv1.ReplicaSet](s.Bed, "default")
	edit := func(change func(*appsv1.Deployment)) {
		testbed.Update(s.Bed, "default", "kubia", func(d *appsv1.Deployment) {
			change(d)
			s.mu.Lock() // before the controller can see it
			s.limit = max(s.limit, int(limitsOf(d).maxTotal()))
			s.mu.Unlock()
		})
		synctest.Wait()
		s.allow()
	}
	switch a.verb {
	case "image":
		edit(func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = fmt.Sprint("v", a.n%3) })
	case "scale":
		edit(func(d *appsv1.Deployment) { d.Spec.Replicas = &a.n })
	case "pause", "resume":
		edit(func(d *appsv1.Deployment) { d.Spec.Paused = a.verb == "pause" && !d.Spec.Paused })
	case "strategy":
		edit(func(d *appsv1.Deployment) {
			d.Spec.Strategy = deploymentOf([]string{"recreate", ""}[a.n%2]).Spec.Strategy
		})
	case "limits":
		edit(func(d *appsv1.Deployment) {
			if d.Spec.Strategy.RollingUpdate != nil {
				d.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{
					MaxSurge: ptr.To(intstr.FromInt32(a.n % 3)), MaxUnavailable: ptr.To(intstr.FromString(fmt.Sprint(a.n*10+1, "%"))),
				}
			}
		})
	case "start":
		for _, p := range pods {
			if p.Spec.NodeName == "" && podfacts.Active(p) {
				s.run(p.Name)
				return
			}
		}
	case "reap":
		for _, p := range pods {
			if p.DeletionTimestamp != nil {
				testbed.Kill[*corev1.Pod](s.Bed, "default", p.Name)
				return
			}
		}
	case "kill":
		if len(pods) > 0 {
			testbed.Kill[*corev1.Pod](s.Bed, "default", pods[int(a.n)%len(pods)].Name)
		}
	case "break":
		if len(pods) > 0 {
			testbed.UpdateStatus(s.Bed, "default", pods[int(a.n)%len(pods)].Name, func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed })
		}
	case "scale-set":
		if len(sets) > 0 {
			s.mu.Lock()
			s.limit += int(a.n)
			s.mu.Unlock()
			testbed.Update(s.Bed, "default", sets[int(a.n)%len(sets)].Name, func(rs *appsv1.ReplicaSet) { rs.Spec.Replicas = &a.n })
			synctest.Wait()
			s.allow()
		}
	case "delete-set":
		if len(sets) > 0 {
			s.deleteSet(ctx, sets[int(a.n)%len(sets)], pods)
		}
	}
}

// deleteSet deletes a set, and its pods as the garbage collector does: until
// they are gone nobody counts them.
func (s *stage) deleteSet(ctx context.Context, rs *appsv1.ReplicaSet, pods []*corev1.Pod) {
	s.mu.Lock()
	s.limit += len(pods)
	s.mu.Unlock()
	background := metav1.DeletePropagationBackground
	_ = registry.For[*appsv1.ReplicaSet](s.Registry).Delete(ctx, "default", rs.Name, metav1.DeleteOptions{PropagationPolicy: &background})
	for _, p := range pods {
		if metav1.IsControlledBy(p, rs) {
			_ = registry.For[*corev1.Pod](s.Registry).Delete(ctx, "default", p.Name, *metav1.NewDeleteOptions(0))
		}
	}
	synctest.Wait()
	s.allow()
}
