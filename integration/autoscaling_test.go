package integration

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"skiff/integration/harness"
)

// burning is a deployment whose pods use a processor while there is a file /tmp/burn.
const burning = `
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
        imagePullPolicy: Never
        command: [sh, -c, "while :; do while [ -e /tmp/burn ]; do :; done; sleep 0.2; done"]
        resources: {requests: {cpu: 100m}, limits: {cpu: 400m}}
`

// reaction is how long an autoscaler may take to see that more pods are needed.
const reaction = 20 * time.Second

// TestAutoscaling has a pod burn a processor: both command lines' top shows it, and the autoscaler
// gives it company.
func TestAutoscaling(t *testing.T) {
	t.Parallel()
	image := harness.Toolbox(t, harness.Engine(t), map[string]string{"tmp/": ""})
	d := harness.Start(t)
	w := walk{t, d, d.KubectlCLI()}
	w.cli.DoIn(fmt.Sprintf(burning, image), "apply", "-f", "-")
	w.run("rollout status deployment/web", "…\ndeployment \"web\" successfully rolled out")
	w.run("autoscale deployment web --min=1 --max=3 --cpu=50%", "horizontalpodautoscaler.autoscaling/web autoscaled")
	w.until(soon, "get hpa -o wide --no-headers", "web Deployment/web cpu: *%/50% 1 3 1 *")
	pod := w.pods("app=web")[0]

	w.cli.Do("exec", pod, "--", "touch", "/tmp/burn")
	began := time.Now()
	w.until(2*reaction, "get deployment web -o jsonpath={.spec.replicas}", "3")
	if took := time.Since(began); took > reaction {
		t.Errorf("the autoscaler took %s, want at most %s", took, reaction)
	}
	if events := w.cli.Do("get", "events"); !strings.Contains(events, "New size: 3; reason: cpu resource utilization (percentage of request) above target") {
		t.Errorf("no event in\n%s", events)
	}
	w.until(soon, "get deployment web --no-headers", "web 3/3 3 3 *")

	line := regexp.MustCompile(`(?m)^` + pod + ` +web +(\d+)m +\d+Mi *$`)
	for _, cli := range d.CLIs() {
		found := line.FindStringSubmatch(cli.Do("top", "pods", "--containers"))
		if found == nil {
			t.Errorf("%s top does not show the pod:\n%s", cli.Name, cli.Do("top", "pods", "--containers"))
			continue
		}
		if used, _ := strconv.Atoi(found[1]); used < 150 || used > 500 {
			t.Errorf("%s top shows %dm, want some 400m", cli.Name, used)
		}
		if out := cli.Do("top", "nodes"); !regexp.MustCompile(`(?m)^\S+ +\d+m +\d+% +\d+Mi +\d+% *$`).MatchString(out) {
			t.Errorf("%s top nodes:\n%s", cli.Name, out)
		}
	}
	if k, s := d.KubectlCLI().Do("describe", "hpa", "web"), d.SkiffCLI().Do("describe", "hpa", "web"); shape(k) != shape(s) {
		t.Errorf("kubectl describes\n%s\nskiff\n%s", k, s)
	}
}

// shape is a text without its numbers, and without the spaces that depend on them.
func shape(text string) string {
	text = regexp.MustCompile(`\d+`).ReplaceAllString(text, "0")
	return regexp.MustCompile(` +|-{2,}`).ReplaceAllString(text, " ")
}
