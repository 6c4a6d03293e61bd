package watch

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"

	"skiff/cli/client"
	"skiff/cli/clitest"
	"skiff/cli/develop"
	"skiff/cli/recipe"
	"skiff/docker/buildcontext"
)

// stage is an engine, a server and a watcher, and a record of what is done.
type stage struct {
	t      *testing.T
	server *clitest.Server
	mu     sync.Mutex
	done   []string
	news   chan struct{}
	// image is the ID of the subject's image; builds fail with broken.
	image  string
	broken error
	// full is how many copies fail.
	full int
}

func (s *stage) note(format string, a ...any) {
	s.mu.Lock()
	s.done = append(s.done, fmt.Sprintf(format, a...))
	s.mu.Unlock()
	select {
	case s.news <- struct{}{}:
	default:
	}
}

func (s *stage) Write(p []byte) (int, error) {
	s.note("said %s", strings.TrimSpace(string(p)))
	return len(p), nil
}

func (s *stage) Find(context.Context, string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []string{"digest", s.image}, nil
}

func (s *stage) Build(_ context.Context, b buildcontext.Spec, progress io.Writer) error {
	s.mu.Lock()
	err := s.broken
	s.image += "'"
	s.mu.Unlock()
	s.note("build %s", strings.Join(b.Tags, " "))
	return err
}

func (s *stage) CopyTo(_ context.Context, container, dir string, archive io.Reader) error {
	s.mu.Lock()
	fails := s.full > 0
	s.full = max(s.full-1, 0)
	s.mu.Unlock()
	if fails {
		_, _ = io.Copy(io.Discard, archive)
		s.note("no copy to %s", container)
		return errors.New("no space left")
	}
	s.note("copy to %s at %s: %s", container, dir, contents(archive))
	return nil
}

func (s *stage) AddFiles(_ context.Context, image, name string, archive io.Reader) error {
	s.note("add to %s as %s: %s", image, name, contents(archive))
	return nil
}

// contents are the files of an archive with their text.
func contents(archive io.Reader) string {
	var out []string
	for r := tar.NewReader(archive); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return strings.Join(out, " ")
		}
		if err != nil {
			return err.Error()
		}
		var text bytes.Buffer
		_, _ = text.ReadFrom(r)
		out = append(out, h.Name+"="+text.String())
	}
}

// await waits until something is done that begins and contains as said, and returns it. What was done before
// is not looked at again.
func (s *stage) await(parts ...string) string {
	s.t.Helper()
	deadline := time.After(patience)
	for {
		s.mu.Lock()
		for i, line := range s.done {
			if strings.HasPrefix(line, parts[0]) && !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(line, p) }) {
				s.done = s.done[i+1:]
				s.mu.Unlock()
				return line
			}
		}
		all := strings.Join(s.done, "\n")
		s.mu.Unlock()
		select {
		case <-s.news:
		case <-deadline:
			s.t.Fatalf("%q was not done, but\n%s", parts, all)
		}
	}
}

// pod puts a pod of the workload on the server, whose container runs.
func (s *stage) pod(name string) {
	s.server.Put(map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": name, "labels": map[string]any{"app": "web"}},
		"spec": map[string]any{"containers": []any{map[string]any{"name": "web", "image": "app"}}},
		"status": map[string]any{"phase": "Running", "containerStatuses": []any{map[string]any{
			"name": "web", "containerID": "docker://" + name, "state": map[string]any{"running": map[string]any{"startedAt": "2026-11-30T12:00:00Z"}}}}}})
}

// begin watches a folder for a Deployment, by some rules.
func begin(t *testing.T, dir string, rules ...develop.Rule) *stage {
	t.Helper()
	s := &stage{t: t, server: clitest.New(t, clock.RealClock{}), news: make(chan struct{}, 1), image: "id"}
	s.server.Put(map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "web"},
		"spec": map[string]any{"selector": map[string]any{"matchLabels": map[string]any{"app": "web"}}, "template": map[string]any{"metadata": map[string]any{"labels": map[string]any{"app": "web"}}}}})
	s.pod("one")
	c, err := client.New(client.Options{Server: s.server.URL, Err: io.Discard, Clock: clock.RealClock{}})
	if err != nil {
		t.Fatal(err)
	}
	catalog, err := c.Catalog()
	if err != nil {
		t.Fatal(err)
	}
	mapping, err := catalog.Kind(schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"})
	if err != nil {
		t.Fatal(err)
	}
	made := &recipe.Recipe{Service: "web", Image: "app", Where: "compose.yaml:3"}
	made.Context, made.Tags = dir, []string{"app"}
	w := &Watcher{Client: c, Engine: s, Clock: clock.RealClock{}, Err: s, run: func(_ context.Context, p *corev1.Pod, container string, words []string) (string, error) {
		s.note("run in %s %s: %s", p.Name, container, strings.Join(words, " "))
		return "", nil
	}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- w.Run(ctx, []Watched{{Ref: client.Ref{Mapping: mapping, Namespace: "default", Name: "web"},
			Subject: develop.Subject{Kind: "Deployment", Name: "web", Container: "web", Service: "web", Recipe: made, Rules: rules}}})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	s.await("said web: watching ")
	<-s.server.Watched()
	return s
}

// restarted is when the Deployment was told to replace its pods.
func (s *stage) restarted() string {
	at, _, _ := unstructured.NestedString(s.server.Get("Deployment", "web").Object, "spec", "template", "metadata", "annotations", "kubectl.kubernetes.io/restartedAt")
	return at
}

// TestSync: what is saved is copied, what is removed is removed, and a new pod gets all of it.
func TestSync(t *testing.T) {
	dir := tree(t, "src/a", "src/b")
	s := begin(t, dir, develop.Rule{Path: filepath.Join(dir, "src"), Action: develop.Sync, Target: "/app"})
	write(t, filepath.Join(dir, "src/a"), "changed")
	s.await("copy to one at /: app/a=changed")
	s.await("said web: synced ", "src/a (", " ms)")
	if err := os.Remove(filepath.Join(dir, "src/b")); err != nil {
		t.Fatal(err)
	}
	s.await("run in one web: rm -rf -- /app/b")
	s.pod("two")
	s.await("copy to two at /: app/a=changed")
	s.await("run in two web: rm -rf -- /app/b")
	if s.restarted() != "" {
		t.Error("pods were replaced")
	}
}

// TestSyncAgain: what could not be copied is copied with the next change, also into a container that had all before.
func TestSyncAgain(t *testing.T) {
	dir := tree(t, "src/a", "src/b")
	s := begin(t, dir, develop.Rule{Path: filepath.Join(dir, "src"), Action: develop.Sync, Target: "/app"})
	write(t, filepath.Join(dir, "src/a"), "first")
	s.await("copy to one at /: app/a=first")
	s.await("said web: synced ")
	s.mu.Lock()
	s.full = 2
	s.mu.Unlock()
	write(t, filepath.Join(dir, "src/a"), "second")
	s.await("said web: copying files into one: no space left")
	s.await("no copy to one")
	write(t, filepath.Join(dir, "src/b"), "third")
	s.await("copy to one at /: ", "app/a=second", "app/b=third")
}

// TestSyncExec runs a command where files were copied.
func TestSyncExec(t *testing.T) {
	dir := tree(t, "conf")
	s := begin(t, dir, develop.Rule{Path: filepath.Join(dir, "conf"), Action: develop.SyncExec, Target: "/etc/conf", Exec: []string{"kill", "-HUP", "1"}})
	write(t, filepath.Join(dir, "conf"), "changed")
	s.await("copy to one at /: etc/conf=changed")
	s.await("run in one web: kill -HUP 1")
}

// TestSyncRestart: new files are part of the image that the new pods start from, all of them each time.
func TestSyncRestart(t *testing.T) {
	dir := tree(t, "src/a", "src/b")
	s := begin(t, dir, develop.Rule{Path: filepath.Join(dir, "src"), Action: develop.SyncRestart, Target: "/app"})
	write(t, filepath.Join(dir, "src/a"), "1")
	s.await("add to id as app: app/a=1")
	s.await("said web: deployment.apps/web is rolled out")
	first := s.restarted()
	write(t, filepath.Join(dir, "src/b"), "2")
	s.await("add to id as app: app/a=1 app/b=2")
	s.await("said web: deployment.apps/web is rolled out")
	if second := s.restarted(); first == "" || second == first {
		t.Errorf("restarted at %q and %q", first, second)
	}
	// A file that is gone cannot be taken out of an image.
	if err := os.Remove(filepath.Join(dir, "src/a")); err != nil {
		t.Fatal(err)
	}
	s.await("build app")
}

// TestRebuild: a build that fails changes nothing, and the next save has another chance.
func TestRebuild(t *testing.T) {
	dir := tree(t, "src/a")
	s := begin(t, dir, develop.Rule{Path: dir, Action: develop.Rebuild})
	s.mu.Lock()
	s.broken = errors.New("exit code: 1")
	s.mu.Unlock()
	write(t, filepath.Join(dir, "src/a"), "1")
	s.await("build app")
	s.await("said web: compose.yaml:3: building the image of web: exit code: 1")
	if s.restarted() != "" {
		t.Error("pods were replaced though the build failed")
	}
	s.mu.Lock()
	s.broken = nil
	s.mu.Unlock()
	write(t, filepath.Join(dir, "src/a"), "2")
	s.await("build app")
	s.await("said web: deployment.apps/web is rolled out")
	if s.restarted() == "" {
		t.Error("pods were not replaced")
	}
}
