package cli

import (
	"net/http"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const countJob = `apiVersion: batch/v1
kind: Job
metadata: {name: count}
spec:
  completions: 1
  template:
    spec:
      restartPolicy: Never
      containers:
      - {name: main, image: "counter:1"}
      - {name: side, image: "side:1", args: [a]}
`

// refuseJobs refuses changes of a job's template as upstream's validation does.
func refuseJobs(w *world) {
	w.server.Refuse = func(verb string, o *unstructured.Unstructured) error {
		old := w.server.Peek("Job", o.GetName())
		if verb != "patch" || o.GetKind() != "Job" || old == nil {
			return nil
		}
		was, _, _ := unstructured.NestedMap(old.Object, "spec", "template")
		is, _, _ := unstructured.NestedMap(o.Object, "spec", "template")
		if reflect.DeepEqual(was, is) {
			return nil
		}
		return apierrors.NewInvalid(schema.GroupKind{Group: "batch", Kind: "Job"}, o.GetName(),
			field.ErrorList{field.Invalid(field.NewPath("spec", "template"), is, "field is immutable")})
	}
}

func writeManifest(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile("job.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func complete(o map[string]any) {
	o["status"] = map[string]any{"succeeded": int64(1), "conditions": []any{map[string]any{"type": "Complete", "status": "True"}}}
}

// A job that runs and whose manifest has changed is refused with the field that may not change, and
// replaced where the user says so: nothing is created before the old one is gone.
func TestUpReplacesWhatCannotChange(t *testing.T) {
	t.Chdir(t.TempDir())
	w := newWorld(t)
	refuseJobs(w)
	writeManifest(t, countJob)
	w.run(t.Context(), "apply", "-f", "job.yaml")
	before := w.server.Get("Job", "count").GetUID()

	writeManifest(t, strings.NewReplacer("counter:1", "counter:2", ", args: [a]", "").Replace(countJob))
	_, errOut, code := w.run(t.Context(), "up", "-f", "job.yaml", "--wait")
	want := "error: job.batch/count (job.yaml:1) cannot be changed in place: " +
		`spec.template.spec.containers[main].image from "counter:1" to "counter:2", spec.template.spec.containers[side].args from ["a"] to nothing; --replace deletes it and creates it again` + "\n"
	if code != 1 || errOut != want {
		t.Errorf("exit code %d, said\n%swant\n%s", code, errOut, want)
	}

	w.server.Change("Job", "count", func(o map[string]any) {
		o["metadata"].(map[string]any)["finalizers"] = []any{"foregroundDeletion"}
	})
	r := w.start(t, "up", "-f", "job.yaml", "--wait", "--replace")
	r.err.await(t, "job/count: stopping")
	if strings.Contains(r.err.String(), "created") {
		t.Errorf("created before the old one was gone:\n%s", r.err)
	}
	w.server.Remove("Job", "count")
	r.err.await(t, "job.batch/count deleted\njob.batch/count created\n")
	w.server.Change("Job", "count", complete)
	r.ends(t, 0)
	now := w.server.Get("Job", "count")
	if now.GetUID() == before {
		t.Error("it is the old one")
	}
}

// A job that is over and whose manifest has changed is run again; one that has not changed is not,
// unless the user says so.
func TestUpRunsJobsAgain(t *testing.T) {
	t.Chdir(t.TempDir())
	w := newWorld(t)
	refuseJobs(w)
	writeManifest(t, countJob)
	r := w.start(t, "up", "-f", "job.yaml", "--wait")
	r.err.await(t, "job.batch/count created\n")
	w.server.Change("Job", "count", complete)
	r.ends(t, 0)
	if _, errOut, code := w.run(t.Context(), "up", "-f", "job.yaml", "--wait"); code != 0 || !strings.HasPrefix(errOut, "job.batch/count unchanged\n") {
		t.Errorf("the same again: exit code %d\n%s", code, errOut)
	}
	for _, test := range []struct{ manifest, flag, why string }{
		{strings.Replace(countJob, "counter:1", "counter:2", 1), "--wait", "has changed since it completed"},
		{strings.Replace(countJob, "counter:1", "counter:2", 1), "--rerun", "has completed before"},
	} {
		writeManifest(t, test.manifest)
		r := w.start(t, "up", "-f", "job.yaml", "--wait", test.flag)
		r.err.await(t, "job.batch/count "+test.why+", and is run again\njob.batch/count deleted\njob.batch/count created\n")
		w.server.Change("Job", "count", complete)
		r.ends(t, 0)
	}
}

// A job or a pod that has failed before is run again, whether or not its manifest has changed.
func TestUpRunsAgainWhatHasFailed(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, manifest := range []string{countJob, strings.Replace(countJob, "counter:1", "counter:2", 1)} {
		w := newWorld(t)
		refuseJobs(w)
		writeManifest(t, countJob)
		r := w.start(t, "up", "-f", "job.yaml", "-d")
		r.err.await(t, "job.batch/count created\n")
		w.server.Change("Job", "count", giveUp)
		r.ends(t, 1)

		writeManifest(t, manifest)
		r = w.start(t, "up", "-f", "job.yaml", "--wait")
		r.err.await(t, "job.batch/count has failed before, and is run again\njob.batch/count deleted\njob.batch/count created\n")
		w.server.Change("Job", "count", complete)
		r.ends(t, 0)
	}
	w := newWorld(t)
	writeManifest(t, "apiVersion: v1\nkind: Pod\nmetadata: {name: once}\nspec: {restartPolicy: Never, containers: [{name: main, image: i}]}\n")
	w.server.Put(pod("once", "Failed"))
	r := w.start(t, "up", "-f", "job.yaml", "--wait")
	r.err.await(t, "pod/once has failed before, and is run again\npod/once deleted\npod/once created\n")
	w.server.Change("Pod", "once", setPhase("Succeeded"))
	r.ends(t, 0)
}

// holdOn keeps an object that is deleted from being gone.
func holdOn(o map[string]any) {
	o["metadata"].(map[string]any)["finalizers"] = []any{"foregroundDeletion"}
}

// The time that up has is also that of the deletions on its way, and what they waited for is named.
func TestUpTimesOutWhileItDeletes(t *testing.T) {
	for _, test := range []struct {
		name, manifest, want string
		args                 []string
		prepare              func(w *world)
	}{
		{"a replacement", strings.Replace(countJob, "counter:1", "counter:2", 1), "job.batch/count and its pods to be gone", []string{"--replace"}, refuseJobs},
		{"a failed job", countJob, "job.batch/count and its pods to be gone", nil, func(w *world) { w.server.Change("Job", "count", giveUp) }},
		{"what left", oneSetting, "job.batch/count to be gone", []string{"--prune"}, func(*world) {}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			w := newWorld(t)
			writeManifest(t, countJob)
			r := w.start(t, "up", "-f", "job.yaml", "--wait")
			r.err.await(t, "job.batch/count created\n")
			w.server.Change("Job", "count", complete)
			r.ends(t, 0)
			w.server.Change("Job", "count", holdOn)
			test.prepare(w)
			writeManifest(t, test.manifest)
			r = w.start(t, append([]string{"up", "-f", "job.yaml", "--wait", "--timeout=1m"}, test.args...)...)
			r.err.await(t, "job/count: stopping")
			w.clock.Step(time.Minute)
			r.ends(t, 1)
			if want := "error: timed out after 1m0s waiting for " + test.want + "\n"; !strings.HasSuffix(r.err.String(), want) {
				t.Errorf("said\n%swant\n%s", r.err, want)
			}
		})
	}
}

// An interrupt keeps what was to be left running, and says how to go on.
func TestInterruptOfDetachedUp(t *testing.T) {
	manifests(t)
	for _, flag := range []string{"-d", "--wait"} {
		w := newWorld(t)
		r := w.start(t, "up", "-f", "rc.yaml", flag)
		r.err.await(t, "0/3 ready")
		r.signals <- os.Interrupt
		r.ends(t, 130)
		if w.server.Get("ReplicationController", "kubia") == nil {
			t.Errorf("up %s: it is gone", flag)
		}
		if want := "Created, and left: replicationcontroller/kubia\nThe same skiff up goes on, and skiff down with the same files removes it.\n"; !strings.HasSuffix(r.err.String(), want) {
			t.Errorf("up %s said:\n%s", flag, r.err)
		}
	}
}

// What was replaced was there before: an interrupt leaves it.
func TestInterruptKeepsWhatWasReplaced(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, failed := range []bool{true, false} {
		w := newWorld(t)
		refuseJobs(w)
		writeManifest(t, countJob)
		if _, errOut, code := w.run(t.Context(), "apply", "-f", "job.yaml"); code != 0 {
			t.Fatal(errOut)
		}
		if failed {
			w.server.Change("Job", "count", giveUp)
		}
		writeManifest(t, strings.Replace(countJob, "counter:1", "counter:2", 1))
		r := w.start(t, "up", "-f", "job.yaml", "--replace", "--project=")
		r.err.await(t, "job.batch/count deleted\njob.batch/count created\n")
		r.err.await(t, "job/count: 0/1 complete")
		r.signals <- os.Interrupt
		r.ends(t, 130)
		if w.server.Get("Job", "count") == nil {
			t.Errorf("failed before %t: the job is gone; said\n%s", failed, r.err)
		}
	}
}

// An interrupt between a deletion and the creation that it is for leaves no object away unsaid.
func TestInterruptWhileReplacing(t *testing.T) {
	t.Chdir(t.TempDir())
	failed := func() *world {
		w := newWorld(t)
		writeManifest(t, countJob)
		w.server.Put(map[string]any{"apiVersion": "batch/v1", "kind": "Job", "metadata": map[string]any{"name": "count"}})
		w.server.Change("Job", "count", giveUp)
		w.server.Change("Job", "count", holdOn)
		return w
	}
	w := failed()
	r := w.start(t, "up", "-f", "job.yaml", "--project=")
	r.err.await(t, "job/count: stopping")
	r.signals <- os.Interrupt
	r.ends(t, 130)
	if want := "job.batch/count was to be deleted and created again, and has not been created: skiff up creates it\n"; !strings.HasSuffix(r.err.String(), want) {
		t.Errorf("said\n%s", r.err)
	}

	w = failed()
	var once sync.Once
	began, goOn := make(chan struct{}), make(chan struct{})
	w.server.Before = func(req *http.Request) {
		if req.Method == http.MethodPost && strings.HasSuffix(req.URL.Path, "/jobs") {
			once.Do(func() { close(began); <-goOn })
		}
	}
	r = w.start(t, "up", "-f", "job.yaml", "--project=")
	r.err.await(t, "job/count: stopping")
	w.server.Remove("Job", "count")
	<-began
	r.cancel()
	time.Sleep(50 * time.Millisecond) // a request that the interrupt breaks off fails meanwhile
	close(goOn)
	r.ends(t, 130)
	if w.server.Get("Job", "count") == nil {
		t.Errorf("the job is not there; said\n%s", r.err)
	}
}
