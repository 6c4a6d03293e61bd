package integration

import (
	"strings"
	"testing"

	"skiff/integration/harness"
)

const batchJob = `apiVersion: batch/v1
kind: Job
metadata: {name: batch}
spec:
  backoffLimit: 0
  template:
    spec:
      terminationGracePeriodSeconds: 0
      restartPolicy: Never
      containers: [{name: main, image: ksfzhaohui/kubia, imagePullPolicy: Never, command: [/kubia, -batch=1ms]}]
`

// setInStone are objects with fields that may not change: those with the value "old".
const setInStone = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: old}}
  template: {metadata: {labels: {app: old}}, spec: {containers: [{name: main, image: ksfzhaohui/kubia}]}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 0
  serviceName: old
  selector: {matchLabels: {app: db}}
  template: {metadata: {labels: {app: db}}, spec: {containers: [{name: main, image: ksfzhaohui/kubia}]}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
immutable: true
data: {a: old}
`

// TestUpReplaces: what the API refuses to change is named, and replaced where the user says so; a job
// that has failed is run again.
func TestUpReplaces(t *testing.T) {
	t.Parallel()
	c := harness.Start(t).SkiffCLI()
	up := func(manifest string, args ...string) harness.Result {
		return c.Try(manifest, append([]string{"up", "-f", "-", "--wait", "--timeout=1m"}, args...)...)
	}
	if r := up(strings.Replace(batchJob, "-batch=1ms", "-no-such-flag", 1)); r.Code != 1 || !strings.Contains(r.Err, "BackoffLimitExceeded") {
		t.Fatalf("a job that fails: %+v", r)
	}
	if r := up(batchJob); r.Code != 0 || !strings.Contains(r.Err, "job.batch/batch has failed before, and is run again\n") {
		t.Errorf("a failed job that was mended: %+v", r)
	}
	edited := strings.Replace(batchJob, "-batch=1ms", "-batch=2ms", 1)
	r := up(edited)
	inOrder(t, r.Err, "job.batch/batch has changed since it completed, and is run again\n", "job.batch/batch deleted\n", "job.batch/batch created\n", "job/batch: 1/1 complete\n")
	if r.Code != 0 {
		t.Errorf("an edited job: %+v", r)
	}
	if got := c.Do("get", "job", "batch", "-o", "jsonpath={.spec.template.spec.containers[0].command[1]} {.status.succeeded}"); got != "-batch=2ms 1" {
		t.Errorf("the job is %q", got)
	}

	if r := up(setInStone); r.Code != 0 {
		t.Fatalf("%+v", r)
	}
	for _, object := range strings.Split(setInStone, "---\n") {
		object = strings.ReplaceAll(object, "old", "new")
		if r := up(object); r.Code != 1 || strings.Count(r.Err, "\n") != 1 || !strings.Contains(r.Err, ` from "old" to "new"`) || !strings.Contains(r.Err, "; --replace deletes it and creates it again\n") {
			t.Errorf("%s\n%+v", object, r)
		}
		if r := up(object, "--replace"); r.Code != 0 || !strings.Contains(r.Err, " deleted\n") || !strings.Contains(r.Err, " created\n") {
			t.Errorf("replaced:\n%s\n%+v", object, r)
		}
	}
}
