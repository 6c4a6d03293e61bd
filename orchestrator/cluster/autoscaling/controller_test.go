package autoscaling

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/internal/testbed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// meter says that each pod uses as much.
type meter struct {
	mu    sync.Mutex
	use   string
	asked int
}

// set sets what each pod uses.
func (m *meter) set(use string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.use = use
}

// times is how often somebody has asked.
func (m *meter) times() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked
}

func (m *meter) Pods(_ context.Context, pods []*corev1.Pod) (out []metricsv1beta1.PodMetrics, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	for _, p := range pods {
		out = append(out, metricsv1beta1.PodMetrics{
			ObjectMeta: metav1.ObjectMeta{Name: p.Name}, Timestamp: metav1.Now(),
			Containers: []metricsv1beta1.ContainerMetrics{{Name: "main", Usage: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(m.use)}}},
		})
	}
	return out, nil
}

// deployed makes a deployment of one pod that runs.
func deployed(b *testbed.Bed, name string) {
	labels := map[string]string{"app": "kubia"}
	spec := testbed.PodSpec()
	spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}
	testbed.Create(b, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: appsv1.DeploymentSpec{Replicas: ptr.To[int32](1), Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec}},
	})
	p := testbed.Pod("default", name+"-pod", labels)
	p.Spec = spec
	testbed.Create(b, p)
	testbed.UpdateStatus(b, "default", name+"-pod", func(p *corev1.Pod) {
		p.Status.Phase, p.Status.StartTime = corev1.PodRunning, ptr.To(metav1.NewTime(time.Now().Add(-time.Hour)))
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(time.Now().Add(-time.Hour))}}
	})
}

func scaler(name, target string) *autoscalingv2.HorizontalPodAutoscaler {
	return &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: target}, MaxReplicas: 5,
			Metrics: []autoscalingv2.MetricSpec{cpu("50%")},
		},
	}
}

func TestATargetIsScaledInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, m := testbed.New(t), &meter{use: "50m"}
		deployed(b, "kubia")
		b.Run(New(Options{Env: b.Env(), Meter: m, Workers: 2}).Run)
		synctest.Wait()
		if m.times() > 0 {
			t.Error("pods are measured for nobody")
		}
		testbed.Create(b, scaler("kubia", "kubia"))
		synctest.Wait()
		replicas := func(want int32) {
			t.Helper()
			synctest.Wait()
			if d, _ := testbed.Get[*appsv1.Deployment](b, "default", "kubia"); *d.Spec.Replicas != want {
				t.Errorf("%d replicas, want %d", *d.Spec.Replicas, want)
			}
		}
		replicas(1)
		time.Sleep(time.Second)
		m.set("140m")
		time.Sleep(Period)
		replicas(3)
		if e := b.Recorder.Take(); !strings.Contains(e, "Normal SuccessfulRescale kubia: New size: 3; reason: cpu resource utilization (percentage of request) above target") {
			t.Errorf("events %s", e)
		}
		a, _ := testbed.Get[*autoscalingv2.HorizontalPodAutoscaler](b, "default", "kubia")
		if s := a.Status; s.CurrentReplicas != 1 || s.DesiredReplicas != 3 || s.LastScaleTime == nil || s.Conditions[0].Reason != "SucceededRescale" || *s.ObservedGeneration != 1 {
			t.Errorf("status %+v", s)
		}
		asked := m.times()
		time.Sleep(4*Period - time.Second)
		synctest.Wait()
		if n := m.times() - asked; n > 4 {
			t.Errorf("looked %d times in four periods: its own writes make it look", n)
		}
		testbed.Update(b, "default", "kubia", func(a *autoscalingv2.HorizontalPodAutoscaler) { a.Spec.MaxReplicas = 2 })
		replicas(2) // at once
		testbed.Delete[*autoscalingv2.HorizontalPodAutoscaler](b, "default", "kubia")
		synctest.Wait()
		asked = m.times()
		time.Sleep(time.Hour)
		if m.times() != asked {
			t.Error("it looks for an autoscaler that is gone")
		}
	})
}

func TestTargetsThatCanNotBeScaled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, m := testbed.New(t), &meter{use: "50m"}
		deployed(b, "kubia")
		b.Run(New(Options{Env: b.Env(), Meter: m}).Run)
		expect := func(name, want string) {
			t.Helper()
			synctest.Wait()
			a, _ := testbed.Get[*autoscalingv2.HorizontalPodAutoscaler](b, "default", name)
			var got []string
			for _, c := range a.Status.Conditions {
				got = append(got, fmt.Sprintf("%s %s %s", c.Type, c.Status, c.Reason))
			}
			if text := strings.Join(got, ", "); text != want {
				t.Errorf("%s: got %s, want %s", name, text, want)
			}
		}
		testbed.Create(b, scaler("none", "gone"))
		expect("none", "AbleToScale False FailedGetScale")
		strange := scaler("strange", "x")
		strange.Spec.ScaleTargetRef.Kind = "Gadget"
		testbed.Create(b, strange)
		expect("strange", "AbleToScale False FailedGetScale")
		fixed := scaler("fixed", "kubia-pod")
		fixed.Spec.ScaleTargetRef.Kind, fixed.Spec.ScaleTargetRef.APIVersion = "DaemonSet", "apps/v1"
		testbed.Create(b, fixed)
		expect("fixed", "AbleToScale False FailedGetScale")
		testbed.Create(b, scaler("one", "kubia"))
		expect("one", "AbleToScale True ReadyForNewScale, ScalingActive True ValidMetricFound, ScalingLimited False DesiredWithinRange")
		testbed.Create(b, scaler("two", "kubia"))
		expect("two", "AbleToScale True SucceededGetScale, ScalingActive False AmbiguousSelector")
		testbed.Delete[*autoscalingv2.HorizontalPodAutoscaler](b, "default", "one")
		time.Sleep(Period)
		expect("two", "AbleToScale True ReadyForNewScale, ScalingActive True ValidMetricFound, ScalingLimited False DesiredWithinRange")
	})
}
