package cli

import (
	"os"
	"strings"
	"testing"
)

// A workload that comes after others is not applied before these have come as far as it says; nor ever,
// if they fail.
func TestUpWaitsForWhatComesFirst(t *testing.T) {
	rc, err := os.ReadFile("testdata/manifests/rc.yaml")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	after := func(what string) string {
		return strings.Replace(string(rc), "metadata:\n", "metadata:\n  annotations: {skiff/after: "+what+"}\n", 1) + "---\n" + countJob
	}
	writeManifest(t, after("job/count=complete"))
	w := newWorld(t)
	r := w.start(t, "up", "-f", "job.yaml", "-d")
	r.err.await(t, "job.batch/count created\n")
	r.err.await(t, "job/count: 0/1 complete\n")
	if w.server.Peek("ReplicationController", "kubia") != nil {
		t.Errorf("it is there already:\n%s", r.err)
	}
	w.server.Change("Job", "count", complete)
	r.err.await(t, "replicationcontroller/kubia created\n")
	comeUp(w.server)
	r.ends(t, 0)

	w = newWorld(t)
	r = w.start(t, "up", "-f", "job.yaml", "-d")
	r.err.await(t, "job/count: 0/1 complete\n")
	w.server.Change("Job", "count", giveUp)
	r.ends(t, 1)
	if !strings.HasSuffix(r.err.String(), "  not started, because it comes later: replicationcontroller/kubia\n") || w.server.Peek("ReplicationController", "kubia") != nil {
		t.Errorf("stderr:\n%s", r.err)
	}
}

// What cannot be waited for is refused before anything is started.
func TestUpRefusesWhatCannotComeFirst(t *testing.T) {
	rc, err := os.ReadFile("testdata/manifests/rc.yaml")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	other := strings.ReplaceAll(string(rc), "kubia", "other")
	annotated := func(manifest, after string) string {
		return strings.Replace(manifest, "metadata:\n", "metadata:\n  annotations: {skiff/after: "+after+"}\n", 1)
	}
	for _, test := range []struct{ manifest, want string }{
		{annotated(string(rc), "job/gone"), "job/gone is not among the workloads of the application"},
		{annotated(string(rc), "replicationcontroller/other=complete") + "---\n" + other, "replicationcontroller/other never completes: only a Job does"},
		{annotated(string(rc), "replicationcontroller/other=done") + "---\n" + other, `"done" is none of started, ready and complete`},
		{annotated(string(rc), "replicationcontroller/other") + "---\n" + annotated(other, "replicationcontroller/kubia=started"), "nothing can start first: replicationcontroller/"},
		{annotated(string(rc), "replicationcontroller/kubia"), "nothing can start first: replicationcontroller/kubia waits for replicationcontroller/kubia"},
	} {
		w := newWorld(t)
		writeManifest(t, test.manifest)
		_, errOut, code := w.run(t.Context(), "up", "-f", "job.yaml", "-d")
		if code != 1 || !strings.Contains(errOut, test.want) || w.server.Peek("ReplicationController", "kubia") != nil {
			t.Errorf("exit code %d, want 1 and %q:\n%s", code, test.want, errOut)
		}
	}
}

const composeFile = `name: count
services:
  one: {image: one, restart: "no"}
`

// A compose file is brought up and taken down as manifests are, in a namespace of the project's name; in
// its folder the commands about what runs are about that namespace.
func TestUpWithAComposeFile(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("compose.yaml", []byte(composeFile), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	r := w.start(t, "up", "-d", "--wait")
	r.err.await(t, "namespace/count created\njob.batch/one created\n")
	w.server.Change("Job", "one", complete)
	r.ends(t, 0)
	if got := w.server.Get("Job", "one").GetNamespace(); got != "count" {
		t.Errorf("the job is in namespace %q", got)
	}
	for _, args := range [][]string{{"ps"}, {"events"}} {
		w.server.Calls()
		w.run(t.Context(), args...)
		if calls := strings.Join(w.server.Calls(), "\n"); !strings.Contains(calls, "/namespaces/count/") {
			t.Errorf("%v asked\n%s", args, calls)
		}
	}
	if _, errOut, code := w.run(t.Context(), "down", "--project", "count"); code != 0 || !strings.Contains(errOut, "job.batch/one deleted\n") {
		t.Errorf("down: exit code %d\n%s", code, errOut)
	}

	writeManifest(t, countJob)
	_, errOut, code := w.run(t.Context(), "up", "-f", "job.yaml", "-f", "compose.yaml", "-d")
	if want := "error: compose.yaml is a compose file and job.yaml is not"; code != 1 || !strings.HasPrefix(errOut, want) {
		t.Errorf("exit code %d\n%s", code, errOut)
	}
}
