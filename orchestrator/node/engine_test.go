package node

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"skiff/docker"
	"skiff/orchestrator/node/pod"
)

// The tests in this file use the machine's Docker Engine. Each has an instance of its own and
// leaves nothing behind.

func TestMain(m *testing.M) {
	code := m.Run()
	if err := kubiaImage.remove(); err != nil {
		fmt.Fprintln(os.Stderr, "removing the test's image:", err)
		code = 1
	}
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// kubiaImage is the program of examples/kubia, built once.
var kubiaImage = testImage{ref: "skiff-test/node:" + randomName()}

type testImage struct {
	ref  string
	once sync.Once
	err  error
	made bool
}

func randomName() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func (i *testImage) make(t *testing.T) string {
	t.Helper()
	i.once.Do(func() { i.err = i.build() })
	if i.err != nil {
		t.Fatal(i.err)
	}
	return i.ref
}

// build makes an image of nothing but the program.
func (i *testImage) build() error {
	dir, err := os.MkdirTemp("", "skiff-node-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "kubia")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, "skiff/examples/kubia/app")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the app: %w\n%s", err, out)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	err = errors.Join(
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}),
		w.WriteHeader(&tar.Header{Name: "kubia", Mode: 0o755, Size: int64(len(content))}))
	if err == nil {
		_, err = w.Write(content)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	engine, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return err
	}
	defer engine.Close()
	answer, err := engine.ImageImport(context.Background(), image.ImportSource{Source: &layer, SourceName: "-"}, i.ref,
		image.ImportOptions{Changes: []string{`ENTRYPOINT ["/kubia"]`}})
	if err != nil {
		return err
	}
	i.made = true
	_, err = io.Copy(io.Discard, answer)
	return errors.Join(err, answer.Close())
}

func (i *testImage) remove() error {
	if !i.made {
		return nil
	}
	engine, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return err
	}
	defer engine.Close()
	_, err = engine.ImageRemove(context.Background(), i.ref, image.RemoveOptions{})
	return err
}

// realWorld is a daemon on the real engine, in real time.
type realWorld struct {
	daemon
	t      *testing.T
	engine *docker.Engine
	image  string
}

func onEngine(t *testing.T, test func(*realWorld), adapt ...func(*Options)) {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED with -short, this test needs a Docker Engine")
	}
	e, err := docker.Connect(t.Context(), docker.Options{Instance: "test-" + randomName()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if err := e.Ping(t.Context()); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("this test needs a Docker Engine: %v", err)
		}
		t.Skipf("SKIPPED, this test needs a Docker Engine: %v", err)
	}
	layout, err := e.EnsureNetwork(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.PruneInstance(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	w := &realWorld{t: t, engine: e, image: kubiaImage.make(t)}
	w.TB, w.dir = t, t.TempDir()
	w.adapt = func(o *Options) {
		o.Runtime, o.Addresses, o.HostIP = e, docker.PodAddresses(layout), func() netip.Addr { return layout.Gateway }
		for _, a := range adapt {
			a(o)
		}
	}
	w.start()
	defer func() { w.stopAll() }()
	w.createNamespaces()
	test(w)
}

// await waits until the pod's status has this text.
func (w *realWorld) await(name, want string) {
	w.Helper()
	last := "nothing"
	w.until(name, func(p *corev1.Pod) bool {
		if p == nil {
			last = "gone"
		} else {
			last = statusOfPod(p)
		}
		return last == want
	}, func() string { return fmt.Sprintf("status %q, want %q", last, want) })
}

// until waits until is returns true for the pod, which is nil if it is gone.
func (w *realWorld) until(name string, is func(*corev1.Pod) bool, complain func() string) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	present, changes, err := w.pods.Events(ctx)
	if err != nil {
		w.Fatal(err)
	}
	found := false
	for _, p := range present {
		if p.Name == name {
			if found = true; is(p) {
				return
			}
		}
	}
	if !found && is(nil) {
		return
	}
	for {
		events, _, err := changes.Next(ctx)
		if err != nil {
			w.Fatalf("pod %s: %s", name, complain())
		}
		for _, e := range events {
			p := e.Object.(*corev1.Pod)
			if p.Name == name && (e.Type == watch.Deleted && is(nil) || e.Type != watch.Deleted && is(p)) {
				return
			}
		}
	}
}

func (w *realWorld) awaitGone(name string) {
	w.Helper()
	w.until(name, func(p *corev1.Pod) bool { return p == nil }, func() string { return "still there" })
}

func (w *realWorld) delete(name string, grace *int64) {
	w.Helper()
	if err := w.pods.Delete(w.t.Context(), "default", name, metav1.DeleteOptions{GracePeriodSeconds: grace}); err != nil {
		w.Fatal(err)
	}
}

func (w *realWorld) list() []docker.Container {
	w.Helper()
	list, err := w.engine.List(w.t.Context())
	if err != nil {
		w.Fatal(err)
	}
	return list
}

func TestEngineLife(t *testing.T) {
	onEngine(t, func(w *realWorld) {
		w.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "app"}, Data: map[string]string{"k": "v"}})
		w.createPod("kubia", fmt.Sprintf(`{terminationGracePeriodSeconds: 1, containers: [{name: kubia, image: %s, volumeMounts: [{name: c, mountPath: /c}, {name: e, mountPath: /e}],
			livenessProbe: {httpGet: {port: 8080, path: /}, periodSeconds: 1},
			readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}}],
			volumes: [{name: c, configMap: {name: app}}, {name: e, emptyDir: {}}]}`, w.image))
		w.await("kubia", "Running | kubia running ready")

		// Its address is reached, and its host name is the pod's.
		response, err := http.Get("http://" + w.get("kubia").Status.PodIP + ":8080/")
		if err != nil {
			w.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err = errors.Join(err, response.Body.Close()); err != nil || !strings.Contains(string(body), "kubia") {
			w.Errorf("answer %q, %v", body, err)
		}
		first := w.list()[0]
		if want := "kubia_" + pod.ShortUID(w.get("kubia").UID); first.Name != want || first.Labels["app"] != "kubia" {
			w.Errorf("container %s, labels %v", first.Name, first.Labels)
		}

		// Killed behind the agent's back, it is back under the same address.
		ip := w.get("kubia").Status.PodIP
		if err := w.engine.Kill(w.t.Context(), first.ID, "SIGKILL"); err != nil {
			w.Fatal(err)
		}
		w.await("kubia", "Running | kubia running ready restarts=1 last=Error(137)")
		if got := w.get("kubia").Status.PodIP; got != ip {
			w.Errorf("address %s, before %s", got, ip)
		}
		w.delete("kubia", nil)
		w.awaitGone("kubia")
		if list := w.list(); len(list) != 0 {
			w.Errorf("containers left: %v", list)
		}
	})
}

func TestEngineSandboxAndTakeOver(t *testing.T) {
	onEngine(t, func(w *realWorld) {
		w.createPod("two", fmt.Sprintf(`{terminationGracePeriodSeconds: 1, initContainers: [{name: init, image: %[1]s, args: ["-batch=1ms"]}],
			containers: [{name: web, image: %[1]s}, {name: log, image: %[1]s, args: ["-listen=:8081"]}]}`, w.image))
		w.await("two", "Running | init Completed(0) ready | log running ready | web running ready")
		before := w.list()
		version := w.get("two").ResourceVersion

		w.stopAll()
		w.start()
		w.createPod("late", fmt.Sprintf(`{containers: [{name: web, image: %s}]}`, w.image))
		w.await("late", "Running | web running ready")
		if v := w.get("two").ResourceVersion; v != version {
			w.Errorf("the pod taken over has changed: %s", w.status("two"))
		}
		for _, c := range before {
			now, err := w.engine.Inspect(w.t.Context(), c.ID)
			if err != nil || now.State != c.State {
				w.Errorf("container %s: %s, before %s (%v)", c.Name, now.State, c.State, err)
			}
		}

		// Without its sandbox the pod has no network: all is made anew.
		for _, c := range before {
			if c.Labels[pod.LabelContainer] == pod.SandboxName {
				if err := w.engine.Remove(w.t.Context(), c.ID); err != nil {
					w.Fatal(err)
				}
			}
		}
		w.until("two", func(p *corev1.Pod) bool {
			web := pod.FindStatus(p.Status.ContainerStatuses, "web")
			return p.Status.Phase == corev1.PodRunning && web.RestartCount == 1 && web.Ready && pod.FindStatus(p.Status.ContainerStatuses, "log").Ready
		}, func() string { return w.status("two") })
	})
}

func TestEngineErrors(t *testing.T) {
	onEngine(t, func(w *realWorld) {
		w.createPod("nothing", fmt.Sprintf(`{containers: [{name: c, image: %s, command: [/nothing]}]}`, w.image))
		w.until("nothing", func(p *corev1.Pod) bool {
			s := p.Status.ContainerStatuses
			return len(s) == 1 && s[0].State.Waiting != nil && s[0].State.Waiting.Reason == pod.ReasonCrashLoop &&
				s[0].LastTerminationState.Terminated.Reason == "StartError" && strings.Contains(s[0].LastTerminationState.Terminated.Message, "/nothing")
		}, func() string { return w.status("nothing") })

		w.createPod("absent", `{containers: [{name: c, image: "skiff-test/absent:1", imagePullPolicy: Never}]}`)
		w.await("absent", "Pending | c ErrImageNeverPull")

		w.createPod("once", fmt.Sprintf(`{restartPolicy: Never, containers: [{name: c, image: %s, args: ["-no-such-flag"], terminationMessagePolicy: FallbackToLogsOnError}]}`, w.image))
		w.await("once", "Failed | c Error(2)")
		if m := w.get("once").Status.ContainerStatuses[0].State.Terminated.Message; !strings.Contains(m, "no-such-flag") {
			w.Errorf("message %q", m)
		}
	})
}
