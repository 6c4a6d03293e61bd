package podgc

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/orchestrator/internal/testbed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// pod makes a pod of a line of words.
func pod(line string) *corev1.Pod {
	words := strings.Fields(line)
	p := testbed.Pod("default", words[0], nil)
	p.Status.Phase = corev1.PodRunning
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "on":
			p.Spec.NodeName = value
		case "phase":
			p.Status.Phase = corev1.PodPhase(value)
		case "evicted":
			p.Status.Phase, p.Status.Reason = corev1.PodFailed, "Evicted"
		case "age":
			d, _ := time.ParseDuration(value)
			p.CreationTimestamp = metav1.NewTime(now.Add(-d))
		case "deleted":
			p.DeletionTimestamp = &metav1.Time{Time: now}
		default:
			panic(w)
		}
	}
	return p
}

func TestPlan(t *testing.T) {
	ready := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "ready"}, Status: corev1.NodeStatus{
		Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}}}
	off := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "off"}, Spec: corev1.NodeSpec{
		Taints: []corev1.Taint{{Key: corev1.TaintNodeOutOfService, Effect: corev1.TaintEffectNoExecute}}}}
	for _, c := range []struct {
		name    string
		pods    []string
		missing map[string]time.Time
		want    string
	}{
		{"nothing", []string{"a on=ready", "b", "c phase=Succeeded on=ready", "d deleted on=ready"}, nil, ""},
		{"too many have ended", []string{"a phase=Succeeded age=3h", "b phase=Failed age=4h", "c phase=Succeeded age=5h", "d age=9h"}, nil,
			"remove pod default/c: 3 pods have ended, 2 are kept"},
		{"evicted ones first", []string{"a phase=Succeeded age=3h", "b evicted age=1h", "c phase=Succeeded age=5h"}, nil,
			"remove pod default/b: 3 pods have ended, 2 are kept"},
		{"then by name", []string{"b phase=Succeeded", "a phase=Succeeded", "c phase=Succeeded"}, nil,
			"remove pod default/a: 3 pods have ended, 2 are kept"},
		{"never scheduled", []string{"a deleted"}, nil, "remove pod default/a: deleted before it had a node"},
		{"missing node", []string{"a on=gone"}, nil, ""},
		{"missing for a while", []string{"a on=gone"}, map[string]time.Time{"gone": now.Add(-39 * time.Second)}, ""},
		{"missing for long", []string{"a on=gone"}, map[string]time.Time{"gone": now.Add(-40 * time.Second)},
			"remove pod default/a: node gone no longer exists"},
		{"back again", []string{"a on=ready"}, map[string]time.Time{"ready": now.Add(-time.Hour)}, ""},
		{"out of service", []string{"a on=off", "b on=off deleted"}, nil,
			"remove pod default/b: deleted, and its node is out of service"},
		{"only once", []string{"a on=gone evicted", "b phase=Failed", "c phase=Failed"}, map[string]time.Time{"gone": now.Add(-time.Hour)},
			"remove pod default/a: 3 pods have ended, 2 are kept"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := snapshot{nodes: []*corev1.Node{ready, off}, missing: c.missing, threshold: 2, now: now}
			for _, line := range c.pods {
				s.pods = append(s.pods, pod(line))
			}
			p := makePlan(s)
			if got := p.String(); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			if _, missing := p.missing["ready"]; missing {
				t.Error("a node that exists is thought to be missing")
			}
		})
	}
}

func TestPodsOfANodeThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := testbed.New(t)
		testbed.Create(b, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "here"}})
		for _, node := range []string{"here", "gone"} {
			p := testbed.Pod("default", "on-"+node, nil)
			p.Spec.NodeName = node
			p.Finalizers = []string{"example.com/hold"} // to see how it ends
			testbed.Create(b, p)
		}
		b.Run(New(Options{Env: b.Env()}).Run)
		phase := func(name string) string {
			p, _ := testbed.Get[*corev1.Pod](b, "default", name)
			text := string(p.Status.Phase)
			for _, c := range p.Status.Conditions {
				if c.Type == corev1.DisruptionTarget {
					text += fmt.Sprintf(" %s %s %s", c.Status, c.Reason, c.Message)
				}
			}
			if p.DeletionTimestamp != nil {
				text += " deleted"
			}
			return text
		}
		time.Sleep(39 * time.Second)
		synctest.Wait()
		if got := phase("on-gone"); got != "Pending" {
			t.Errorf("after 39 s: %s, want Pending", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got, want := phase("on-gone"), "Failed True DeletionByPodGC PodGC: node no longer exists deleted"; got != want {
			t.Errorf("after 41 s: %s, want %s", got, want)
		}
		if got := phase("on-here"); got != "Pending" {
			t.Errorf("the other: %s, want Pending", got)
		}
	})
}
