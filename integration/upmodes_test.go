package integration

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"skiff/integration/harness"
)

// shelf is a deployment that keeps what it writes, beside a job that fails.
const shelf = `apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: shelf}
spec:
  selector: {matchLabels: {app: shelf}}
  template:
    metadata: {labels: {app: shelf}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - {name: shelf, image: IMAGE, imagePullPolicy: Never, command: [sh, -c, 'echo kept >> /data/book; exec sleep 1000'], volumeMounts: [{name: data, mountPath: /data}]}
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
`

const failingJob = `---
apiVersion: batch/v1
kind: Job
metadata: {name: tests}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{name: tests, image: IMAGE, imagePullPolicy: Never, command: [sh, -c, 'sleep 1; echo 2 of 5 failed; exit 7']}]
`

func writeShelf(t *testing.T, image, manifest string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shelf.yaml")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(manifest, "IMAGE", image)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestUpStopsAndGoesOn: Ctrl-C on an attached up stops the application and deletes nothing; the next up
// sets it going again, with its data.
func TestUpStopsAndGoesOn(t *testing.T) {
	t.Parallel()
	d := harness.Start(t)
	c := d.SkiffCLI()
	path := writeShelf(t, harness.Toolbox(t, d.Engine, map[string]string{"data/": ""}), shelf)
	said := &bytes.Buffer{}
	attached := c.Command("up", "-f", path, "--scale", "shelf=2")
	attached.Stdout, attached.Stderr = said, said
	if err := attached.Start(); err != nil {
		t.Fatal(err)
	}
	ready := func(n string) func() bool {
		return func() bool {
			return c.Try("", "get", "deployment", "shelf", "-o", "jsonpath={.status.readyReplicas}").Out == n
		}
	}
	harness.Until(t, time.Minute, "two replicas", ready("2"))
	if err := attached.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	var code *exec.ExitError
	if err := attached.Wait(); !errors.As(err, &code) || code.ExitCode() != 130 || !strings.Contains(said.String(), "Stopped; the objects, volume claims and their data are kept.\n") {
		t.Fatalf("%v; it said:\n%s", err, said)
	}
	if left := d.Containers("app=shelf"); len(left) != 0 {
		t.Errorf("%d containers are left", len(left))
	}
	if got := c.Do("get", "deployment", "shelf", "-o", "jsonpath={.spec.replicas}/{.metadata.annotations.skiff/replicas}"); got != "0/2" {
		t.Errorf("stopped, it has %q replicas", got)
	}
	c.Do("start", "-f", path)
	harness.Until(t, time.Minute, "two replicas again", ready("2"))
	c.Do("stop", "-f", path)
	c.Do("up", "-d", "-f", path)
	if got := c.Do("get", "deployment", "shelf", "-o", "jsonpath={.status.readyReplicas}"); got != "1" {
		t.Errorf("the manifest's one replica is to run, not %q", got)
	}
	if book := c.Do("exec", "deploy/shelf", "--", "cat", "/data/book"); strings.Count(book, "kept") != 5 {
		t.Errorf("of five runs the volume has kept %q", book)
	}
	c.Do("down", "-v", "-f", path)
}

// TestUpExitCodeFrom: the end of the job ends everything, with its exit code and its log.
func TestUpExitCodeFrom(t *testing.T) {
	t.Parallel()
	d := harness.Start(t)
	c := d.SkiffCLI()
	path := writeShelf(t, harness.Toolbox(t, d.Engine, map[string]string{"data/": ""}), shelf+failingJob)
	for _, flag := range []string{"--exit-code-from=job/tests", "--abort-on-failure"} {
		r := c.Try("", "up", "-f", path, flag)
		if r.Code != 7 || !strings.Contains(r.Out, "2 of 5 failed") || !strings.Contains(r.Err, "container tests ended with exit code 7 (Error)\n") {
			t.Errorf("%s: exit code %d, stdout:\n%s\nstderr:\n%s", flag, r.Code, r.Out, r.Err)
		}
		if left := d.Containers("app=shelf"); len(left) != 0 {
			t.Errorf("%s: %d containers are left", flag, len(left))
		}
	}
	c.Do("down", "-v", "-f", path)
}
