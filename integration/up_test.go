package integration

import (
	"fmt"
	"strings"
	"testing"

	"skiff/integration/harness"
)

// endsAtOnce is a container that prints its usage and exits with code 2.
const endsAtOnce = `{terminationGracePeriodSeconds: 0, restartPolicy: %s, containers: [{name: main, image: ksfzhaohui/kubia, imagePullPolicy: Never, args: [-no-such-flag]}]}`

const endingDeployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: ending}
spec:
  selector: {matchLabels: {app: ending}}
  template: {metadata: {labels: {app: ending}}, spec: %s}
`

const endingJob = `apiVersion: batch/v1
kind: Job
metadata: {name: ending}
spec:
  backoffLimit: %d
  template: {spec: %s}
`

// A container that ends as soon as it has started runs for a moment, and is ready then; an
// application of such containers is not up.
func TestUpIsNoFalseGreen(t *testing.T) {
	t.Parallel()
	d := harness.Start(t)
	c := d.SkiffCLI()
	always, never, onFailure := fmt.Sprintf(endsAtOnce, "Always"), fmt.Sprintf(endsAtOnce, "Never"), fmt.Sprintf(endsAtOnce, "OnFailure")
	init := strings.Replace(strings.Replace(always, "containers:", "initContainers:", 1), "}]}", "}], containers: [{name: after, image: ksfzhaohui/kubia, imagePullPolicy: Never}]}", 1)
	gaveUp := "error: job/ending failed: BackoffLimitExceeded: Job has reached the specified backoff limit; pod/ending-"
	for _, test := range []struct {
		name, manifest, says string
		args                 []string
	}{
		{"detached", fmt.Sprintf(endingDeployment, always), "soon after its start", []string{"-d"}},
		{"waiting", fmt.Sprintf(endingDeployment, always), "soon after its start", []string{"--wait"}},
		{"init container", fmt.Sprintf(endingDeployment, init), "CrashLoopBackOff", []string{"-d"}},
		{"job that is to complete", fmt.Sprintf(endingJob, 0, never), gaveUp, []string{"--wait"}},
		{"job that restarts its container", fmt.Sprintf(endingJob, 1, onFailure), gaveUp, []string{"--wait"}},
		{"job whose container keeps ending", fmt.Sprintf(endingJob, 6, onFailure), "CrashLoopBackOff", []string{"-d"}},
		{"job whose pods keep failing", fmt.Sprintf(endingJob, 6, never), "2 pods of job/ending have failed", []string{"-d"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			// A busy machine takes its time to run what the engine says has started.
			r := c.Try(test.manifest, append([]string{"up", "-f", "-", "--timeout=1m", "--settle=20s"}, test.args...)...)
			if r.Code != 1 || !strings.Contains(r.Err, test.says) || !strings.Contains(r.Err, "container main ended with exit code 2 (Error)") || !strings.Contains(r.Err, "  main | ") {
				t.Errorf("exit code %d; %q, the exit code or the log is missing in:\n%s", r.Code, test.says, r.Err)
			}
			if r := c.Try(test.manifest, "down", "-f", "-"); r.Code != 0 {
				t.Error(r.Err)
			}
		})
	}
	if r := c.Try("", "wait", "job/none", "--for=condition=complete"); r.Code != 1 {
		t.Errorf("a job that is not there: %+v", r)
	}
	c.DoIn(fmt.Sprintf(endingJob, 1, onFailure), "apply", "-f", "-")
	if r := c.Try("", "wait", "job/ending", "--for=condition=complete", "--timeout=1m"); r.Code != 1 || !strings.Contains(r.Err, gaveUp) {
		t.Errorf("wait: %+v", r)
	}
}
