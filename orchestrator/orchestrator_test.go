package orchestrator_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"skiff/orchestrator"
	"skiff/orchestrator/internal/testbed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node makes a node that is ready.
func node(b *testbed.Bed, name string) {
	testbed.Create(b, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}})
	testbed.UpdateStatus(b, "", name, func(n *corev1.Node) {
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
		n.Status.Allocatable = corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("8Gi"), corev1.ResourcePods: resource.MustParse("110"),
		}
	})
}

func controller(replicas int32) *corev1.ReplicationController {
	labels := map[string]string{"app": "kubia"}
	return &corev1.ReplicationController{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubia"},
		Spec: corev1.ReplicationControllerSpec{
			Replicas: &replicas, Selector: labels,
			Template: &corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: testbed.PodSpec()},
		},
	}
}

// events are the stored events of a namespace, without the names of pods.
func events(b *testbed.Bed, namespace string) string {
	var lines []string
	for _, e := range testbed.List[*corev1.Event](b, namespace) {
		message, _, _ := strings.Cut(e.Message, "kubia-")
		lines = append(lines, fmt.Sprintf("%s %s %s %s: %s", e.InvolvedObject.Kind, e.Type, e.Reason, e.Source.Component, message))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestControllersTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := testbed.New(t)
		o := orchestrator.New(orchestrator.Options{Registry: b.Registry, RootCA: []byte("pem"), Metrics: prometheus.NewRegistry()})
		stop := b.Run(func(ctx context.Context) error { return o.Run(ctx) })
		node(b, "laptop")
		synctest.Wait() // else the scheduler may hear of the pods first, and complains that there is no node
		testbed.Create(b, controller(3))
		synctest.Wait()
		pods := testbed.List[*corev1.Pod](b, "default")
		if len(pods) != 3 {
			t.Fatalf("%d pods, want 3", len(pods))
		}
		for _, p := range pods {
			if p.Spec.NodeName != "laptop" || p.Spec.ServiceAccountName != "default" || p.Spec.Priority == nil {
				t.Errorf("pod %s is on %q, account %q, priority %v", p.Name, p.Spec.NodeName, p.Spec.ServiceAccountName, p.Spec.Priority)
			}
		}
		want := strings.Join(slices.Concat(
			[]string{"Node Normal RegisteredNode node-controller: Node laptop event: Registered Node laptop in Controller"},
			slices.Repeat([]string{"Pod Normal Scheduled default-scheduler: Successfully assigned default/"}, 3),
			slices.Repeat([]string{"ReplicationController Normal SuccessfulCreate replication-controller: Created pod: "}, 3)), "\n")
		if got := events(b, "default"); got != want {
			t.Errorf("events\n%s\nwant\n%s", got, want)
		}
		testbed.Delete[*corev1.ReplicationController](b, "default", "kubia", metav1.DeletePropagationForeground)
		synctest.Wait()
		for _, p := range testbed.List[*corev1.Pod](b, "default") {
			if p.DeletionTimestamp == nil {
				t.Errorf("pod %s of a controller that is being deleted stays", p.Name)
			}
			testbed.Kill[*corev1.Pod](b, "default", p.Name)
		}
		synctest.Wait()
		if _, ok := testbed.Get[*corev1.ReplicationController](b, "default", "kubia"); ok {
			t.Error("the controller outlives its pods")
		}
		stop()
	})
}

// TestEventsOfTheEndAreWritten holds that what is recorded while all comes to an
// end is kept.
func TestEventsOfTheEndAreWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := testbed.New(t)
		o := orchestrator.New(orchestrator.Options{Registry: b.Registry})
		recorder := o.Recorder("kubelet", "laptop")
		agent := runner(func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(time.Second) // it has something to put in order
			recorder.Event(testbed.Pod("default", "p", nil), corev1.EventTypeNormal, "Killing", "Stopping container")
			return nil
		})
		stop := b.Run(func(ctx context.Context) error { return o.Run(ctx, agent) })
		synctest.Wait()
		stop()
		if got, want := events(b, "default"), "Pod Normal Killing kubelet: Stopping container"; got != want {
			t.Errorf("events %q, want %q", got, want)
		}
	})
}

func TestOneThatFailsEndsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := testbed.New(t)
		o := orchestrator.New(orchestrator.Options{Registry: b.Registry})
		broken := errors.New("broken")
		ended := make(chan error, 1)
		go func() {
			ended <- o.Run(t.Context(), runner(func(context.Context) error { return broken }))
		}()
		if err := <-ended; !errors.Is(err, broken) {
			t.Errorf("ended with %v, want %v", err, broken)
		}
	})
}

type runner func(context.Context) error

func (r runner) Run(ctx context.Context) error { return r(ctx) }

// TestNothingHappensAtRest holds that controllers that have nothing to do write
// nothing, whatever they look at from time to time.
func TestNothingHappensAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := testbed.New(t)
		// The node has no agent, and is not to be missed.
		o := orchestrator.New(orchestrator.Options{Registry: b.Registry, RootCA: []byte("pem"), NodeGracePeriod: time.Hour})
		stop := b.Run(func(ctx context.Context) error { return o.Run(ctx) })
		node(b, "laptop")
		rc := controller(3)
		rc.Spec.Template.Spec.NodeSelector = map[string]string{"no": "such"}
		rc.Spec.MinReadySeconds = 5
		testbed.Create(b, rc)
		testbed.Update(b, "default", "kubia", func(rc *corev1.ReplicationController) { rc.Spec.Replicas = ptr.To[int32](2) })
		time.Sleep(time.Minute)
		synctest.Wait()
		before := b.Store.Revision()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if after := b.Store.Revision(); after != before {
			t.Errorf("%d writes in ten minutes, want none", after-before)
		}
		stop()
	})
}
