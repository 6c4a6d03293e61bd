package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"skiff/manifests/podfacts"
)

// Of several conditions the first that holds ends the wait, and the exit code says which.
func TestWaitForTheFirstOfSeveral(t *testing.T) {
	for condition, want := range map[string]struct {
		code int
		said string
	}{
		"Complete": {0, "job.batch/a condition met: condition=complete\n"},
		"Failed":   {2, "job.batch/a condition met: condition=failed\n"},
		"Odd":      {3, "job.batch/a condition met: jsonpath={.status.conditions[0].type}=Odd\n"},
	} {
		w := newWorld(t)
		w.server.Put(map[string]any{"apiVersion": "batch/v1", "kind": "Job", "metadata": map[string]any{"name": "a"}, "spec": map[string]any{"template": map[string]any{}}})
		r := w.start(t, "wait", "job/a", "--for=condition=complete", "--for=condition=failed", "--for=jsonpath={.status.conditions[0].type}=Odd")
		for range 3 {
			awaitWatchers(t, w.server)
		}
		w.server.Change("Job", "a", func(o map[string]any) {
			o["status"] = map[string]any{"conditions": []any{map[string]any{"type": condition, "status": "True"}}}
		})
		r.ends(t, want.code)
		if r.out.String() != want.said {
			t.Errorf("%s: %q", condition, r.out)
		}
	}
}

// When none of several can hold, each says why.
func TestWaitForNoneOfSeveral(t *testing.T) {
	w := newWorld(t)
	_, errOut, code := w.run(t.Context(), "wait", "pod/a", "--for=condition=Ready", "--for=jsonpath={.status.phase}=Running")
	if code != 1 || strings.Count(errOut, `pods "a" not found`) == 0 {
		t.Errorf("exit code %d: %s", code, errOut)
	}
}

// runningPod is a pod with containers that run and, by the name "ended", one that does not.
func runningPod(name string, containers ...string) map[string]any {
	p := pod(name, "Running")
	var specs, statuses []any
	for _, c := range containers {
		state := map[string]any{"running": map[string]any{}}
		if c == "ended" {
			state = map[string]any{"terminated": map[string]any{"exitCode": int64(1)}}
		}
		specs = append(specs, map[string]any{"name": c, "image": "i"})
		statuses = append(statuses, map[string]any{"name": c, "ready": true, "restartCount": int64(0), "image": "i", "imageID": "", "state": state, "containerID": "docker://0123456789abcdef"})
	}
	p["spec"] = map[string]any{"containers": specs}
	p["status"].(map[string]any)["containerStatuses"] = statuses
	return p
}

// The daemon sends signals; each container that runs gets one.
func TestKill(t *testing.T) {
	w := newWorld(t)
	var asked []string
	w.server.Subresources = map[string]http.HandlerFunc{"pods/kill": func(rw http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.RequestURI())
		fmt.Fprint(rw, `{"kind":"Status","apiVersion":"v1","status":"Success"}`)
	}}
	w.server.Put(runningPod("a", "main", "ended", "side"))
	out, errOut, code := w.run(t.Context(), "kill", "a", "-s", "hup")
	if code != 0 || out != "pod/a: SIGHUP sent to container main\npod/a: SIGHUP sent to container side\n" {
		t.Errorf("exit code %d: %s%s", code, out, errOut)
	}
	if want := "POST /api/v1/namespaces/default/pods/a/kill?container=main&signal=SIGHUP"; len(asked) != 2 || asked[0] != want {
		t.Errorf("asked %q", asked)
	}
	out, _, _ = w.run(t.Context(), "kill", "a", "-s", "9", "-c", "side")
	if out != "pod/a: 9 sent to container side\n" {
		t.Errorf("said %q", out)
	}
	if _, errOut, code = w.run(t.Context(), "kill", "a", "-c", "none"); code != 1 || !strings.Contains(errOut, "no container runs") {
		t.Errorf("exit code %d: %s", code, errOut)
	}
}

// Elsewhere nothing can send SIGKILL to a container's first process.
func TestKillElsewhere(t *testing.T) {
	w := newWorld(t)
	w.server.Put(runningPod("a", "main"))
	if _, errOut, code := w.run(t.Context(), "kill", "a"); code != 1 || !strings.Contains(errOut, "only skiff's own daemon can send SIGKILL") {
		t.Errorf("exit code %d: %s", code, errOut)
	}
}

// cp asks the daemon, follows a link to a directory, and says which path is not there.
func TestCopyThroughTheDaemon(t *testing.T) {
	w := newWorld(t)
	w.server.Put(runningPod("a", "main"))
	files := map[string]podfacts.File{"/data": {Name: "data", Mode: 1<<31 | 0o755}, "/link": {Name: "link", Mode: 1 << 27, LinkTarget: "/data"}, "/": {Name: "/", Mode: 1<<31 | 0o755}}
	var put []string
	w.server.Subresources = map[string]http.HandlerFunc{"pods/files": func(rw http.ResponseWriter, r *http.Request) {
		path := r.URL.Query().Get("path")
		file, there := files[path]
		switch {
		case !there:
			rw.Header().Set("Content-Type", "application/json")
			rw.WriteHeader(http.StatusNotFound)
			_ = json.NewEncoder(rw).Encode(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404, "message": fmt.Sprintf("files %q not found", path)})
		case r.Method == http.MethodPut:
			put = append(put, path)
			fmt.Fprint(rw, `{"kind":"Status","apiVersion":"v1","status":"Success"}`)
		default:
			_ = json.NewEncoder(rw).Encode(file)
		}
	}}
	manifests(t)
	for _, test := range []struct{ to, put, says string }{
		{"a:/data", "/data", ""}, {"default/a:/link", "/link", ""}, {"pod/a:/new", "/", ""}, {"a:/no/where", "", `files "/no" not found`}, {"b:/data", "", `pods "b" not found`},
	} {
		put = nil
		_, errOut, code := w.run(t.Context(), "cp", "rc.yaml", test.to)
		if strings.Join(put, " ") != test.put || !strings.Contains(errOut, test.says) || (code != 0) != (test.says != "") {
			t.Errorf("%s: unpacked in %q, exit code %d: %s", test.to, put, code, errOut)
		}
	}
}

func TestPsInOtherForms(t *testing.T) {
	w := newWorld(t)
	p := runningPod("a", "main", "ended")
	p["spec"].(map[string]any)["initContainers"] = []any{map[string]any{"name": "first", "image": "i"}}
	p["spec"].(map[string]any)["nodeName"] = "vm"
	w.server.Put(p)
	wide, _, _ := w.run(t.Context(), "ps", "-o", "wide", "-a")
	for _, want := range []string{"first", "NODE", "vm", "0123456789ab\n"} {
		if !strings.Contains(wide, want) {
			t.Errorf("%q is missing in:\n%s", want, wide)
		}
	}
	lines, _, _ := w.run(t.Context(), "ps", "-o", "json")
	var one struct {
		Pod, Container, State, ID string
		ExitCode                  int
	}
	if err := json.Unmarshal([]byte(strings.SplitN(lines, "\n", 3)[1]), &one); err != nil || one.Container != "ended" || one.ExitCode != 1 || one.ID != "0123456789abcdef" || one.State != "exited (1)" {
		t.Errorf("%+v, %v in:\n%s", one, err, lines)
	}
	if _, errOut, code := w.run(t.Context(), "ps", "-o", "yaml"); code != 1 || !strings.Contains(errOut, "allowed formats are: wide,json") {
		t.Errorf("exit code %d: %s", code, errOut)
	}
}

// A diff ends with 1, in the form of diff -u; what a secret holds is not in it.
func TestDiff(t *testing.T) {
	folder(t, t.TempDir(), map[string]string{
		"before.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: one, z: two}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {p: YQ==, q: YQ==}\n",
		"after.yaml":  "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: one, z: three}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {p: Yg==, q: YQ==}\n",
		"new.yaml":    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: fresh}\ndata: {x: one}\n",
	})
	w := newWorld(t)
	if _, errOut, code := w.run(t.Context(), "apply", "-f", "before.yaml"); code != 0 {
		t.Fatal(errOut)
	}
	if out, errOut, code := w.run(t.Context(), "diff", "-f", "before.yaml"); code != 0 || out != "" {
		t.Errorf("no difference: exit code %d: %s%s", code, out, errOut)
	}
	out, errOut, code := w.run(t.Context(), "diff", "-f", "after.yaml")
	for _, want := range []string{
		"diff -u -N LIVE/v1.ConfigMap.default.a MERGED/v1.ConfigMap.default.a\n--- LIVE/v1.ConfigMap.default.a\n+++ MERGED/v1.ConfigMap.default.a\n@@ -1,",
		"   x: one\n-  z: two\n+  z: three\n", "-  p: '*** (before)'\n+  p: '*** (after)'\n   q: '***'\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in:\n%s", want, out)
		}
	}
	if code != 1 || errOut != "" || strings.Contains(out, "Yg==") || !strings.HasSuffix(out, "\n") {
		t.Errorf("exit code %d: %s\n%s", code, errOut, out)
	}
	out, errOut, code = w.run(t.Context(), "diff", "-f", "new.yaml")
	if code != 1 || !strings.Contains(out, "@@ -0,0 +1,") || !strings.Contains(out, "+  x: one\n") {
		t.Errorf("a new object: exit code %d:\n%s%s", code, out, errOut)
	}
	if w.server.Get("ConfigMap", "fresh") != nil {
		t.Error("diff has made the object")
	}
}

// The user's own program compares; what it ends with counts, and only plain words of its arguments do.
func TestDiffByAnotherProgram(t *testing.T) {
	folder(t, t.TempDir(), map[string]string{"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: one}\n"})
	w := newWorld(t)
	for program, want := range map[string]struct {
		code int
		out  string
	}{
		"echo -n $x": {0, "LIVE"}, "false": {1, ""}, "sh -c": {2, ""}, "no-such-program": {2, ""},
	} {
		w.env["KUBECTL_EXTERNAL_DIFF"] = program
		out, errOut, code := w.run(t.Context(), "diff", "-f", "a.yaml")
		if code != want.code || !strings.Contains(out, want.out) || strings.Contains(out, "$x") {
			t.Errorf("%s: exit code %d: %s%s", program, code, out, errOut)
		}
	}
}

func TestSetEnvList(t *testing.T) {
	w := newWorld(t)
	w.server.Put(map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "s"}, "data": map[string]any{"key": "dmFsdWU="}})
	p := runningPod("a", "main")
	p["spec"].(map[string]any)["containers"].([]any)[0].(map[string]any)["env"] = []any{
		map[string]any{"name": "A", "value": "b"},
		map[string]any{"name": "S", "valueFrom": map[string]any{"secretKeyRef": map[string]any{"name": "s", "key": "key"}}},
		map[string]any{"name": "F", "valueFrom": map[string]any{"fieldRef": map[string]any{"fieldPath": "metadata.name"}}},
	}
	w.server.Put(p)
	out, _, code := w.run(t.Context(), "set", "env", "pod/a", "--list")
	if code != 0 || out != "# Pod a, container main\nA=b\n# S from secret s, key key\n# F from field path metadata.name\n" {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	out, errOut, code := w.run(t.Context(), "set", "env", "pod/a", "--list", "--resolve")
	if code != 1 || !strings.Contains(out, "S=value\n") || !strings.Contains(errOut, "field path metadata.name is known in a pod only") {
		t.Errorf("exit code %d:\n%s%s", code, out, errOut)
	}
	if len(w.server.Calls()) > 0 {
		t.Errorf("something was written: %q", w.server.Calls())
	}
}

// The answer decides; what has come since the question is not deleted.
func TestDeleteInteractively(t *testing.T) {
	for answer, left := range map[string]bool{"y": false, "Y": false, "n": true, "": true, "yes": true} {
		w := newWorld(t)
		w.server.Put(pod("a", "Running"))
		w.stdin = answer + "\n"
		out, _, code := w.run(t.Context(), "delete", "pods", "--all", "-i")
		if code != 0 || !strings.HasPrefix(out, "You are about to delete the following 1 resource(s):\npod/a\nDo you want to continue? (y/n): ") {
			t.Errorf("exit code %d: %s", code, out)
		}
		if there := w.server.Get("Pod", "a") != nil; there != left || strings.Contains(out, "deletion is cancelled\n") != left {
			t.Errorf("%q: the pod is there: %v:\n%s", answer, there, out)
		}
	}
}

// set-last-applied changes the record alone, edit-last-applied has it edited.
func TestLastApplied(t *testing.T) {
	folder(t, t.TempDir(), map[string]string{
		"one.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: one}\n", "two.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: two}\n"})
	w := newWorld(t)
	if _, errOut, code := w.run(t.Context(), "create", "-f", "one.yaml"); code != 0 {
		t.Fatal(errOut)
	}
	if _, errOut, code := w.run(t.Context(), "apply", "set-last-applied", "-f", "two.yaml"); code != 1 || !strings.Contains(errOut, "run the command with --create-annotation") {
		t.Errorf("exit code %d: %s", code, errOut)
	}
	recorded := func() string {
		out, _, _ := w.run(t.Context(), "apply", "view-last-applied", "cm/a", "-o", "json")
		return out
	}
	if out, errOut, code := w.run(t.Context(), "apply", "set-last-applied", "-f", "two.yaml", "--create-annotation"); code != 0 || out != "configmap/a configured\n" || !strings.Contains(recorded(), `"x": "two"`) {
		t.Errorf("exit code %d: %s%s; recorded %s", code, out, errOut, recorded())
	}
	w.env["KUBE_EDITOR"] = "sed -i s/two/three/"
	if out, errOut, code := w.run(t.Context(), "apply", "edit-last-applied", "cm/a"); code != 0 || out != "configmap/a edited\n" || !strings.Contains(recorded(), `"x": "three"`) {
		t.Errorf("exit code %d: %s%s; recorded %s", code, out, errOut, recorded())
	}
	if got := fmt.Sprint(w.server.Get("ConfigMap", "a").Object["data"]); got != "map[x:one]" {
		t.Errorf("the object itself is now %s", got)
	}
}
