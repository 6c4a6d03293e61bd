package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"skiff/cli/clitest"
	"skiff/cli/command"
	"skiff/cli/terminal"
	"skiff/daemon/config"
	"skiff/daemon/datadir"
)

// screen is a stream whose reader can wait for text to appear on it.
type screen struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func newScreen() *screen { return &screen{changed: make(chan struct{})} }

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// await blocks until text stands on the screen; the test fails when it never does.
func (s *screen) await(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		s.mu.Lock()
		found, changed := strings.Contains(s.text.String(), text), s.changed
		s.mu.Unlock()
		if found {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%q did not appear; there is:\n%s", text, s)
		}
	}
}

// running is a command under way.
type running struct {
	out, err *screen
	code     chan int
	ended    chan struct{}
	cancel   context.CancelFunc
	signals  chan os.Signal
}

// start begins a command line that goes on until something happens. It has to end with its test.
func (w *world) start(t *testing.T, argv ...string) *running {
	r := &running{out: newScreen(), err: newScreen(), code: make(chan int, 1), ended: make(chan struct{}), signals: make(chan os.Signal, 2)}
	ctx, cancel := context.WithCancel(t.Context())
	r.cancel = cancel
	t.Cleanup(func() {
		cancel()
		select {
		case <-r.ended:
		case <-time.After(20 * time.Second):
			t.Errorf("skiff %s goes on after its test; stderr:\n%s", strings.Join(argv, " "), r.err)
		}
	})
	env := &command.Env{Clock: w.clock, Dash: -1, Lookup: func(k string) (string, bool) { v, ok := w.env[k]; return v, ok },
		Streams: terminal.Streams{In: strings.NewReader(""), Out: r.out, Err: r.err, Terminal: terminal.Terminal{
			Interrupts: func() (<-chan os.Signal, func()) { return r.signals, func() {} }}}}
	go func() {
		defer close(r.ended)
		r.code <- run(ctx, env, append([]string{"skiff", "--server=" + w.server.URL}, argv...), Server{})
	}()
	return r
}

// ends waits for the exit code.
func (r *running) ends(t *testing.T, want int) {
	t.Helper()
	select {
	case code := <-r.code:
		if code != want {
			t.Errorf("exit code %d, want %d; stderr:\n%s", code, want, r.err)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("the command does not end; stdout:\n%s\nstderr:\n%s", r.out, r.err)
	}
}

func manifests(t *testing.T) {
	t.Helper()
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Join(root, "testdata", "manifests"))
}

func pod(name, phase string) map[string]any {
	return map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": name, "labels": map[string]any{"app": "kubia"}}, "status": map[string]any{"phase": phase}}
}

func setPhase(phase string) func(map[string]any) {
	return func(o map[string]any) { o["status"] = map[string]any{"phase": phase} }
}

func TestGetWatch(t *testing.T) {
	w := newWorld(t)
	w.server.Put(pod("a", "Pending"))
	r := w.start(t, "get", "pods", "-w", "--output-watch-events")
	r.out.await(t, "ADDED      a      Pending   0s\n")
	w.server.Change("Pod", "a", setPhase("Running"))
	r.out.await(t, "MODIFIED   a      Running   0s\n")
	w.server.Put(pod("b", "Pending"))
	w.server.Remove("Pod", "a")
	r.out.await(t, "DELETED    a      Running   0s\n")
	r.cancel()
	r.ends(t, 130)
	if n := strings.Count(r.out.String(), "NAME"); n != 1 {
		t.Errorf("%d headers:\n%s", n, r.out)
	}
}

func TestGetWatchOneObject(t *testing.T) {
	w := newWorld(t)
	w.server.Put(pod("a", "Pending"))
	w.server.Put(pod("b", "Pending"))
	r := w.start(t, "get", "pod", "a", "-w", "-o", "jsonpath={.metadata.name}={.status.phase} ")
	r.out.await(t, "a=Pending ")
	w.server.Change("Pod", "b", setPhase("Failed"))
	w.server.Change("Pod", "a", setPhase("Running"))
	r.out.await(t, "a=Running ")
	r.cancel()
	r.ends(t, 130)
	if r.out.String() != "a=Pending a=Running " {
		t.Errorf("got %q", r.out)
	}
}

func TestWaitForCondition(t *testing.T) {
	w := newWorld(t)
	w.server.Put(pod("a", "Pending"))
	r := w.start(t, "wait", "pod/a", "--for=jsonpath={.status.phase}=Running")
	awaitWatchers(t, w.server)
	w.server.Change("Pod", "a", setPhase("Failed"))
	w.server.Change("Pod", "a", setPhase("Running"))
	r.ends(t, 0)
	if r.out.String() != "pod/a condition met\n" {
		t.Errorf("got %q", r.out)
	}
}

// awaitWatchers waits until somebody watches.
func awaitWatchers(t *testing.T, s *clitest.Server) {
	t.Helper()
	select {
	case <-s.Watched():
	case <-time.After(20 * time.Second):
		t.Fatal("nobody watches")
	}
}

func TestWaitForDeletionAndCreation(t *testing.T) {
	w := newWorld(t)
	w.server.Put(pod("a", "Running"))
	r := w.start(t, "wait", "pod/a", "--for=delete")
	awaitWatchers(t, w.server)
	w.server.Remove("Pod", "a")
	r.ends(t, 0)
	r = w.start(t, "wait", "pod/b", "--for=create")
	awaitWatchers(t, w.server)
	w.server.Put(pod("b", "Running"))
	r.ends(t, 0)
}

func TestDeleteWaitsForFinalizers(t *testing.T) {
	w := newWorld(t)
	p := pod("a", "Running")
	p["metadata"].(map[string]any)["finalizers"] = []any{"example.org/x"}
	w.server.Put(p)
	r := w.start(t, "delete", "pod", "a", "--cascade=foreground")
	r.out.await(t, "pod \"a\" deleted\n")
	awaitWatchers(t, w.server)
	select {
	case code := <-r.code:
		t.Fatalf("ended with %d while the object is still there", code)
	default:
	}
	w.server.Remove("Pod", "a")
	r.ends(t, 0)
	if calls := w.server.Calls(); !strings.Contains(calls[0], `"propagationPolicy":"Foreground"`) {
		t.Errorf("asked: %s", calls[0])
	}
}

// A new object of the same name is not the one that was to go.
func TestDeleteDoesNotWaitForTheNextOne(t *testing.T) {
	w := newWorld(t)
	p := pod("a", "Running")
	p["metadata"].(map[string]any)["finalizers"] = []any{"example.org/x"}
	w.server.Put(p)
	r := w.start(t, "delete", "pod", "a")
	r.out.await(t, "deleted")
	w.server.Remove("Pod", "a")
	w.server.Put(pod("a", "Pending"))
	r.ends(t, 0)
}

func TestEventsWatch(t *testing.T) {
	w := newWorld(t)
	r := w.start(t, "events", "-w")
	awaitWatchers(t, w.server)
	w.server.Put(map[string]any{"apiVersion": "v1", "kind": "Event", "metadata": map[string]any{"name": "e"}, "type": "Normal", "reason": "Pulled",
		"involvedObject": map[string]any{"kind": "Pod", "name": "a"}, "message": "there", "firstTimestamp": "2026-11-23T09:59:00Z"})
	r.out.await(t, "60s         Normal   Pulled   Pod/a    there\n")
	r.cancel()
	r.ends(t, 130)
}

// comeUp makes the replication controller of rc.yaml do its work: pods whose readiness a probe
// vouches for, and then a status.
func comeUp(s *clitest.Server) { bringUp(s, "2026-11-23T09:59:00Z", map[string]any{}) }

// comeUpSince is comeUp for pods without a probe.
func comeUpSince(s *clitest.Server, since string) { bringUp(s, since, nil) }

func bringUp(s *clitest.Server, since string, probe map[string]any) {
	for _, name := range []string{"kubia-x", "kubia-y", "kubia-z"} {
		p := ownPod(s, name, map[string]any{"phase": "Running", "conditions": []any{map[string]any{"type": "Ready", "status": "True"}},
			"containerStatuses": []any{map[string]any{"name": "kubia", "ready": true, "containerID": "docker://" + name, "restartCount": int64(0), "image": "i", "imageID": "",
				"state": map[string]any{"running": map[string]any{"startedAt": since}}}}})
		if probe != nil {
			p["spec"].(map[string]any)["containers"].([]any)[0].(map[string]any)["readinessProbe"] = probe
		}
		s.Put(p)
	}
	s.Change("ReplicationController", "kubia", func(o map[string]any) {
		o["status"] = map[string]any{"replicas": int64(3), "readyReplicas": int64(3), "observedGeneration": int64(1)}
	})
}

// ownPod is a pod of the replication controller of rc.yaml.
func ownPod(s *clitest.Server, name string, status map[string]any) map[string]any {
	uid := s.Get("ReplicationController", "kubia").GetUID()
	return map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": name, "ownerReferences": []any{map[string]any{"apiVersion": "v1", "kind": "ReplicationController", "name": "kubia", "uid": string(uid), "controller": true}}},
		"spec": map[string]any{"restartPolicy": "Always", "containers": []any{map[string]any{"name": "kubia", "image": "i"}}}, "status": status}
}

func TestUpDetached(t *testing.T) {
	manifests(t)
	w := newWorld(t)
	r := w.start(t, "up", "-f", "rc.yaml", "-d")
	r.err.await(t, "replicationcontroller/kubia: 0/3 ready\n")
	comeUp(w.server)
	r.ends(t, 0)
	for _, l := range []string{"replicationcontroller/kubia created\n", "replicationcontroller/kubia: 3/3 ready\n"} {
		if !strings.Contains(r.err.String(), l) {
			t.Errorf("%q is missing in:\n%s", l, r.err)
		}
	}
	if r.out.String() != "" {
		t.Errorf("stdout is for data: %q", r.out)
	}
}

// What is up is reached somewhere: up says where, once, after all is up.
func TestUpSaysWhereItIsReached(t *testing.T) {
	manifests(t)
	w := newWorld(t)
	w.server.Put(map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "skiff", "namespace": "kube-public"}, "data": map[string]any{"frontDoor": "127.0.0.1:7480"}})
	w.server.Put(map[string]any{"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": "other"}, "spec": map[string]any{"ports": []any{map[string]any{"port": int64(80)}}}})
	rc, err := os.ReadFile("rc.yaml")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	writeManifest(t, string(rc)+"\n---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n---\n"+
		"apiVersion: v1\nkind: Service\nmetadata: {name: db}\nspec: {ports: [{port: 5432}]}\n")
	r := w.start(t, "up", "-f", "job.yaml", "-d")
	r.err.await(t, "replicationcontroller/kubia: 0/3 ready\n")
	comeUp(w.server)
	r.ends(t, 0)
	said := r.err.String()
	if want := "service/web: http://web.localhost:7480\n"; !strings.HasSuffix(said, want) || strings.Count(said, "http:") != 1 {
		t.Errorf("stderr:\n%swant at its end, and nowhere else:\n%s", said, want)
	}
}

// Where services may not be listed, or there is no such kind, up and ps say nothing about them.
func TestAddressesThatMayNotBeLookedAt(t *testing.T) {
	manifests(t)
	w := newWorld(t)
	w.server.Hidden = []string{"services", "ingresses"}
	r := w.start(t, "up", "-f", "rc.yaml", "-d")
	r.err.await(t, "replicationcontroller/kubia: 0/3 ready\n")
	comeUp(w.server)
	r.ends(t, 0)
	if strings.Contains(r.err.String(), "warning") {
		t.Errorf("stderr:\n%s", r.err)
	}
	w.server.Put(pod("a", "Running"))
	if out, errOut, code := w.run(t.Context(), "ps"); code != 0 || errOut != "" || strings.Contains(out, "ADDRESS") {
		t.Errorf("ps: exit code %d, %q, %q", code, out, errOut)
	}
}

// A container without a readiness probe is ready the moment it runs; it is up when it goes on
// running.
func TestUpWaitsUntilContainersHaveSettled(t *testing.T) {
	manifests(t)
	for _, test := range []struct {
		name string
		args []string
		wait time.Duration
	}{{"by default", nil, shortSettle}, {"with --wait", []string{"--wait"}, time.Second}, {"with --settle", []string{"--settle=3s"}, 3 * time.Second}} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			r := w.start(t, append([]string{"up", "-f", "rc.yaml", "-d"}, test.args...)...)
			r.err.await(t, "0/3 ready")
			comeUpSince(w.server, "2026-11-23T10:00:00Z")
			for _, seen := range []string{"3/3 ready\n", "pod/kubia-x: Running\n", "pod/kubia-y: Running\n", "pod/kubia-z: Running\n"} {
				r.err.await(t, seen)
			}
			eventually(t, func() bool { return w.clock.Waiters() == settlingWaiters })
			w.clock.Step(test.wait - time.Millisecond)
			select {
			case code := <-r.code:
				t.Fatalf("up before the containers have run for %s: exit code %d", test.wait, code)
			case <-time.After(100 * time.Millisecond):
			}
			w.clock.Step(time.Millisecond)
			r.ends(t, 0)
		})
	}
	w := newWorld(t)
	r := w.start(t, "up", "-f", "rc.yaml", "-d", "--settle=0")
	r.err.await(t, "0/3 ready")
	comeUpSince(w.server, "2026-11-23T10:00:00Z")
	r.ends(t, 0)
}

// settlingWaiters are the timers of up while containers settle: the timeout, the ticker and the
// time they take.
const settlingWaiters = 3

const shortSettle = 500 * time.Millisecond

// Containers that end as soon as they have started are no application that is up, even though each
// was ready for a moment.
func TestUpFailsForAContainerThatEndsAtOnce(t *testing.T) {
	manifests(t)
	w := newWorld(t)
	w.server.Logs["kubia-x/kubia"] = "cannot open /etc/kubia\n"
	r := w.start(t, "up", "-f", "rc.yaml", "-d")
	r.err.await(t, "0/3 ready")
	comeUpSince(w.server, "2026-11-23T10:00:00Z")
	r.err.await(t, "3/3 ready\n")
	// Started again at once, it looks well: it is ready, and has been restarted once.
	w.server.Change("Pod", "kubia-x", func(o map[string]any) {
		s := o["status"].(map[string]any)["containerStatuses"].([]any)[0].(map[string]any)
		s["restartCount"], s["containerID"] = int64(1), "docker://again"
		s["lastState"] = map[string]any{"terminated": map[string]any{"exitCode": int64(3), "reason": "Error", "startedAt": "2026-11-23T10:00:00Z", "finishedAt": "2026-11-23T10:00:00Z"}}
	})
	r.ends(t, 1)
	want := "error: pod/kubia-x cannot come up: container kubia ended with exit code 3 (Error) soon after its start\n  kubia | cannot open /etc/kubia\n"
	if !strings.Contains(r.err.String(), want) {
		t.Errorf("%q is missing in:\n%s", want, r.err)
	}
}

// standsStill makes the replication controller of rc.yaml do what it is told: it has no pods any more.
func standsStill(s *clitest.Server) {
	for _, name := range []string{"kubia-x", "kubia-y", "kubia-z"} {
		s.Remove("Pod", name)
	}
	s.Change("ReplicationController", "kubia", func(o map[string]any) {
		o["status"] = map[string]any{"replicas": int64(0), "observedGeneration": int64(1)}
	})
}

// Ctrl-C stops the application and deletes nothing of it; the next up sets it going again, with as many
// replicas as it had.
func TestUpFollowsLogsAndStops(t *testing.T) {
	manifests(t)
	w := newWorld(t)
	w.server.Logs["kubia-x/kubia"] = "kubia server is starting...\n"
	r := w.start(t, "up", "-f", "rc.yaml")
	r.err.await(t, "0/3 ready")
	comeUp(w.server)
	r.out.await(t, "kubia-x | kubia server is starting...\n")
	r.signals <- os.Interrupt
	r.err.await(t, "replicationcontroller/kubia: stopping\n")
	standsStill(w.server)
	r.ends(t, 130)
	rc := w.server.Get("ReplicationController", "kubia")
	if n, _, _ := unstructured.NestedInt64(rc.Object, "spec", "replicas"); n != 0 || rc.GetAnnotations()["skiff/replicas"] != "3" {
		t.Errorf("it has %d replicas, and remembers %q", n, rc.GetAnnotations()["skiff/replicas"])
	}
	const want = "replicationcontroller/kubia stopped\nStopped; the objects, volume claims and their data are kept.\n" +
		"  skiff up -f rc.yaml     goes on, and follows the logs\n" +
		"  skiff start -f rc.yaml  goes on in the background, with as many replicas as before\n" +
		"  skiff down -f rc.yaml   deletes it, and keeps volume claims\n"
	if !strings.HasSuffix(r.err.String(), want) {
		t.Errorf("stderr:\n%swant at its end:\n%s", r.err, want)
	}
	for _, c := range w.server.Calls() {
		if strings.HasPrefix(c, "DELETE") {
			t.Errorf("asked for %q", c)
		}
	}
	r = w.start(t, "up", "-f", "rc.yaml")
	r.err.await(t, "0/3 ready")
	rc = w.server.Get("ReplicationController", "kubia")
	if n, _, _ := unstructured.NestedInt64(rc.Object, "spec", "replicas"); n != 3 || rc.GetAnnotations()["skiff/replicas"] != "" {
		t.Errorf("after another up it has %d replicas, and remembers %q", n, rc.GetAnnotations()["skiff/replicas"])
	}
	standsStillOnInterrupt(t, w, r)
}

// With --rm Ctrl-C deletes what was started.
func TestUpRemovesWhatItStarted(t *testing.T) {
	manifests(t)
	w := newWorld(t)
	r := w.start(t, "up", "-f", "rc.yaml", "--rm")
	r.err.await(t, "0/3 ready")
	comeUp(w.server)
	r.err.await(t, "3/3 ready\n")
	r.signals <- os.Interrupt
	r.ends(t, 130)
	if w.server.Get("ReplicationController", "kubia") != nil {
		t.Error("what was started is still there")
	}
	if !strings.Contains(r.err.String(), "replicationcontroller/kubia deleted\n") {
		t.Errorf("stderr:\n%s", r.err)
	}
}

// What was there before is deleted by no interrupt; it is part of the application that is stopped, unless
// only what was started is to be removed.
func TestUpStopsOnlyWhatItStarted(t *testing.T) {
	manifests(t)
	for _, flag := range []string{"--rm=false", "--rm"} {
		w := newWorld(t)
		if _, errOut, code := w.run(t.Context(), "apply", "-f", "rc.yaml"); code != 0 {
			t.Fatal(errOut)
		}
		r := w.start(t, "up", "-f", "rc.yaml", "--project=", flag) // the set's label would be a change
		r.err.await(t, "replicationcontroller/kubia unchanged\n")
		r.err.await(t, "0/3 ready")
		if flag != "--rm" {
			standsStill(w.server)
		}
		r.cancel()
		r.ends(t, 130)
		if w.server.Get("ReplicationController", "kubia") == nil {
			t.Errorf("up %s: deleted what was there before", flag)
		}
	}
}

// A second Ctrl-C does not wait for the pods: they are ended at once.
func TestUpSecondInterruptForces(t *testing.T) {
	manifests(t)
	for _, args := range [][]string{{"up", "-f", "rc.yaml"}, {"up", "-f", "rc.yaml", "--rm"}} {
		w := newWorld(t)
		r := w.start(t, args...)
		r.err.await(t, "0/3 ready")
		w.server.Change("ReplicationController", "kubia", func(o map[string]any) {
			o["metadata"].(map[string]any)["finalizers"] = []any{"foregroundDeletion"}
		})
		comeUp(w.server)
		r.signals <- os.Interrupt
		r.err.await(t, "Stopping what was started")
		r.err.await(t, "replicationcontroller/kubia: stopping")
		w.clock.Step(time.Second)
		r.signals <- os.Interrupt
		r.ends(t, 130)
		forced := false
		for _, c := range w.server.Calls() {
			forced = forced || strings.HasPrefix(c, "DELETE") && strings.Contains(c, "/pods/kubia-x") && strings.Contains(c, `"gracePeriodSeconds":0`)
		}
		if !forced {
			t.Errorf("%s: the pod was not forced away: %q", args, w.server.Calls())
		}
	}
}

func TestUpFails(t *testing.T) {
	manifests(t)
	// The pod crashes while its controller has yet to say how many there are.
	crash := func(w *world) {
		uid := string(w.server.Get("ReplicationController", "kubia").GetUID())
		w.server.Logs["kubia-x/kubia"] = "cannot open /etc/kubia\n"
		w.server.Put(map[string]any{"apiVersion": "v1", "kind": "Pod",
			"metadata": map[string]any{"name": "kubia-x", "ownerReferences": []any{map[string]any{"apiVersion": "v1", "kind": "ReplicationController", "name": "kubia", "uid": uid, "controller": true}}},
			"status": map[string]any{"phase": "Running", "containerStatuses": []any{map[string]any{"name": "kubia", "ready": false, "restartCount": int64(2), "image": "i", "imageID": "",
				"state":     map[string]any{"waiting": map[string]any{"reason": "CrashLoopBackOff"}},
				"lastState": map[string]any{"terminated": map[string]any{"exitCode": int64(1), "reason": "Error"}}}}}})
	}
	tests := []struct {
		name   string
		happen func(w *world)
		want   []string
	}{
		{"crash", crash, []string{"error: pod/kubia-x cannot come up: CrashLoopBackOff: container kubia ended with exit code 1 (Error), 2 restarts\n", "  kubia | cannot open /etc/kubia\n"}},
		{"timeout", func(w *world) { w.clock.Step(2 * time.Minute) }, []string{"error: timed out after 1m0s waiting for replicationcontroller/kubia (0/3 ready)\n"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			r := w.start(t, "up", "-f", "rc.yaml", "-d", "--timeout=1m")
			r.err.await(t, "0/3 ready")
			test.happen(w)
			r.ends(t, 1)
			for _, l := range test.want {
				if !strings.Contains(r.err.String(), l) {
					t.Errorf("%q is missing in:\n%s", l, r.err)
				}
			}
		})
	}
}

func TestUpRefusesWithoutStartingAnything(t *testing.T) {
	manifests(t)
	w := newWorld(t)
	for _, file := range []string{"app.yaml", "bad/tab.yaml", "bad/empty", "bad/nothing.yaml"} {
		if _, errOut, code := w.run(t.Context(), "up", "-f", file); code != 1 || errOut == "" {
			t.Errorf("%s: exit code %d, stderr %q", file, code, errOut)
		}
	}
	if calls := w.server.Calls(); len(calls) > 0 {
		t.Errorf("asked for %q", calls)
	}
}

func TestDown(t *testing.T) {
	manifests(t)
	w := newWorld(t)
	if _, errOut, code := w.run(t.Context(), "apply", "-f", "rc.yaml"); code != 0 {
		t.Fatal(errOut)
	}
	for range 2 { // a second time there is nothing left, which is as well
		if _, errOut, code := w.run(t.Context(), "down", "-f", "rc.yaml"); code != 0 {
			t.Errorf("exit code %d: %s", code, errOut)
		}
	}
	if w.server.Get("ReplicationController", "kubia") != nil {
		t.Error("still there")
	}
}

// What the server refuses to delete keeps nothing else from being deleted, and is named.
func TestDownDeletesTheRest(t *testing.T) {
	manifests(t)
	w := newWorld(t)
	if _, errOut, code := w.run(t.Context(), "apply", "-f", "rc.yaml", "-f", "crlf.yaml", "-f", "gadget.yaml"); code != 0 {
		t.Fatal(errOut)
	}
	w.server.Refuse = func(verb string, o *unstructured.Unstructured) error {
		if verb == "delete" && o.GetKind() == "ReplicationController" {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "replicationcontrollers"}, o.GetName(), errors.New("it stays"))
		}
		return nil
	}
	_, errOut, code := w.run(t.Context(), "down", "-f", "rc.yaml", "-f", "crlf.yaml", "-f", "gadget.yaml")
	want := "gadget.example.org/g deleted\nconfigmap/crlf deleted\nError from server (Forbidden): error when deleting \"rc.yaml:1\": replicationcontrollers \"kubia\" is forbidden: it stays\n"
	if code != 1 || errOut != want {
		t.Errorf("exit code %d, said:\n%swant:\n%s", code, errOut, want)
	}
	if w.server.Get("ConfigMap", "crlf") != nil || w.server.Get("Gadget", "g") != nil {
		t.Error("what could be deleted is still there")
	}
}

// Without another cluster named, up starts skiff's own daemon and uses the kubeconfig it writes.
func TestUpStartsTheDaemon(t *testing.T) {
	manifests(t)
	w := newWorld(t)
	dir := t.TempDir()
	var asked []datadir.Dir
	var listen string
	running := command.Daemon{Started: true, Address: config.Listen}
	ensure := func(_ context.Context, dir datadir.Dir, address string) (command.Daemon, error) {
		asked, listen = append(asked, dir), address
		text := fmt.Sprintf("apiVersion: v1\nkind: Config\nclusters: [{name: skiff, cluster: {server: %q}}]\ncontexts: [{name: skiff, context: {cluster: skiff, user: skiff}}]\nusers: [{name: skiff}]\ncurrent-context: skiff\n", w.server.URL)
		return running, os.WriteFile(dir.Kubeconfig(), []byte(text), 0o600)
	}
	line := func(argv ...string) (string, int) {
		var errOut bytes.Buffer
		env := &command.Env{Clock: w.clock, Dash: -1, Streams: terminal.Streams{In: strings.NewReader(""), Out: &bytes.Buffer{}, Err: &errOut},
			EnsureDaemon: ensure, Lookup: func(k string) (string, bool) {
				if k == "SKIFF_DATA_DIR" {
					return dir, true
				}
				return "", false
			}}
		code := run(t.Context(), env, append([]string{"skiff"}, argv...), Server{})
		return errOut.String(), code
	}
	if _, code := line("get", "pods"); code != 1 || len(asked) > 0 {
		t.Errorf("get without a daemon: exit code %d, daemon asked for %q", code, asked)
	}
	if errOut, code := line("up", "-f", "gadget.yaml"); code != 0 || len(asked) != 1 || asked[0] != datadir.Dir(dir) || listen != "" || errOut != "skiff daemon started\ngadget.example.org/g created\n" {
		t.Errorf("up: exit code %d, daemon asked for %q at %q, said %q", code, asked, listen, errOut)
	}
	if w.server.Get("Gadget", "g") == nil {
		t.Error("nothing was applied")
	}
	if _, code := line("get", "gadgets"); code != 0 {
		t.Errorf("get with a daemon: exit code %d", code)
	}
	if errOut, code := line("up", "-f", "alien.yaml"); code != 1 || !strings.Contains(errOut, "alien.yaml:1: fleet.example.com/ours: skiff does not serve Fleet of example.com/v1\n") {
		t.Errorf("up of a kind that skiff does not have: exit code %d, said %q", code, errOut)
	}
	for _, c := range []struct {
		daemon command.Daemon
		listen string
		want   string
	}{
		{command.Daemon{Started: true, Address: "127.0.0.1:41234"}, "", "skiff daemon started\nthe daemon's API is at 127.0.0.1:41234, because another program has 127.0.0.1:7443\n"},
		{command.Daemon{Started: true, Address: "127.0.0.1:41234"}, "127.0.0.1:0", "skiff daemon started\n"},
		{command.Daemon{Address: "127.0.0.1:41234"}, "", ""},
		{command.Daemon{Address: "127.0.0.1:41234"}, "127.0.0.1:41234", ""},
		{command.Daemon{Address: "127.0.0.1:41234"}, "127.0.0.1:8443", "Warning: --listen has no effect on a running daemon, whose API is at 127.0.0.1:41234: stop it first\n"},
	} {
		running = c.daemon
		args := []string{"up", "-f", "gadget.yaml"}
		if c.listen != "" {
			args = append(args, "--listen", c.listen)
		}
		if errOut, code := line(args...); code != 0 || errOut != c.want+"gadget.example.org/g unchanged\n" || listen != c.listen {
			t.Errorf("%+v: exit code %d, asked to listen on %q, said %q", c, code, listen, errOut)
		}
	}
	if errOut, code := line("--server", w.server.URL, "up", "-f", "gadget.yaml", "--listen", "127.0.0.1:0"); code != 1 || errOut != "error: --listen is for skiff's own daemon, not for another cluster\n" {
		t.Errorf("--listen for another cluster: exit code %d, said %q", code, errOut)
	}
}

func TestEdit(t *testing.T) {
	w := newWorld(t)
	w.server.Put(pod("a", "Running"))
	script := filepath.Join(t.TempDir(), "editor.sh")
	edit := func(body string, argv ...string) (string, string, int) {
		if err := os.WriteFile(script, []byte(body), 0o700); err != nil {
			t.Fatal(err)
		}
		w.env["KUBE_EDITOR"] = "sh " + script
		return w.run(t.Context(), append([]string{"edit", "pod", "a"}, argv...)...)
	}
	if out, errOut, code := edit(`true`); out != "" || errOut != "Edit cancelled, no changes made.\n" || code != 0 {
		t.Errorf("nothing changed: %q %q %d", out, errOut, code)
	}
	if _, errOut, code := edit(`: > "$1"`); errOut != "Edit cancelled, saved file was empty.\n" || code != 0 {
		t.Errorf("emptied: %q %d", errOut, code)
	}
	if out, errOut, code := edit(`sed -i 's/app: kubia/app: foo/' "$1"`); out != "pod/a edited\n" || code != 0 {
		t.Errorf("changed: %q %q %d", out, errOut, code)
	}
	if out, _, _ := edit(`sed -i 's/"app": "foo"/"app": "bar"/' "$1"`, "-o", "json"); out != "pod/a edited\n" {
		t.Errorf("changed as JSON: %q", out)
	}
	if v := w.server.Get("Pod", "a").GetLabels()["app"]; v != "bar" {
		t.Errorf("the label is %q", v)
	}
	if _, errOut, code := edit(`exit 3`); code != 1 || !strings.Contains(errOut, "there was a problem with the editor") {
		t.Errorf("editor failed: %q %d", errOut, code)
	}
	if _, errOut, code := edit(`sed -i 's/name: a/name: b/' "$1"`); code != 1 || !strings.Contains(errOut, "must stay as they are") {
		t.Errorf("renamed: %q %d", errOut, code)
	}
}

// What the server refuses is opened once more, with the reasons above; giving up keeps the text.
func TestEditOpensAgain(t *testing.T) {
	w := newWorld(t)
	w.server.Put(pod("a", "Running"))
	dir := t.TempDir()
	script := filepath.Join(dir, "editor.sh")
	body := `n=$(cat ` + dir + `/n 2>/dev/null || echo 0); n=$((n+1)); echo $n > ` + dir + `/n
cp "$1" ` + dir + `/round$n
case $n in
1) printf 'labels: [\n' >> "$1";;
2) sed -i '/labels: \[/d; s/app: kubia/app: foo/' "$1";;
esac`
	if err := os.WriteFile(script, []byte(body), 0o700); err != nil {
		t.Fatal(err)
	}
	w.env["EDITOR"] = "sh " + script
	out, errOut, code := w.run(t.Context(), "edit", "pod/a")
	if out != "pod/a edited\n" || code != 0 {
		t.Fatalf("%q %q %d", out, errOut, code)
	}
	second, err := os.ReadFile(filepath.Join(dir, "round2"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(second), "# The edited file had a syntax error: error parsing edited-file") || strings.Count(string(second), "Please edit") != 1 {
		t.Errorf("the second round began with:\n%s", second)
	}
}

func TestConfig(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(t.TempDir(), "config")
	text := "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: http://x}}]\ncontexts: [{name: one, context: {cluster: c, user: u}}, {name: two, context: {cluster: c, user: u, namespace: apps}}]\nusers: [{name: u, user: {token: hidden}}]\ncurrent-context: one\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	line := func(argv ...string) string {
		out, errOut, _ := w.run(t.Context(), append([]string{"--kubeconfig=" + path, "config"}, argv...)...)
		return out + errOut
	}
	if got := line("use-context", "two"); got != "Switched to context \"two\".\n" {
		t.Error(got)
	}
	if got := line("current-context"); got != "two\n" {
		t.Error(got)
	}
	if got := line("get-contexts"); !strings.Contains(got, "*         two    c         u          apps\n") {
		t.Error(got)
	}
	if got := line("view"); strings.Contains(got, "hidden") || !strings.Contains(got, "current-context: two") {
		t.Error(got)
	}
	if got := line("use-context", "three"); got != "error: no context exists with the name: \"three\"\n" {
		t.Error(got)
	}
}

// TestLogsFollowWaitsForItsContainer follows the log of a container that has not started yet.
func TestLogsFollowWaitsForItsContainer(t *testing.T) {
	refusal := "Error from server (BadRequest): container \"main\" in pod \"slow\" is waiting to start: ContainerCreating\n"
	for _, c := range []struct {
		name    string
		refused int
		args    []string
		code    int
		out     string
		err     string
	}{
		{"it starts", 3, nil, 0, "hello\n", refusal},
		{"it does not", 1000, []string{"--pod-running-timeout=2s"}, 1, "", refusal + "error: the log of container main in pod slow could not be followed within 2s\n"},
		{"ignored", 1000, []string{"--ignore-errors"}, 0, "", refusal},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			p := pod("slow", "Pending")
			p["spec"] = map[string]any{"containers": []any{map[string]any{"name": "main"}}}
			w.server.Put(p)
			w.server.Logs["slow/main"] = "hello\n"
			w.server.Waiting = map[string]int{"slow/main": c.refused}
			r := w.start(t, append([]string{"logs", "-f", "slow"}, c.args...)...)
			ended := make(chan struct{})
			go func() {
				for {
					select {
					case <-ended:
						return
					default:
						if w.clock.Waiters() == 2 { // the patience, and the pause before it asks again
							w.clock.Step(time.Second)
						}
						runtime.Gosched()
					}
				}
			}()
			r.ends(t, c.code)
			close(ended)
			if r.out.String() != c.out || r.err.String() != c.err {
				t.Errorf("printed %q, said %q", r.out, r.err)
			}
		})
	}
}

// TestWarningsAsErrors: the write is done, and the exit code says that the server warned.
func TestWarningsAsErrors(t *testing.T) {
	manifests(t)
	w := newWorld(t)
	w.server.Warn = "spec.hostUsers is ignored"
	for _, c := range []struct {
		args []string
		err  string
		code int
	}{
		{[]string{"create", "-f", "rc.yaml"}, "Warning: spec.hostUsers is ignored\n", 0},
		{[]string{"apply", "-f", "rc.yaml", "--warnings-as-errors"}, "error: 1 warning received\n", 1},
		{[]string{"get", "rc", "--warnings-as-errors"}, "", 0},
	} {
		if _, errOut, code := w.run(t.Context(), c.args...); code != c.code || !strings.HasSuffix(errOut, c.err) {
			t.Errorf("%v: exit %d, said %q", c.args, code, errOut)
		}
	}
}

// A container's resources change in place through the pod's resize subresource.
func TestResizeInPlace(t *testing.T) {
	w := newWorld(t)
	w.server.Put(pod("a", "Running"))
	out, errOut, code := w.run(t.Context(), "patch", "pod", "a", "--subresource=resize", "-p", `{"spec":{"containers":[{"name":"main","resources":{"limits":{"cpu":"500m"}}}]}}`)
	if out != "pod/a patched\n" || code != 0 {
		t.Errorf("exit code %d, printed %q and %q", code, out, errOut)
	}
	if calls := w.server.Calls(); len(calls) != 1 || !strings.HasPrefix(calls[0], "PATCH /api/v1/namespaces/default/pods/a/resize?") {
		t.Errorf("asked for %q", calls)
	}
}
