package podfacts

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// running is a pod in phase Running that has been ready for a time, or is not ready if that is nil.
func running(ready *time.Duration) *corev1.Pod {
	p := &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodRunning}}
	c := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: metav1.NewTime(now)}
	if ready != nil {
		c.Status, c.LastTransitionTime = corev1.ConditionTrue, metav1.NewTime(now.Add(-*ready))
	}
	p.Status.Conditions = []corev1.PodCondition{c}
	return p
}

func deleting(p *corev1.Pod) *corev1.Pod {
	p.DeletionTimestamp = ptr.To(metav1.NewTime(now))
	return p
}

func inPhase(phase corev1.PodPhase) *corev1.Pod {
	return &corev1.Pod{Status: corev1.PodStatus{Phase: phase}}
}

func TestLifecycle(t *testing.T) {
	type facts struct{ active, terminating, terminal, ready, available bool }
	for _, c := range []struct {
		name string
		pod  *corev1.Pod
		want facts
	}{
		{"ready for an hour", running(ptr.To(time.Hour)), facts{active: true, ready: true, available: true}},
		{"ready for 59s", running(ptr.To(59 * time.Second)), facts{active: true, ready: true}},
		{"ready for 60s", running(ptr.To(time.Minute)), facts{active: true, ready: true, available: true}},
		{"ready in the future", running(ptr.To(-time.Minute)), facts{active: true, ready: true}},
		{"not ready", running(nil), facts{active: true}},
		{"deleted and ready", deleting(running(ptr.To(time.Hour))), facts{terminating: true, ready: true, available: true}},
		{"succeeded", inPhase(corev1.PodSucceeded), facts{terminal: true}},
		{"failed and deleted", deleting(inPhase(corev1.PodFailed)), facts{terminal: true}},
		{"pending and deleted", deleting(inPhase(corev1.PodPending)), facts{terminating: true}},
		{"unknown", inPhase(corev1.PodUnknown), facts{active: true}},
	} {
		got := facts{Active(c.pod), Terminating(c.pod), Terminal(c.pod), Ready(c.pod), Available(c.pod, time.Minute, now)}
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestAvailableWithoutTransitionTime(t *testing.T) {
	p := running(ptr.To(time.Hour))
	p.Status.Conditions[0].LastTransitionTime = metav1.Time{}
	if !Available(p, 0, now) || Available(p, time.Second, now) {
		t.Error("a pod that does not say since when it is ready is available with minReady 0 alone")
	}
}

func TestNextAvailable(t *testing.T) {
	pods := []*corev1.Pod{
		running(ptr.To(50 * time.Second)), running(ptr.To(10 * time.Second)), running(ptr.To(2 * time.Minute)), running(nil),
	}
	if got := NextAvailable(pods, time.Minute, now); got != 10*time.Second {
		t.Errorf("next in %s, want 10s", got)
	}
	if got := NextAvailable(pods[2:], time.Minute, now); got != 0 {
		t.Errorf("next in %s, want none", got)
	}
}

func TestSidecar(t *testing.T) {
	p := &corev1.Pod{Spec: corev1.PodSpec{
		InitContainers: []corev1.Container{
			{Name: "init"},
			{Name: "never", RestartPolicy: ptr.To(corev1.ContainerRestartPolicyNever)},
			{Name: "sidecar", RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways)},
		},
		Containers: []corev1.Container{{Name: "main", RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways)}},
	}}
	for name, want := range map[string]bool{"init": false, "never": false, "sidecar": true, "main": false, "absent": false} {
		if got := HasSidecar(p, name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
