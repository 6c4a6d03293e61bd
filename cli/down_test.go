package cli

import (
	"os"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"skiff/cli/clitest"
)

const claimOfData = `apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
`

const setOfData = `apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec: {serviceName: db, volumeClaimTemplates: [{metadata: {name: files}}]}
`

// What an application has stored outlives it, as it does docker compose down.
func TestDownKeepsClaims(t *testing.T) {
	w := newWorld(t)
	w.stdin = claimOfData + "---\n" + setOfData
	for _, name := range []string{"data", "files-db-0", "files-db-10", "files-db-x", "files-dbx-0"} {
		w.server.Put(map[string]any{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": map[string]any{"name": name}})
	}
	there := func() string {
		var names []string
		for _, name := range []string{"data", "files-db-0", "files-db-10", "files-db-x", "files-dbx-0"} {
			if w.server.Get("PersistentVolumeClaim", name) != nil {
				names = append(names, name)
			}
		}
		return strings.Join(names, " ")
	}
	if _, errOut, code := w.run(t.Context(), "down", "-f", "-"); code != 0 || errOut != "persistentvolumeclaim/data kept with its data: --volumes deletes both\n" {
		t.Errorf("exit code %d, printed:\n%s", code, errOut)
	}
	if got := there(); got != "data files-db-0 files-db-10 files-db-x files-dbx-0" {
		t.Errorf("claims after down: %s", got)
	}
	if _, errOut, code := w.run(t.Context(), "down", "--volumes", "-f", "-"); code != 0 {
		t.Errorf("exit code %d, printed:\n%s", code, errOut)
	}
	if got := there(); got != "files-db-x files-dbx-0" {
		t.Errorf("claims after down --volumes: %s; want those that are not the application's", got)
	}
}

// A namespace takes everything in it along; one that holds claims stays.
func TestDownKeepsTheNamespaceOfClaims(t *testing.T) {
	w := newWorld(t)
	w.stdin = "{apiVersion: v1, kind: Namespace, metadata: {name: app}}"
	namespace := map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "app"}}
	w.server.Put(namespace)
	w.server.Put(map[string]any{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": map[string]any{"name": "data", "namespace": "app"}})
	if _, errOut, code := w.run(t.Context(), "down", "-f", "-"); code != 0 || errOut != "namespace/app kept for persistentvolumeclaim/data: --volumes deletes both, and the data\n" {
		t.Errorf("exit code %d, printed:\n%s", code, errOut)
	}
	if w.server.Get("Namespace", "app") == nil {
		t.Error("the namespace is gone")
	}
	w.server.Remove("PersistentVolumeClaim", "data")
	if _, errOut, code := w.run(t.Context(), "down", "-f", "-"); code != 0 || w.server.Get("Namespace", "app") != nil {
		t.Errorf("without a claim: exit code %d, printed:\n%s", code, errOut)
	}
}

// With a definition all objects of its kind are lost, whoever made them.
func TestDownKeepsDefinitions(t *testing.T) {
	w := newWorld(t)
	w.server.Serve(clitest.Kind{GroupVersionKind: schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}, Resource: "customresourcedefinitions", Cluster: true})
	w.stdin = "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: gadgets.example.org}}"
	if _, errOut, code := w.run(t.Context(), "apply", "-f", "-"); code != 0 {
		t.Fatal(errOut)
	}
	const kept = "customresourcedefinition.apiextensions.k8s.io/gadgets.example.org kept with all objects of its kind: --volumes deletes them too\n"
	if _, errOut, code := w.run(t.Context(), "down", "-f", "-"); code != 0 || errOut != kept || w.server.Get("CustomResourceDefinition", "gadgets.example.org") == nil {
		t.Errorf("exit code %d, printed:\n%s", code, errOut)
	}
	if _, errOut, code := w.run(t.Context(), "down", "--volumes", "-f", "-"); code != 0 || w.server.Get("CustomResourceDefinition", "gadgets.example.org") != nil {
		t.Errorf("with --volumes: exit code %d, printed:\n%s", code, errOut)
	}
}

func TestInterruptKeepsClaims(t *testing.T) {
	manifests(t)
	w := newWorld(t)
	rc, err := os.ReadFile("rc.yaml")
	if err != nil {
		t.Fatal(err)
	}
	path := t.TempDir() + "/app.yaml"
	if err := os.WriteFile(path, []byte(string(rc)+"\n---\n"+claimOfData), 0o600); err != nil {
		t.Fatal(err)
	}
	r := w.start(t, "up", "-f", path, "--rm")
	r.err.await(t, "0/3 ready")
	r.signals <- os.Interrupt
	r.ends(t, 130)
	if w.server.Get("ReplicationController", "kubia") != nil || w.server.Get("PersistentVolumeClaim", "data") == nil {
		t.Errorf("the claim is to be kept, the rest not; printed:\n%s", r.err)
	}
	r = w.start(t, "up", "-f", path)
	r.err.await(t, "0/3 ready")
	standsStill(w.server)
	r.signals <- os.Interrupt
	r.ends(t, 130)
	if w.server.Get("ReplicationController", "kubia") == nil || w.server.Get("PersistentVolumeClaim", "data") == nil {
		t.Errorf("without --rm all is to be kept; printed:\n%s", r.err)
	}
}

// A pod that is deleted without a grace period is gone at once; its containers are not.
func TestDownWaitsForContainers(t *testing.T) {
	manifests(t)
	w := newWorld(t)
	if _, errOut, code := w.run(t.Context(), "apply", "-f", "rc.yaml"); code != 0 {
		t.Fatal(errOut)
	}
	p := ownPod(w.server, "kubia-x", map[string]any{"phase": "Running"})
	p["spec"].(map[string]any)["nodeName"] = "n"
	w.server.Put(p)
	uid := w.server.Get("Pod", "kubia-x").GetUID()
	w.server.Runs("n", uid, "of-another-application")
	w.server.Change("ReplicationController", "kubia", func(o map[string]any) {
		o["metadata"].(map[string]any)["finalizers"] = []any{"foregroundDeletion"}
	})
	r := w.start(t, "down", "-f", "rc.yaml")
	r.err.await(t, "replicationcontroller/kubia: stopping\n")
	w.server.Remove("Pod", "kubia-x") // the garbage collector's work
	w.server.Remove("ReplicationController", "kubia")
	r.err.await(t, "replicationcontroller/kubia deleted\n")
	eventually(t, func() bool { return w.server.NodesAsked() == 1 && w.clock.HasWaiters() })
	w.clock.Step(time.Second)
	eventually(t, func() bool { return w.server.NodesAsked() == 2 && w.clock.HasWaiters() })
	select {
	case code := <-r.code:
		t.Fatalf("ended with %d while the container is still there", code)
	default:
	}
	if strings.Contains(r.err.String(), "Waiting") {
		t.Errorf("impatient:\n%s", r.err)
	}
	w.clock.Step(5 * time.Second)
	r.err.await(t, "Waiting for nodes to remove the containers of pod/kubia-x in namespace default on node n; Ctrl-C does not wait for that\n")
	eventually(t, func() bool { return w.clock.HasWaiters() })
	w.server.Runs("n", "of-another-application")
	w.clock.Step(time.Second)
	r.ends(t, 0)
}
