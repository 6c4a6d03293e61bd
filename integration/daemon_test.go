package integration

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"skiff/daemon/datadir"
	"skiff/integration/harness"
)

// applyRC creates a ReplicationController whose pods need no grace, and waits until they are ready.
func applyRC(t *testing.T, c harness.CLI, name string, replicas int) {
	t.Helper()
	c.DoIn(rcManifest(name, replicas), "apply", "-f", "-")
	awaitReady(t, c, name, replicas)
}

func awaitReady(t *testing.T, c harness.CLI, name string, replicas int) {
	t.Helper()
	want := fmt.Sprintf("%d/%d", replicas, replicas)
	if replicas == 0 {
		want = "0/" // readyReplicas is left out when it is zero
	}
	harness.Until(t, time.Minute, fmt.Sprintf("%d pods of %s are ready", replicas, name), func() bool {
		return c.Do("get", "rc", name, "-o", "jsonpath={.status.replicas}/{.status.readyReplicas}") == want
	})
}

func rcManifest(name string, replicas int) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"ReplicationController","metadata":{"name":%q},"spec":{"replicas":%d,"selector":{"app":%q},
"template":{"metadata":{"labels":{"app":%q}},"spec":{"terminationGracePeriodSeconds":0,"containers":[{"name":"kubia","image":"ksfzhaohui/kubia"}]}}}}`, name, replicas, name, name)
}

// running are the IDs of the daemon's running containers, sorted.
func running(d *harness.Daemon, labels ...string) []string {
	var ids []string
	for _, c := range d.Containers(labels...) {
		if c.State == "running" {
			ids = append(ids, c.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

func TestWorkloadsOutliveTheDaemon(t *testing.T) {
	t.Parallel()
	d := harness.Start(t)
	c := d.SkiffCLI()
	applyRC(t, c, "kubia", 3)
	before, pods := running(d), c.Do("get", "pods", "-o", "jsonpath={range .items[*]}{.metadata.name} {.status.podIP} {.status.startTime};{end}")
	for _, end := range []func(){d.Stop, d.Kill} {
		end()
		if got := running(d); !slices.Equal(got, before) {
			t.Fatalf("without the daemon %v run, before it was %v", got, before)
		}
		d.Run()
		awaitReady(t, c, "kubia", 3)
		if got := running(d); !slices.Equal(got, before) {
			t.Errorf("the next daemon runs %v, before it was %v", got, before)
		}
		if got := c.Do("get", "pods", "-o", "jsonpath={range .items[*]}{.metadata.name} {.status.podIP} {.status.startTime};{end}"); got != pods {
			t.Errorf("pods changed by a restart of the daemon:\n%s\nbefore:\n%s", got, pods)
		}
	}
}

// TestContainersThatVanishComeBack takes containers away behind the daemon's back, while it runs
// and while it does not.
func TestContainersThatVanishComeBack(t *testing.T) {
	t.Parallel()
	d := harness.Start(t)
	c := d.SkiffCLI()
	applyRC(t, c, "kubia", 2)
	remove := func() {
		for _, id := range running(d) {
			if err := d.Engine.ContainerRemove(t.Context(), id, container.RemoveOptions{Force: true}); err != nil {
				t.Fatal(err)
			}
		}
	}
	restarts := func(want string) {
		t.Helper()
		harness.Until(t, time.Minute, "both containers restarted, "+want+" times in all each", func() bool {
			return c.Do("get", "pods", "-o", "jsonpath={.items[*].status.containerStatuses[0].restartCount}/{.items[*].status.containerStatuses[0].ready}") == want+" "+want+"/true true"
		})
	}
	remove()
	restarts("1")
	d.Kill()
	remove()
	d.Run()
	restarts("2")
	if n := len(running(d)); n != 2 {
		t.Errorf("%d containers run, want 2", n)
	}
}

func TestTwoDaemonsShareAnEngine(t *testing.T) {
	t.Parallel()
	a, b := harness.Start(t), harness.Start(t)
	applyRC(t, a.SkiffCLI(), "kubia", 2)
	applyRC(t, b.SkiffCLI(), "kubia", 1)
	before := running(b)
	a.SkiffCLI().Do("delete", "rc", "kubia", "--cascade=foreground")
	harness.Until(t, time.Minute, "the first daemon's containers are gone", func() bool { return len(a.Containers()) == 0 })
	if got := running(b); !slices.Equal(got, before) {
		t.Errorf("the second daemon runs %v, before it was %v", got, before)
	}
}

func TestSecondDaemonOnTheSameDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	d := harness.Start(t)
	r := d.SkiffCLI().Try("", "daemon", "run", "--data-dir", d.DataDir, "--listen", "127.0.0.1:0")
	if r.Code == 0 || !strings.Contains(r.Err, fmt.Sprintf("is in use by process %d", d.Pid())) {
		t.Errorf("exit %d, %q", r.Code, r.Err)
	}
	if r := d.SkiffCLI().Try("", "get", "pods"); r.Code != 0 {
		t.Errorf("the first daemon was harmed: %q", r.Err)
	}
}

func TestKubeconfigIsPrivateAndGoesWithTheDaemon(t *testing.T) {
	t.Parallel()
	d := harness.Start(t)
	info, err := os.Stat(d.Kubeconfig())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info, err)
	}
	if got := d.SkiffCLI().Do("kubeconfig"); !strings.Contains(got, "current-context: skiff") || !strings.Contains(got, "https://127.0.0.1:") {
		t.Errorf("printed:\n%s", got)
	}
	own := filepath.Join(t.TempDir(), "own")
	cmd := d.SkiffCLI().Command("kubeconfig", "--merge")
	cmd.Env = append(cmd.Env, "KUBECONFIG="+own)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd = d.KubectlCLI().Command("get", "ns", "default", "-o", "name")
	cmd.Env = append(cmd.Env, "KUBECONFIG="+own)
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "namespace/default\n" {
		t.Errorf("kubectl with the merged file: %v\n%s", err, out)
	}
	d.Stop()
	if _, err := os.Stat(d.Kubeconfig()); !os.IsNotExist(err) {
		t.Errorf("the kubeconfig outlived the daemon: %v", err)
	}
	if r := d.SkiffCLI().Try("", "daemon", "status", "--data-dir", d.DataDir); r.Code != 3 {
		t.Errorf("status without a daemon: exit %d, %q", r.Code, r.Out)
	}
}

// TestKubeconfigOfAKilledDaemon is neither printed nor merged: it leads nowhere.
func TestKubeconfigOfAKilledDaemon(t *testing.T) {
	t.Parallel()
	d := harness.Start(t)
	d.Kill()
	if _, err := os.Stat(d.Kubeconfig()); err != nil {
		t.Fatalf("a killed daemon takes nothing away, and yet: %v", err)
	}
	own := filepath.Join(t.TempDir(), "own")
	for _, args := range [][]string{{"kubeconfig"}, {"kubeconfig", "--merge"}} {
		cmd := d.SkiffCLI().Command(args...)
		cmd.Env = append(cmd.Env, "KUBECONFIG="+own)
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "no daemon runs for "+d.DataDir+": start one with `skiff daemon start`") {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
	if _, err := os.Stat(own); !os.IsNotExist(err) {
		t.Errorf("something was merged: %v", err)
	}
}

// TestWithoutAnEngine starts the daemon where no engine listens: it runs and says so, and up starts
// nothing.
func TestWithoutAnEngine(t *testing.T) {
	t.Parallel()
	harness.Engine(t) // for -short, and not to build anything where the other tests are skipped
	skiff, dir := harness.Build(t).Skiff, t.TempDir()
	run := func(args ...string) (string, error) {
		cmd := exec.Command(skiff, args...)
		cmd.Env = append(os.Environ(), "SKIFF_DATA_DIR="+dir, "SKIFF_LISTEN=127.0.0.1:0", "DOCKER_HOST=unix://"+dir+"/none.sock", "KUBECONFIG=")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	t.Cleanup(func() { run("daemon", "stop"); run("daemon", "reset", "--yes", "--force") })
	says := "container runtime is down: info: cannot reach the Docker Engine at unix://" + dir + "/none.sock: start it"
	for range 2 { // with a daemon of its own, and with one that runs
		out, err := run("up", "-d", "-f", manifest("kubia-rc.yaml"))
		if err == nil || !strings.Contains(out, "error: nothing was started, for no pod can run: node ") || !strings.Contains(out, says) {
			t.Errorf("up: %v\n%s", err, out)
		}
	}
	if out, err := run("daemon", "start"); err != nil || !strings.Contains(out, says) {
		t.Errorf("daemon start: %v\n%s", err, out)
	}
	if out, err := run("get", "rc"); err != nil || !strings.Contains(out, "No resources found") {
		t.Errorf("after an up that failed: %v\n%s", err, out)
	}
}

// TestTwoDataDirectories: of two daemons that are told no address, the second takes a free port and
// says so, and keeps it. Each kubeconfig leads to its own daemon.
func TestTwoDataDirectories(t *testing.T) {
	t.Parallel()
	harness.Engine(t)
	skiff := harness.Build(t).Skiff
	run := func(dir string, args ...string) (string, error) {
		cmd := exec.Command(skiff, args...)
		cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "SKIFF_LISTEN=") }),
			"SKIFF_DATA_DIR="+dir, "DOCKER_HOST=unix://"+dir+"/none.sock", "KUBECONFIG=")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	first, second, third := t.TempDir(), t.TempDir(), t.TempDir()
	for _, dir := range []string{first, second, third} {
		t.Cleanup(func() { run(dir, "daemon", "stop"); run(dir, "daemon", "reset", "--yes", "--force") })
	}
	// Another instance on this machine may have the usual address already.
	if out, err := run(first, "daemon", "start"); err != nil {
		t.Fatalf("the first: %v\n%s", err, out)
	}
	address := func(dir string) string {
		address, err := datadir.Dir(dir).Address()
		if err != nil {
			t.Fatal(err)
		}
		return address
	}
	var before string
	for _, said := range []string{", because another program has 127.0.0.1:7443\n", ""} {
		out, err := run(second, "daemon", "start")
		got := address(second)
		if err != nil || got == address(first) || !strings.Contains(out, "the daemon's API is at "+got+said) {
			t.Errorf("the second: %v, at %s\n%s", err, got, out)
		}
		if before != "" && got != before {
			t.Errorf("the second was at %s, and after a restart at %s", before, got)
		}
		before = got
		if out, err := run(second, "daemon", "stop"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	if out, err := run(third, "up", "-f", manifest("kubia-rc.yaml"), "--listen", before); err == nil || !strings.Contains(out, "skiff daemon started\nerror: nothing was started, for no pod can run") {
		t.Errorf("up without an engine: %v\n%s", err, out)
	}
	if got := address(third); got != before {
		t.Errorf("up --listen %s started a daemon at %s", before, got)
	}
	if out, err := run(third, "create", "ns", "third"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := run(first, "get", "ns", "-o", "name"); err != nil || !strings.Contains(out, "namespace/default\n") || strings.Contains(out, "third") {
		t.Errorf("the first has: %v\n%s", err, out)
	}
}

func TestHealthAndMetrics(t *testing.T) {
	t.Parallel()
	d := harness.Start(t)
	probed := strings.Replace(rcManifest("kubia", 1), `"image":"ksfzhaohui/kubia"`, `"image":"ksfzhaohui/kubia","readinessProbe":{"httpGet":{"path":"/","port":8080},"periodSeconds":1}`, 1)
	d.SkiffCLI().DoIn(probed, "apply", "-f", "-")
	awaitReady(t, d.SkiffCLI(), "kubia", 1)
	k := d.KubectlCLI()
	for _, p := range []string{"/healthz", "/livez", "/readyz"} {
		if got := k.Do("get", "--raw", p); got != "ok" {
			t.Errorf("%s: %q", p, got)
		}
	}
	metrics := k.Do("get", "--raw", "/metrics")
	for _, name := range []string{"skiff_reconcile_total", "skiff_queue_depth", "skiff_engine_calls_total", "skiff_store_commits_total", "skiff_probe_total", "skiff_probe_duration_seconds"} {
		if !strings.Contains(metrics, "\n"+name) {
			t.Errorf("/metrics lacks %s", name)
		}
	}
}

// TestEngineOutage puts a wire of the test's own between daemon and engine, and cuts it.
func TestEngineOutage(t *testing.T) {
	t.Parallel()
	engine := harness.Engine(t)
	w := newWire(t, engine.DaemonHost())
	d := harness.Start(t, "--engine", "unix://"+w.path)
	c := d.SkiffCLI()
	applyRC(t, c, "kubia", 2)
	before := running(d)

	w.cut()
	harness.Until(t, soon, "the node says that the engine is gone", func() bool {
		return strings.HasPrefix(c.Do("get", "node", "-o", "jsonpath={.items[0].status.conditions[?(@.type=='Ready')].status}"), "False")
	})
	if got := c.Do("get", "pods", "--no-headers"); strings.Count(got, "Running") != 2 {
		t.Errorf("the pods lost their state:\n%s", got)
	}
	c.Do("scale", "rc", "kubia", "--replicas=3")

	w.mend()
	awaitReady(t, c, "kubia", 3)
	if got := running(d); !slices.ContainsFunc(got, func(id string) bool { return !slices.Contains(before, id) }) || len(got) != 3 {
		t.Errorf("%v run, before the outage it was %v", got, before)
	}
	for _, id := range before {
		if !slices.Contains(running(d), id) {
			t.Errorf("container %s was restarted by the outage", id)
		}
	}
}

// wire carries connections from a socket of its own to the engine's.
type wire struct {
	path, target string
	t            *testing.T
	mu           sync.Mutex
	listener     net.Listener
	conns        []net.Conn
}

func newWire(t *testing.T, engine string) *wire {
	u, err := url.Parse(engine)
	if err != nil || u.Scheme != "unix" {
		t.Skipf("the engine is not behind a unix socket: %s", engine)
	}
	dir, err := os.MkdirTemp("", "wire-") // t.TempDir's paths are too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{path: filepath.Join(dir, "s"), target: u.Path, t: t}
	t.Cleanup(func() { w.cut(); os.RemoveAll(dir) })
	w.mend()
	return w
}

func (w *wire) mend() {
	l, err := net.Listen("unix", w.path)
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	w.listener = l
	w.mu.Unlock()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go w.carry(c)
		}
	}()
}

func (w *wire) carry(c net.Conn) {
	defer c.Close()
	e, err := net.Dial("unix", w.target)
	if err != nil {
		return
	}
	defer e.Close()
	w.mu.Lock()
	w.conns = append(w.conns, c, e)
	w.mu.Unlock()
	go func() { io.Copy(e, c); e.(*net.UnixConn).CloseWrite() }() //nolint:errcheck // a cut wire is the point
	io.Copy(c, e)                                                 //nolint:errcheck // a cut wire is the point
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.listener != nil {
		w.listener.Close()
	}
	w.listener = nil
	for _, c := range w.conns {
		c.Close()
	}
	w.conns = nil
	os.Remove(w.path) //nolint:errcheck // closing the listener removed it already
}
