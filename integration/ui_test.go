package integration

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"skiff/cli/clitest/chromium"
	"skiff/integration/harness"
)

// ailing is an application of which one pod is well, and one is killed by its liveness probe again and again.
const ailing = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - {name: web, image: IMAGE, imagePullPolicy: Never, command: [sh, -c, "echo the shop is open; httpd -f -p 80 -h /bin"], readinessProbe: {httpGet: {path: /sh, port: 80}, periodSeconds: 1}}
---
apiVersion: v1
kind: Pod
metadata: {name: sick}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: sick, image: IMAGE, imagePullPolicy: Never, command: [sh, -c, "touch /tmp/well; sleep 2; echo losing it; rm /tmp/well; sleep 1000"], livenessProbe: {exec: {command: [cat, /tmp/well]}, periodSeconds: 1, failureThreshold: 1}}
`

// serveUI runs skiff ui until the test ends, and returns the address that it prints.
func serveUI(t *testing.T, d *harness.Daemon) (url string, cmd *exec.Cmd) {
	t.Helper()
	cmd = d.SkiffCLI().Command("ui", "--no-open")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // it has been interrupted, by the test or by its end
	lines := bufio.NewScanner(out)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "http://127.0.0.1:") {
		t.Fatalf("skiff ui printed %q, %v", lines.Text(), lines.Err())
	}
	return lines.Text(), cmd
}

// TestUI looks at what happens on a real engine: a pod that is killed and why, a log, a Deployment that is scaled
// and restarted from the page; and ends it as Ctrl-C does.
func TestUI(t *testing.T) {
	t.Parallel()
	p := chromium.Open(t)
	engine := harness.Engine(t)
	image := harness.Toolbox(t, engine, map[string]string{"tmp/": ""})
	d := harness.Start(t)
	d.SkiffCLI().DoIn(strings.ReplaceAll(ailing, "IMAGE", image), "apply", "-f", "-")
	url, cmd := serveUI(t, d)

	p.Look(1280, 900, false)
	p.Go(url)
	whole := func(name, state string) string {
		return fmt.Sprintf(`document.querySelector('[aria-label="%s"] .row.whole').innerText.includes('%s')`, name, state)
	}
	p.Until(whole("deployment/web", "1/1 ready"))
	p.Until(`document.getElementById('problems').innerText.includes("liveness probe failed: cat: can't open '/tmp/well': No such file or directory")`)
	p.Until(`document.querySelector('[aria-label="pod/sick"] .row.pod .track b.failed') !== null && document.querySelector('[aria-label="pod/sick"] .row.pod .track i.probe') !== null`)

	p.Eval(`document.querySelector('[aria-label="deployment/web"] .row.pod .name').click()`)
	p.Until("document.getElementById('log-lines').innerText.includes('the shop is open') && document.getElementById('log-state').textContent === 'following'")
	p.Press("Escape")

	p.Eval(`document.querySelector('[aria-label="deployment/web"] .row.whole .name').focus()`)
	p.Press("s")
	p.Until("document.getElementById('ask').open")
	p.Type("3")
	p.Press("Enter")
	p.Until(whole("deployment/web", "3/3 ready"))
	p.Press("r")
	p.Until("document.getElementById('ask').open")
	p.Press("Enter")
	p.Until(`[...document.querySelectorAll('[aria-label="deployment/web"] .row.whole .track i.change')].some(i => i.title.startsWith('rolled out'))`)
	p.Until(whole("deployment/web", "3/3 ready"))
	p.Photograph(t.ArtifactDir(), "ui.png")
	if len(p.Errors) > 0 {
		t.Errorf("the page has errors: %v", p.Errors)
	}

	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("skiff ui ended with %v", err)
		}
	case <-time.After(soon):
		t.Fatal("skiff ui does not end")
	}
	if answer, err := http.Get(url); err == nil {
		answer.Body.Close()
		t.Error("it still answers")
	}
	p.Until("document.getElementById('link').className === 'lost'")
}
