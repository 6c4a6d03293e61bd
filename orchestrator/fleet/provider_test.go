package fleet

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/docker"
	"skiff/manifests/nodefacts"
	"skiff/manifests/registry"
	"skiff/orchestrator/node"
)

// TestNamesThatArePathsAreRefused holds that nothing outside of the nodes' own directories is
// removed, whatever a container's label says.
func TestNamesThatArePathsAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		pass(time.Second)
		precious := filepath.Join(w.dir, "precious")
		for _, dir := range []string{precious, filepath.Join(w.dir, "nodes", "left")} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for i, name := range []string{"../precious", "..", ".", "a/../../precious", "left"} {
			spec := docker.ContainerSpec{Name: fmt.Sprint("c", i), Image: "kubia", Labels: map[string]string{"skiff/node": name}}
			if _, err := w.engine.Create(context.Background(), spec); err != nil {
				t.Fatal(err)
			}
		}
		w.restart()
		pass(time.Minute)
		if _, err := os.Stat(precious); err != nil {
			t.Errorf("a directory that is no node's is removed: %v", err)
		}
		if _, err := os.Stat(filepath.Join(w.dir, "nodes")); err != nil {
			t.Errorf("the directory of all nodes is removed: %v", err)
		}
		if w.kept("left") {
			t.Error("what a node has left is kept")
		}
		provider := w.fleet.options.Provider
		for _, name := range []string{"..", ".", "", "../precious", "A"} {
			if err := provider.Destroy(context.Background(), name); err == nil || !strings.Contains(err.Error(), "is not the name of a node") {
				t.Errorf("destroying %q: %v", name, err)
			}
		}
	})
}

// TestBadCapacityIsTold holds that a node whose annotation can't be read does not start, and that
// its events say why.
func TestBadCapacityIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.add("a")
		_, err := registry.For[*corev1.Node](w.registry).Update(context.Background(), "", "a", func(n *corev1.Node) error {
			n.Annotations = map[string]string{nodefacts.AnnotationCapacity: "pods=many"}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		var told []string
		for _, e := range registry.For[*corev1.Event](w.registry).List("default", nil) {
			if e.InvolvedObject.Kind == "Node" && e.InvolvedObject.Name == "a" && e.Type == corev1.EventTypeWarning {
				told = append(told, e.Reason+": "+e.Message)
			}
		}
		w.expect("events", strings.Join(told, "\n"),
			`InvalidCapacity: annotation skiff/capacity of node a: "pods=many" is not a resource and its quantity, as pods=110`)
	})
}

// TestMemoryOfNodes holds that each node has a directory of its own for volumes in memory.
func TestMemoryOfNodes(t *testing.T) {
	memory := t.TempDir()
	p := NewProvider(ProviderOptions{Dir: t.TempDir(), Node: node.Options{MemoryDir: memory}}).(*provider)
	if got, want := p.memoryDir("worker-1"), filepath.Join(memory, "worker-1"); got != want {
		t.Errorf("memory in %q, want %q", got, want)
	}
	if got := NewProvider(ProviderOptions{Dir: t.TempDir()}).(*provider).memoryDir("worker-1"); got != "" {
		t.Errorf("memory in %q without a place for it", got)
	}
}
