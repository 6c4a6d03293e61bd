package cli

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// swap puts another object in the place of one just before the n-th request of a method for it is
// answered, as somebody else may do at any time.
func swap(w *world, method string, n int32, content map[string]any) {
	kind, name := content["kind"].(string), content["metadata"].(map[string]any)["name"].(string)
	var asked atomic.Int32
	w.server.Before = func(r *http.Request) {
		if r.Method == method && strings.HasSuffix(r.URL.Path, "s/"+name) && asked.Add(1) == n {
			w.server.Remove(kind, name)
			w.server.Put(content)
		}
	}
}

// What is deleted is the object that the decision was made on, not one that has taken its name
// since.
func TestUpDeletesNoObjectOfAnother(t *testing.T) {
	other := func(kind, version, name string) map[string]any {
		return map[string]any{"apiVersion": version, "kind": kind, "metadata": map[string]any{"name": name, "uid": "another"}}
	}
	for _, at := range []struct {
		method string
		n      int32
	}{{"GET", 2}, {"DELETE", 1}} {
		t.Run("a failed job, "+at.method, func(t *testing.T) {
			t.Chdir(t.TempDir())
			w := newWorld(t)
			writeManifest(t, countJob)
			w.server.Put(other("Job", "batch/v1", "count"))
			w.server.Change("Job", "count", giveUp)
			anew := other("Job", "batch/v1", "count")
			anew["metadata"].(map[string]any)["uid"] = "run by another"
			complete(anew)
			swap(w, at.method, at.n, anew)
			r := w.start(t, "up", "-f", "job.yaml", "--wait")
			r.ends(t, 0)
			if strings.Contains(r.err.String(), "deleted") {
				t.Errorf("said\n%s", r.err)
			}
			if got := w.server.Get("Job", "count").GetUID(); got != "run by another" {
				t.Errorf("the job is %q", got)
			}
		})
	}
	t.Run("a pruned member", func(t *testing.T) {
		folder(t, filepath.Join(t.TempDir(), "shop"), map[string]string{"skiff.yaml": twoSettings})
		w := newWorld(t)
		if _, errOut, code := w.run(t.Context(), "up", "-d"); code != 0 {
			t.Fatal(errOut)
		}
		folder(t, ".", map[string]string{"skiff.yaml": oneSetting})
		swap(w, "GET", 1, other("ConfigMap", "v1", "two"))
		if _, errOut, code := w.run(t.Context(), "up", "-d", "--prune"); code != 0 || strings.Contains(errOut, "deleted") {
			t.Errorf("exit code %d, said\n%s", code, errOut)
		}
		if w.server.Get("ConfigMap", "two") == nil {
			t.Error("another's object is gone")
		}
	})
	t.Run("an interrupt", func(t *testing.T) {
		manifests(t)
		w := newWorld(t)
		swap(w, "GET", 2, other("ReplicationController", "v1", "kubia")) // the first is that of apply
		r := w.start(t, "up", "-f", "rc.yaml", "--project=")
		r.err.await(t, "0/3 ready")
		r.signals <- os.Interrupt
		r.ends(t, 130)
		rc := w.server.Get("ReplicationController", "kubia")
		if rc == nil {
			t.Fatalf("another's object is gone:\n%s", r.err)
		}
		if n, set, _ := unstructured.NestedInt64(rc.Object, "spec", "replicas"); set && n == 0 {
			t.Errorf("another's object is stopped:\n%s", r.err)
		}
	})
}

// A conflict about an object that is still there is told.
func TestDownTellsOtherConflicts(t *testing.T) {
	manifests(t)
	w := newWorld(t)
	if _, errOut, code := w.run(t.Context(), "apply", "-f", "rc.yaml"); code != 0 {
		t.Fatal(errOut)
	}
	w.server.Refuse = refuseDeletion
	if _, errOut, code := w.run(t.Context(), "down", "-f", "rc.yaml"); code != 1 || !strings.Contains(errOut, "it is busy") {
		t.Errorf("exit code %d, said\n%s", code, errOut)
	}
}

func refuseDeletion(verb string, o *unstructured.Unstructured) error {
	if verb != "delete" {
		return nil
	}
	return apierrors.NewConflict(schema.GroupResource{Resource: "replicationcontrollers"}, o.GetName(), errors.New("it is busy"))
}
