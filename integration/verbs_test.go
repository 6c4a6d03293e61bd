package integration

import (
	"archive/tar"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"skiff/integration/harness"
)

// bare makes an image that holds one program, sleep, and a few files: neither tar nor a shell.
func bare(t *testing.T) string {
	t.Helper()
	engine := harness.Engine(t)
	path, err := exec.LookPath("busybox")
	if err != nil && os.Getenv("CI") != "true" {
		t.Skipf("no busybox: install busybox-static: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	root := harness.Files(t, map[string]string{"bin/sleep": string(program), "data/greeting": "hello\n", "data/sub/deep": "deep\n"})
	return harness.Import(t, engine, root, `CMD ["/bin/sleep","600"]`)
}

// TestCopyWithoutTar copies both ways where the image has no tar, from a container that has ended too.
func TestCopyWithoutTar(t *testing.T) {
	t.Parallel()
	image := bare(t)
	d := harness.Start(t)
	w := walk{t, d, d.SkiffCLI()}
	w.run("run bare --image="+image, "pod/bare created")
	w.run("wait --for=condition=Ready pod/bare", "pod/bare condition met")
	dir := t.TempDir()
	local := filepath.Join(dir, "one.txt")
	if err := os.WriteFile(local, []byte("one"), 0o640); err != nil {
		t.Fatal(err)
	}
	w.run("cp "+local+" bare:/data/sub", "")
	w.run("cp "+local+" bare:/data/renamed", "")
	w.run("cp bare:/data "+dir+"/out", "")
	for name, want := range map[string]string{"greeting": "hello\n", "sub/deep": "deep\n", "sub/one.txt": "one", "renamed": "one"} {
		if got, err := os.ReadFile(filepath.Join(dir, "out", name)); string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	whole := w.cli.Do("cp", "bare:/data", "-")
	if h, err := tar.NewReader(strings.NewReader(whole)).Next(); err != nil || h.Name != "data/" {
		t.Errorf("the archive begins with %v, %v", h, err)
	}
	w.cli.DoIn(whole, "cp", "-", "bare:/")
	for _, test := range []struct{ line, says string }{
		{"cp bare:/nope " + dir, `files "/nope" not found`},
		{"cp " + local + " bare:/no/where/x", `files "/no/where" not found`},
		{"cp " + local + " bare:/dev/shm/x", `"tar": executable file not found`},
	} {
		if r := w.cli.Try("", strings.Fields(test.line)...); r.Code == 0 || !strings.Contains(r.Err, test.says) {
			t.Errorf("%s: exit code %d: %s", test.line, r.Code, r.Err)
		}
	}
	w.run("create job ended --image="+image+" -- sleep 0", "job.batch/ended created")
	w.run("wait --for=condition=complete job/ended", "job.batch/ended condition met")
	w.run("cp job/ended:/data/greeting "+dir+"/late", "")
	if got, err := os.ReadFile(filepath.Join(dir, "late")); string(got) != "hello\n" {
		t.Errorf("from a container that has ended: %q, %v", got, err)
	}
}

// TestCopyToUserAndMemory: what is copied belongs to the container's user, and a file system in memory is
// reached by the container's own tar.
func TestCopyToUserAndMemory(t *testing.T) {
	t.Parallel()
	image := harness.Toolbox(t, harness.Engine(t), map[string]string{"home/": ""})
	d := harness.Start(t)
	w := walk{t, d, d.SkiffCLI()}
	w.createFrom(tool(image, "user", "sleep 600", "securityContext: {runAsUser: 1234, runAsGroup: 1235}\n  volumes: [{name: m, emptyDir: {medium: Memory}}]") +
		"    volumeMounts: [{name: m, mountPath: /memory}]\n")
	w.run("wait --for=condition=Ready pod/user", "pod/user condition met")
	local := filepath.Join(t.TempDir(), "one.txt")
	if err := os.WriteFile(local, []byte("one"), 0o640); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"/home", "/memory"} {
		w.run("cp "+local+" user:"+dir, "")
		w.run("exec user -- stat -c %u:%g:%a "+dir+"/one.txt", "1234:1235:640")
		w.run("cp user:"+dir+"/one.txt "+local+".back", "")
		if got, err := os.ReadFile(local + ".back"); string(got) != "one" {
			t.Errorf("%s: %q, %v", dir, got, err)
		}
	}
}

// TestRunAndDebug compares what both command lines do with containers made for the moment.
func TestRunAndDebug(t *testing.T) {
	t.Parallel()
	image := harness.Toolbox(t, harness.Engine(t), nil)
	walkBoth(t, func(w walk) {
		r := w.cli.Try("input\n", "run", "once", "--image="+image, "--restart=Never", "--rm", "-i", "-q", "--", "sh", "-c", "cat; sleep 0.3; exit 3")
		if r.Code != 3 || r.Out != "input\n" || !strings.Contains(r.Err, "pod default/once terminated (Error)") {
			w.Errorf("exit code %d: %q %q", r.Code, r.Out, r.Err)
		}
		w.until(soon, "get pods", "")
		w.run("run target --image="+image+" -- sleep 600", "pod/target created")
		w.run("wait --for=condition=Ready pod/target", "pod/target condition met")
		r = w.cli.Try("", "debug", "target", "--image="+image, "--target=target", "--attach", "-q", "--profile=general", "--", "sh", "-c", "for i in 1 2 3 4 5 6 7 8; do ps; sleep 0.5; done") // for who attaches late
		if r.Code != 0 || !strings.Contains(r.Out, "sleep 600") {
			w.Errorf("the container's processes are not seen: exit code %d: %q %q", r.Code, r.Out, r.Err)
		}
		w.run("debug target --copy-to=copy --container=target --same-node --profile=general -- sleep 500", "")
		w.run("get pod copy -o jsonpath={.spec.containers[0].command}{.spec.shareProcessNamespace}", `["sleep","500"]true`)
	})
}

// TestKillBySignal: a signal reaches the process without a program in the container, which is started again.
func TestKillBySignal(t *testing.T) {
	t.Parallel()
	image := bare(t)
	d := harness.Start(t)
	w := walk{t, d, d.SkiffCLI()}
	w.run("run bare --image="+image, "pod/bare created")
	w.run("wait --for=condition=Ready pod/bare", "pod/bare condition met")
	w.run("kill bare", "pod/bare: SIGKILL sent to container bare")
	w.until(soon, "get pod bare -o jsonpath={.status.containerStatuses[0].restartCount}/{.status.containerStatuses[0].lastState.terminated.exitCode}", "1/137")
	w.run("wait --for=condition=Ready pod/bare", "pod/bare condition met")
	if events := w.cli.Do("events", "--for=pod/bare"); !strings.Contains(events, "Signalled") || strings.Contains(events, "KilledElsewhere") {
		t.Errorf("the signal that was asked for is told of so:\n%s", events)
	}
	if r := w.cli.Try("", "kill", "bare", "-s", "NOSUCH"); r.Code != 1 || !strings.Contains(r.Err, "invalid signal: SIGNOSUCH") {
		t.Errorf("exit code %d: %s", r.Code, r.Err)
	}
}

// TestPortForwardOutlivesPods: the port leads to another pod when the first one is gone.
func TestPortForwardOutlivesPods(t *testing.T) {
	t.Parallel()
	image := harness.Toolbox(t, harness.Engine(t), map[string]string{"tmp/": ""})
	d := harness.Start(t)
	w := walk{t, d, d.SkiffCLI()}
	w.createFrom(fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: web
        image: %s
        command: [sh, -c, "hostname > /tmp/index.html; exec httpd -f -p 8080 -h /tmp"]
        readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1}
`, image))
	w.run("wait --for=condition=Available deployment/web", "deployment.apps/web condition met")
	cmd := w.cli.Command("port-forward", "deployment/web", ":8080")
	out, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		_ = cmd.Wait()
	}()
	address := ""
	harness.Until(t, soon, "the port is open", func() bool {
		text, _ := os.ReadFile(out.Name())
		_, rest, _ := strings.Cut(string(text), "Forwarding from ")
		address, _, _ = strings.Cut(rest, " ->")
		return address != "" && strings.Contains(rest, "->")
	})
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	name := func() string {
		answer, err := client.Get("http://" + address)
		if err != nil {
			return ""
		}
		defer answer.Body.Close()
		text := make([]byte, 100)
		n, _ := answer.Body.Read(text)
		return strings.TrimSpace(string(text[:n]))
	}
	first := name()
	if first == "" {
		t.Fatal("no answer")
	}
	w.run("delete pod "+first+" --now", fmt.Sprintf("pod %q deleted", first))
	harness.Until(t, soon, "another pod answers at the same port", func() bool { now := name(); return now != "" && now != first })
}
