package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"

	"skiff/integration/harness"
)

// ci runs skiff test as a CI job does: there is no daemon before, and must be none after.
type ci struct {
	*testing.T
	engine *client.Client
	tmp    string // where the daemon's directory is made
	image  string
}

func newCI(t *testing.T) ci {
	t.Helper()
	engine := harness.Engine(t)
	return ci{T: t, engine: engine, tmp: t.TempDir(), image: harness.Toolbox(t, engine, map[string]string{"tmp/": ""})}
}

// command is skiff test with a manifest in which IMAGE stands for a toolbox.
func (c ci) command(manifest string, args ...string) *exec.Cmd {
	c.Helper()
	file := filepath.Join(c.TempDir(), "app.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(manifest, "IMAGE", c.image)), 0o600); err != nil {
		c.Fatal(err)
	}
	cmd := exec.CommandContext(c.Context(), harness.Build(c).Skiff, append([]string{"test", "-f", file}, args...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+c.tmp, "NO_COLOR=1", "GITHUB_ACTIONS=", "GITLAB_CI=")
	return cmd
}

// instance waits for the daemon's directory, and returns what is on the labels of all it makes.
func (c ci) instance() (id string) {
	c.Helper()
	harness.Until(c, soon, "there is a daemon", func() bool {
		found, err := filepath.Glob(filepath.Join(c.tmp, "skiff-test-*", "instance"))
		if err != nil || len(found) != 1 {
			return false
		}
		text, err := os.ReadFile(found[0])
		id = strings.TrimSpace(string(text))
		return err == nil && id != ""
	})
	return id
}

// run runs a test to its end, and checks that nothing is left of it.
func (c ci) run(cmd *exec.Cmd, meanwhile func(*exec.Cmd)) harness.Result {
	c.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		c.Fatal(err)
	}
	id := c.instance()
	if meanwhile != nil {
		meanwhile(cmd)
	}
	err := cmd.Wait()
	r := harness.Result{Out: out.String(), Err: errs.String()}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		r.Code = exit.ExitCode()
	} else if err != nil {
		c.Fatal(err)
	}
	c.nothingLeft(id)
	return r
}

func (c ci) nothingLeft(instance string) {
	c.Helper()
	nothingLeft(c.T, c.engine, instance)
	if left, err := os.ReadDir(c.tmp); err != nil || len(left) > 0 {
		c.Errorf("files are left: %v, %v", left, err)
	}
}

const server = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - {name: web, image: IMAGE, imagePullPolicy: Never, command: [httpd, -f, -p, "80", -h, /bin], readinessProbe: {httpGet: {path: /sh, port: 80}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
`

// checks is a job that asks the server, and then ends with a code.
const checks = `apiVersion: batch/v1
kind: Job
metadata: {name: checks}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 0
      containers: [{name: checks, image: IMAGE, imagePullPolicy: Never, command: [sh, -c, "until wget -qO /dev/null http://web/sh 2>/dev/null; do sleep 0.1; done; echo '<asked>'; exit CODE"]}]
`

// TestCI: a job that completes passes, one that fails fails with its own code and says why; the report
// tells of both, and nothing is left.
func TestCI(t *testing.T) {
	t.Parallel()
	c := newCI(t)
	out := filepath.Join(t.TempDir(), "out")
	r := c.run(c.command(server+strings.Replace(checks, "CODE", "0", 1), "--report", out, "--timeout=2m"), nil)
	if r.Code != 0 || r.Out != "" || !strings.Contains(r.Err, "report: "+out+"/report.html\npassed in ") {
		t.Fatalf("%+v", r)
	}
	c.reported(out, true, "checks")

	r = c.run(c.command(server+strings.Replace(checks, "CODE", "7", 1), "--report", out, "--for=job/checks", "--timeout=2m"), nil)
	if r.Code != 7 || !strings.Contains(r.Err, "error: job/checks failed: ") || !strings.Contains(r.Err, "  checks | <asked>\n") || !strings.Contains(r.Err, "\nfailed after ") {
		t.Fatalf("%+v", r)
	}
	c.reported(out, false, "checks")
	c.looked(out)
}

// reported checks what the machines' part of a report says.
func (c ci) reported(dir string, passed bool, job string) {
	c.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil {
		c.Fatal(err)
	}
	var r struct {
		Passed bool
		Pods   []struct {
			Owner      string
			Containers []struct {
				Log   string
				Spans []struct{ State string }
			}
		}
		Events []struct{ Reason string }
	}
	if err := json.Unmarshal(text, &r); err != nil {
		c.Fatal(err)
	}
	states := map[string]bool{}
	log := ""
	for _, p := range r.Pods {
		for _, container := range p.Containers {
			for _, s := range container.Spans {
				states[p.Owner+" "+s.State] = true
			}
			if p.Owner == "job/"+job {
				log += container.Log
			}
		}
	}
	if r.Passed != passed || len(r.Pods) != 3 || !states["deployment/web ready"] || !states["job/"+job+" exited"] || log != "<asked>\n" || len(r.Events) < 5 {
		c.Errorf("the report says:\n%s", text)
	}
	junit, err := os.ReadFile(filepath.Join(dir, "junit.xml"))
	if err != nil || strings.Contains(string(junit), "<failure") == passed {
		c.Errorf("%v\n%s", err, junit)
	}
}

// looked looks at the page in a browser.
func (c ci) looked(dir string) {
	c.Helper()
	b := findBrowser(c.T)
	url := "file://" + filepath.Join(dir, "report.html")
	page := b.dom(url)
	for _, part := range []string{`>failed</span>`, `>deployment/web</div>`, ` · checks`, `class="failed"`, `&lt;asked&gt;`} {
		if !strings.Contains(page, part) {
			c.Errorf("the page lacks %q", part)
		}
	}
	b.photograph(url, "report.png")
}

// TestCIInterrupted: what a test made is removed also when it is broken off.
func TestCIInterrupted(t *testing.T) {
	t.Parallel()
	c := newCI(t)
	began := time.Now()
	r := c.run(c.command(strings.NewReplacer("until wget -qO /dev/null http://web/sh 2>/dev/null; do sleep 0.1; done;", "sleep 1000;").Replace(checks), "--timeout=5m"), func(cmd *exec.Cmd) {
		id := c.instance()
		harness.Until(t, soon, "the job runs", func() bool {
			list, err := c.engine.ContainerList(t.Context(), container.ListOptions{Filters: filters.NewArgs(filters.Arg("label", "skiff/instance="+id), filters.Arg("label", "io.kubernetes.container.name=checks"))})
			return err == nil && len(list) == 1
		})
		cmd.Process.Signal(syscall.SIGINT) //nolint:errcheck // if it has ended, its code says so
	})
	if r.Code != 130 || time.Since(began) > 3*time.Minute {
		t.Errorf("%+v", r)
	}
}
