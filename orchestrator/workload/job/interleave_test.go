package job

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/manifests/podfacts"
	"skiff/manifests/registry"
	"skiff/orchestrator/internal/testbed"
)

// TestEveryOrderOfSteps has the loop of jobs, the loop of orphaned pods and a user go on step by
// step, in orders drawn from seeds. Whatever the order, a job has in the end the pod that it wants.
func TestEveryOrderOfSteps(t *testing.T) {
	for _, c := range []struct {
		name string
		act  func(ctx context.Context, pods registry.Client[*corev1.Pod], pod string)
		// want is what has become of the pods: the first, which was there before, is called old.
		want []string
	}{
		{"a pod loses its owner", disown, []string{"old counts"}},
		{"a pod loses its owner and is deleted", func(ctx context.Context, pods registry.Client[*corev1.Pod], pod string) {
			disown(ctx, pods, pod)
			_ = pods.Delete(ctx, "default", pod, metav1.DeleteOptions{})
		}, []string{"new counts", "new counts, old ending"}},
		{"a pod is isolated", func(ctx context.Context, pods registry.Client[*corev1.Pod], pod string) {
			relabel(ctx, pods, pod, "isolated")
		}, []string{"new counts, old free"}},
		{"a pod is isolated and given back", func(ctx context.Context, pods registry.Client[*corev1.Pod], pod string) {
			labels := relabel(ctx, pods, pod, "isolated")
			relabel(ctx, pods, pod, labels["app"])
		}, []string{"old counts", "new counts", "new counts, old ending", "new ending, old counts"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range testbed.Seeds(t, 40) {
				synctest.Test(t, func(t *testing.T) {
					b, steps := testbed.NewStepped(t)
					if got := interleave(t, b, steps, seed, c.act); !slices.Contains(c.want, got) {
						t.Fatalf("seed %d: %s after\n%s", seed, got, steps.Trace())
					}
				})
			}
		})
	}
}

func disown(ctx context.Context, pods registry.Client[*corev1.Pod], pod string) {
	_, _ = pods.Update(ctx, "default", pod, func(p *corev1.Pod) error { p.OwnerReferences = nil; return nil })
}

// relabel changes the labels by which a pod is selected, and returns those it had.
func relabel(ctx context.Context, pods registry.Client[*corev1.Pod], pod, app string) (had map[string]string) {
	_, _ = pods.Update(ctx, "default", pod, func(p *corev1.Pod) error {
		had, p.Labels = p.Labels, map[string]string{"app": app}
		return nil
	})
	return had
}

func interleave(t *testing.T, b *testbed.Bed, steps *testbed.Steps, seed uint64, act func(context.Context, registry.Client[*corev1.Pod], string)) string {
	b.Run(New(Options{
		Env: b.Env(), Pods: testbed.StepsOf[*corev1.Pod](b, steps), Jobs: testbed.StepsOf[*batchv1.Job](b, steps), Workers: 2,
	}).Run)
	j := newJob("calc", 1, 1)
	manual := true
	j.Spec.ManualSelector, j.Spec.Selector = &manual, &metav1.LabelSelector{MatchLabels: map[string]string{"app": "calc"}}
	j.Spec.Template.Labels = map[string]string{"app": "calc"}
	testbed.Create(b, j)
	synctest.Wait()
	old := testbed.List[*corev1.Pod](b, "default")[0]

	steps.Interleave(seed, func() { act(t.Context(), registry.For[*corev1.Pod](b.Registry), old.Name) })
	time.Sleep(time.Minute) // a pod that counts as failed is not replaced at once
	synctest.Wait()

	j, _ = testbed.Get[*batchv1.Job](b, "default", "calc")
	var pods []string
	for _, p := range testbed.List[*corev1.Pod](b, "default") {
		name := map[bool]string{true: "old", false: "new"}[p.UID == old.UID]
		pods = append(pods, name+" "+stateOf(p, j))
	}
	slices.Sort(pods)
	return strings.Join(pods, ", ")
}

// stateOf is what a pod is to a job.
func stateOf(p *corev1.Pod, j *batchv1.Job) string {
	switch {
	case !podfacts.Active(p):
		return "ending"
	case metav1.IsControlledBy(p, j) && tracked(p):
		return "counts"
	case metav1.GetControllerOf(p) == nil && !tracked(p):
		return "free"
	}
	return fmt.Sprintf("has owners %v and finalizers %v", p.OwnerReferences, p.Finalizers)
}
