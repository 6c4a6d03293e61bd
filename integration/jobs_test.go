package integration

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/client"

	"skiff/examples/kubia/images"
	"skiff/integration/harness"
)

// quickJob is the tutorial's batch job in less time, and trueJob one in none.
var (
	quickJob = images.Spec{Name: "skiff-test/batch-job", Entrypoint: []string{"/kubia", "-batch=2s"}}
	trueJob  = images.Spec{Name: "skiff-test/true", Entrypoint: []string{"/kubia", "-batch=1ms"}}
)

// makeImages makes the tests' own images, and removes them after the test.
func makeImages(t *testing.T, engine client.APIClient) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	t.Cleanup(func() {
		if err := images.Remove(ctx, engine, []string{quickJob.Name, trueJob.Name}); err != nil {
			t.Error(err)
		}
	})
	if err := images.Build(ctx, engine, []images.Spec{quickJob, trueJob}); err != nil {
		t.Fatal(err)
	}
}

// quick is the path of an example's manifest that runs the quick job, with further changes.
func (w walk) quick(name string, changes ...string) string {
	w.Helper()
	text, err := os.ReadFile(manifest(name))
	if err != nil {
		w.Fatal(err)
	}
	file := w.TempDir() + "/" + name
	changed := strings.NewReplacer(append(changes, "ksfzhaohui/batch-job", quickJob.Name)...).Replace(string(text))
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		w.Fatal(err)
	}
	return file
}

// TestJobs walks the tutorial's chapters on Jobs and CronJobs. The jobs take two seconds instead of
// two minutes.
func TestJobs(t *testing.T) {
	t.Parallel() // it mostly waits
	makeImages(t, harness.Engine(t))
	t.Run("both", func(t *testing.T) {
		walkBoth(t, func(w walk) {
			w.createCronJob()
			w.oneJob()
			w.severalCompletions()
			w.inParallel()
			w.timeLimited()
			w.cronJobRuns()
		})
	})
}

func (w walk) oneJob() {
	w.Helper()
	w.run("create -f "+w.quick("batch-job.yaml"), "job.batch/batch-job created")
	w.until(soon, "get pod -l app=batch-job", "NAME READY STATUS RESTARTS AGE\nbatch-job-????? 1/1 Running 0 *")
	w.run("get job batch-job", "NAME STATUS COMPLETIONS DURATION AGE\nbatch-job Running 0/1 * *")
	w.until(soon, "get pod -l app=batch-job", "NAME READY STATUS RESTARTS AGE\nbatch-job-????? 0/1 Completed 0 *")
	w.until(soon, "get job batch-job", "NAME STATUS COMPLETIONS DURATION AGE\nbatch-job Complete 1/1 * *")
	w.run("logs -l job-name=batch-job", "…\n…")
	if out := w.cli.Do("logs", "job/batch-job"); !strings.Contains(out, "Batch job starting") || !strings.Contains(out, "Finished succesfully") {
		w.Errorf("the ended pod's logs: %q", out)
	}
	w.run("describe job batch-job", `
Name:             batch-job
Namespace:        default
Selector:         batch.kubernetes.io/controller-uid=*
Labels:           app=batch-job
                  batch.kubernetes.io/controller-uid=*
                  batch.kubernetes.io/job-name=batch-job
                  controller-uid=*
                  job-name=batch-job
Annotations:      <none>
Parallelism:      1
Completions:      1
Completion Mode:  NonIndexed
Suspend:          false
Backoff Limit:    6
Start Time:       …
Completed At:     …
Duration:         *
Pods Statuses:    0 Active (0 Ready) / 1 Succeeded / 0 Failed
Pod Template:
...
Events:
  Type    Reason            Age  From            Message
  ----    ------            ---- ----            -------
  Normal  SuccessfulCreate  *    job-controller  Created pod: batch-job-?????
  Normal  Completed         *    job-controller  Job completed`)
	w.run("delete job batch-job", `job.batch "batch-job" deleted …`)
	harness.Until(w.T, soon, "the job's pod is gone", func() bool { return len(w.pods("app=batch-job")) == 0 })
}

func (w walk) severalCompletions() {
	w.Helper()
	const name = "multi-completion-batch-job"
	w.run("create -f "+w.quick(name+".yaml"), "job.batch/"+name+" created")
	w.until(soon, "get pod -l app="+name, fmt.Sprintf(`
NAME READY STATUS RESTARTS AGE
%[1]s-????? ?/1 * 0 *
%[1]s-????? ?/1 * 0 *`, name))
	if w.cli.Do("get", "job", name, "-o", "jsonpath={.status.active}") != "1" {
		w.Error("more than one pod at a time")
	}
	w.until(time.Minute, "get job "+name, "NAME STATUS COMPLETIONS DURATION AGE\n"+name+" Complete 3/3 * *")
	w.run("get pod -l app="+name, fmt.Sprintf(`
NAME READY STATUS RESTARTS AGE
%[1]s-????? 0/1 Completed 0 *
%[1]s-????? 0/1 Completed 0 *
%[1]s-????? 0/1 Completed 0 *`, name))
}

func (w walk) inParallel() {
	w.Helper()
	const name = "multi-completion-parallel-batch-job"
	w.run("create -f "+w.quick(name+".yaml"), "job.batch/"+name+" created")
	harness.Until(w.T, soon, "two pods run at a time", func() bool {
		return w.cli.Do("get", "job", name, "-o", "jsonpath={.status.active}") == "2"
	})
	w.until(time.Minute, "get job "+name, "NAME STATUS COMPLETIONS DURATION AGE\n"+name+" Complete 3/3 * *")
}

func (w walk) timeLimited() {
	w.Helper()
	const name = "time-limited-batch-job"
	file := w.quick(name+".yaml", "activeDeadlineSeconds: 30", "activeDeadlineSeconds: 8", "ksfzhaohui/batch-job", "ksfzhaohui/batch-job\n        imagePullPolicy: IfNotPresent",
		"restartPolicy: OnFailure", "restartPolicy: OnFailure\n      terminationGracePeriodSeconds: 1")
	w.run("create -f "+file, "job.batch/"+name+" created")
	w.until(soon, "get pod -l app="+name, "NAME READY STATUS RESTARTS AGE\n"+name+"-????? 1/1 Running 0 *")
	w.until(soon, "get job "+name, "NAME STATUS COMPLETIONS DURATION AGE\n"+name+" Failed 0/1 * *")
	// Its pod is deleted a moment after the job has failed.
	harness.Until(w.T, soon, "the job has no pods", func() bool {
		r := w.cli.Try("", "get", "pod", "-l", "app="+name)
		return r.Out == "" && r.Err == "No resources found in default namespace.\n"
	})
	got := w.cli.Do("get", "job", name, "-o", `jsonpath={range .status.conditions[*]}{.type} {.reason}: {.message}{"\n"}{end}`)
	matches(w.T, got, "FailureTarget DeadlineExceeded: Job was active longer than specified deadline\nFailed DeadlineExceeded: Job was active longer than specified deadline")
	r := w.d.SkiffCLI().Try("", "logs", "job/"+name)
	if r.Code != 0 || !strings.Contains(r.Out, "Batch job starting") || r.Err != "The pods of job.batch/"+name+" have been deleted; this is what was kept of the last one's log\n" {
		w.Errorf("the log of a job whose pods are gone: %+v", r)
	}
}

func (w walk) createCronJob() {
	w.Helper()
	r := w.cli.Try("", "create", "-f", w.quick("cronjob.yaml"))
	matches(w.T, r.Out, "cronjob.batch/corn-batch-job created")
	w.run("get cronjob", "NAME SCHEDULE TIMEZONE SUSPEND ACTIVE LAST SCHEDULE AGE\ncorn-batch-job 0-59 * * * * <none> False * * *")
	w.run("create job by-hand --from=cronjob/corn-batch-job", "job.batch/by-hand created")
}

func (w walk) cronJobRuns() {
	w.Helper()
	w.until(time.Minute, "get job by-hand", "NAME STATUS COMPLETIONS DURATION AGE\nby-hand Complete 1/1 * *")
	// The first whole minute may be just ahead; on a slow machine the second is past when its Job is complete.
	first := regexp.MustCompile(`(?m)^corn-batch-job-\d{8} +Complete +1/1 `)
	harness.Until(w.T, 2*time.Minute, "the first minute's job is complete", func() bool {
		return first.MatchString(w.cli.Do("get", "jobs"))
	})
	if events := w.cli.Do("describe", "cronjob", "corn-batch-job"); !strings.Contains(events, "Created job corn-batch-job-") ||
		!strings.Contains(events, "condition: Complete") {
		w.Errorf("describe:\n%s", events)
	}
	w.run("delete CronJob corn-batch-job", `cronjob.batch "corn-batch-job" deleted …`)
	harness.Until(w.T, soon, "the cron job's jobs and pods are gone", func() bool {
		return len(w.pods("app=corn-batch-job")) == 0 && !strings.Contains(w.cli.Do("get", "jobs"), "corn-batch-job-")
	})
}

const crashJob = `
apiVersion: batch/v1
kind: Job
metadata: {name: %[1]s}
spec:
  completions: %[2]d
  parallelism: 4
  completionMode: %[3]s
  backoffLimit: 1000
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      restartPolicy: Never
      containers: [{name: main, image: %[4]s, imagePullPolicy: Never}]
`

// TestKillNineWithJobs kills the daemon again and again while jobs run. No completion may be lost
// or be counted twice: in the end the status counts exactly those pods that succeeded, and of an
// indexed job each index once.
func TestKillNineWithJobs(t *testing.T) {
	const completions, kills = 16, 8
	makeImages(t, harness.Engine(t)) // before the daemon, whose containers go first
	d := harness.Start(t)
	cli := d.SkiffCLI()
	for name, mode := range map[string]string{"plain": "NonIndexed", "indexed": "Indexed"} {
		cli.DoIn(fmt.Sprintf(crashJob, name, completions, mode, trueJob.Name), "create", "-f", "-")
	}
	status := func(name, field string) string {
		return cli.Do("get", "job", name, "-o", "jsonpath={.status."+field+"}")
	}
	for i := range kills {
		// From moments after the start to when several pods have ended.
		timer := time.NewTimer(time.Duration(150+i*170) * time.Millisecond)
		<-timer.C
		d.Kill()
		d.Run()
	}
	var wait sync.WaitGroup
	for _, name := range []string{"plain", "indexed"} {
		wait.Go(func() { cli.Try("", "wait", "--for=condition=complete", "job/"+name, "--timeout=90s") })
	}
	wait.Wait()
	for _, name := range []string{"plain", "indexed"} {
		t.Logf("%s: %s succeeded, %q failed, indexes %q", name, status(name, "succeeded"), status(name, "failed"), status(name, "completedIndexes"))
		if got := status(name, "succeeded"); got != fmt.Sprint(completions) {
			t.Errorf("%s: %s succeeded, want %d\n%s", name, got, completions, cli.Do("get", "job", name, "-o", "yaml"))
		}
		if n := strings.Count(cli.Do("get", "pods", "-l", "app="+name, "--field-selector", "status.phase=Succeeded", "-o", "name"), "pod/"); n != completions {
			t.Errorf("%s: %d pods succeeded, want %d", name, n, completions)
		}
		if got := status(name, "uncountedTerminatedPods"); got != "{}" {
			t.Errorf("%s: uncounted %s", name, got)
		}
	}
	if got := status("indexed", "completedIndexes"); got != fmt.Sprintf("0-%d", completions-1) {
		t.Errorf("completed indexes %s", got)
	}
	ended := strings.Fields(cli.Do("get", "pods", "-l", "app=indexed", "--field-selector", "status.phase=Succeeded", "-o",
		`jsonpath={.items[*].metadata.annotations.batch\.kubernetes\.io/job-completion-index}`))
	once := map[string]int{}
	for _, index := range ended {
		once[index]++
	}
	if len(once) != completions {
		t.Errorf("indexes of the pods that succeeded: %v", once)
	}
}
