package up

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"skiff/cli/terminal"
)

var update = flag.Bool("update", false, "write the screens anew")

const deploymentOf = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: %s, uid: %[1]s}, spec: {replicas: %d}, status: {replicas: %[2]d, readyReplicas: %[3]d, updatedReplicas: %[2]d, availableReplicas: %[3]d}}
`

// What may become of a pod.
const (
	wellPod     = `{phase: Running, conditions: [{type: Ready, status: "True"}], containerStatuses: [{name: kubia, ready: true, containerID: c, state: {running: {}}}]}`
	creatingPod = `{phase: Pending, containerStatuses: [{name: kubia, state: {waiting: {reason: ContainerCreating}}}]}`
	pullingPod  = `{phase: Pending, containerStatuses: [{name: kubia, state: {waiting: {reason: ContainerCreating, message: "Pulling image \"shop/web\": 12.4 of 80.1 MB"}}}]}`
	crashedPod  = `{phase: Running, containerStatuses: [{name: kubia, restartCount: 2, containerID: c2, state: {waiting: {reason: CrashLoopBackOff, message: back-off 20s restarting failed container}}, lastState: {terminated: {exitCode: 1, reason: Error, containerID: c2, startedAt: "2026-11-23T12:00:03Z", finishedAt: "2026-11-23T12:00:04Z"}}}]}`
	probedPod   = `{phase: Running, containerStatuses: [{name: kubia, restartCount: 1, containerID: c2, state: {running: {startedAt: "2026-11-23T12:00:09Z"}}, lastState: {terminated: {exitCode: 137, reason: Error, containerID: c1, startedAt: "2026-11-23T12:00:02Z", finishedAt: "2026-11-23T12:00:08Z"}}}]}`
	killedPod   = `{phase: Running, containerStatuses: [{name: kubia, restartCount: 1, containerID: c2, state: {running: {startedAt: "2026-11-23T12:00:09Z"}}, lastState: {terminated: {exitCode: 137, reason: OOMKilled, containerID: c1, startedAt: "2026-11-23T12:00:02Z", finishedAt: "2026-11-23T12:00:08Z"}}}]}`
	hangingPod  = `{phase: Pending, initContainerStatuses: [{name: migrate, containerID: m, state: {running: {startedAt: "2026-11-23T12:00:02Z"}}}], containerStatuses: [{name: kubia, state: {waiting: {reason: PodInitializing}}}]}`
)

func event(pod, container, kind, reason, message string, second int) *corev1.Event {
	return &corev1.Event{Type: kind, Reason: reason, Message: message, LastTimestamp: metav1.NewTime(noon.Add(time.Duration(second) * time.Second)),
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: pod, FieldPath: "spec.containers{" + container + "}"}}
}

// podsIn are pods of a workload, all in the same state.
func podsIn(owner, state string, names ...string) string {
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, podOf, owner+"-"+name, "set-"+owner, state)
	}
	return b.String()
}

// numbered are n names.
func numbered(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%03d", i)
	}
	return out
}

// TestScreens compares what a terminal shows, at 100 and at 40 columns, with testdata/*.screen.
func TestScreens(t *testing.T) {
	tail := func(i instance, over bool) []string {
		return map[string][]string{
			"api-b/kubia":  {"connecting to db:5432", "panic: cannot open /etc/api/settings.json: no such file or directory"},
			"db-a/migrate": {"waiting for db:5432"},
		}[i.source.Pod+"/"+i.source.Container]
	}
	for _, test := range []struct {
		name, objects string
		events        []*corev1.Event
	}{
		{name: "healthy", objects: fmt.Sprintf(deploymentOf, "web", 50, 50) + podsIn("web", wellPod, numbered(50)...) + "---\n" + fmt.Sprintf(deploymentOf, "api", 2, 2) + podsIn("api", wellPod, "a", "b")},
		{name: "coming", objects: fmt.Sprintf(deploymentOf, "web", 50, 20) + podsIn("web", wellPod, numbered(20)...) + podsIn("web", creatingPod, "x1", "x2", "x3", "x4", "x5") +
			podsIn("web", pullingPod, "y1") + "---\n" + fmt.Sprintf(deploymentOf, "api", 2, 2) + podsIn("api", wellPod, "a", "b")},
		{name: "crashing", objects: fmt.Sprintf(deploymentOf, "web", 2, 2) + podsIn("web", wellPod, "a", "b") + "---\n" + fmt.Sprintf(deploymentOf, "api", 2, 1) + podsIn("api", wellPod, "a") + podsIn("api", crashedPod, "b"),
			events: []*corev1.Event{event("api-b", "kubia", "Warning", "BackOff", "Back-off restarting failed container kubia in pod api-b", 9)}},
		{name: "unhealthy", objects: fmt.Sprintf(deploymentOf, "api", 2, 0) + podsIn("api", probedPod, "a") + podsIn("api", killedPod, "b"),
			events: []*corev1.Event{event("api-a", "kubia", "Warning", "Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 500", 7),
				event("api-a", "kubia", "Normal", "Killing", "Container kubia failed liveness probe, will be restarted", 7)}},
		{name: "hanging", objects: fmt.Sprintf(deploymentOf, "db", 1, 0) + podsIn("db", hangingPod, "a")},
		{name: "many-crash", objects: fmt.Sprintf(deploymentOf, "api", 30, 0) + podsIn("api", crashedPod, numbered(30)...)},
	} {
		for _, width := range []int{100, 40} {
			t.Run(fmt.Sprintf("%s-%d", test.name, width), func(t *testing.T) {
				s := watched(t, test.objects, test.events)
				c := criteria{settle: time.Millisecond, since: noon}
				now := noon.Add(10 * time.Second)
				p := look(s, now, c)
				p.lines = tree{snapshot: s, criteria: c, now: now, tail: tail}.lines(p)
				var out bytes.Buffer
				newView(terminal.Streams{Err: &out, Terminal: terminal.Terminal{Err: true, Size: func() (terminal.Size, bool) { return terminal.Size{Width: width, Height: 30}, true }}}, noon).show(p, now)
				golden(t, fmt.Sprintf("testdata/%s-%d.screen", test.name, width), out.String())
			})
		}
	}
}

// watched is what a mirror would have seen of these objects, some seconds after they were there.
func watched(t *testing.T, objects string, all []*corev1.Event) snapshot {
	t.Helper()
	s := see(t, objects)
	s.history = newHistory()
	for _, p := range s.pods {
		p.Spec.RestartPolicy = corev1.RestartPolicyAlways
		if len(p.Status.InitContainerStatuses) > 0 {
			p.Spec.InitContainers = []corev1.Container{{Name: "migrate"}}
		}
		s.note(p, noon.Add(2*time.Second), false)
	}
	for _, w := range s.workloads {
		s.sets = append(s.sets, &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{UID: "set-" + w.value.GetUID(), Annotations: map[string]string{"deployment.kubernetes.io/revision": "1"},
			OwnerReferences: []metav1.OwnerReference{{UID: w.value.GetUID(), Controller: ptr.To(true)}}}})
	}
	s.incidents = newIncidents(nil, nil, nil, nil).known
	for _, e := range all {
		for _, p := range s.pods {
			if p.Name == e.InvolvedObject.Name {
				e.InvolvedObject.UID = p.UID
			}
		}
		s.incidents.note(e)
	}
	return s
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the screen is another (run with -update after making sure):\n%s\nwant:\n%s", got, want)
	}
}

// BenchmarkView is what one look at fifty pods and one frame cost: at ten a second, 3 ms are 3 % of a core.
func BenchmarkView(b *testing.B) {
	t := &testing.T{}
	s := watched(t, fmt.Sprintf(deploymentOf, "web", 50, 0)+podsIn("web", crashedPod, numbered(50)...), nil)
	c := criteria{settle: time.Millisecond, since: noon}
	var out bytes.Buffer
	v := newView(terminal.Streams{Err: &out, Terminal: terminal.Terminal{Err: true, Size: func() (terminal.Size, bool) { return terminal.Size{Width: 100, Height: 60}, true }}}, noon)
	b.Run("look", func(b *testing.B) {
		for range b.N {
			p := look(s, noon, c)
			p.lines = tree{snapshot: s, criteria: c, now: noon}.lines(p)
			v.show(p, noon)
			out.Reset()
		}
	})
	b.Run("tick", func(b *testing.B) {
		for range b.N {
			v.tick(noon)
			out.Reset()
		}
	})
}
