package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/docker/docker/api/types/image"

	"skiff/docker/buildcontext"
)

// folder makes a build context of "path: text" pairs; a path that ends in "@" is a link to text.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, strings.TrimSuffix(name, "@"))
		check(t, os.MkdirAll(filepath.Dir(path), 0o755))
		if strings.HasSuffix(name, "@") {
			check(t, os.Symlink(text, path))
			continue
		}
		check(t, os.WriteFile(path, []byte(text), 0o644))
	}
	return dir
}

// TestBuildSends: the builder gets the context without what is ignored, and the options.
func TestBuildSends(t *testing.T) {
	fake := newFake(t).start()
	fake.on("POST /session", http.NotFound) // an engine without BuildKit
	var got strings.Builder
	fake.on("POST /build", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		fmt.Fprintf(&got, "%s %s %s %s\n", q["t"], q.Get("dockerfile"), q.Get("target"), q.Get("buildargs"))
		for archive := tar.NewReader(r.Body); ; {
			h, err := archive.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			check(t, err)
			text, err := io.ReadAll(archive)
			check(t, err)
			fmt.Fprintf(&got, "%s%s %d %q\n", h.Name, h.Linkname, h.Uid, text)
		}
		_, _ = io.WriteString(w, `{"stream":"Step 1/1 : FROM scratch\n"}{"aux":{"ID":"sha256:1"}}{"stream":"Successfully built 1\n"}`)
	})
	dir := folder(t, map[string]string{"Dockerfile": "FROM scratch", "a/keep": "1", "a/drop.log": "2", "node_modules/x": "3", "link@": "a/keep", ".dockerignore": "*.log\n**/*.log\nnode_modules\nDockerfile\n"})
	value := "v"
	var said bytes.Buffer
	check(t, fake.connect(Options{}).Build(t.Context(), buildcontext.Spec{Context: dir, Tags: []string{"one", "two"}, Target: "last", Args: map[string]*string{"A": &value, "B": nil}}, &said))
	want := `[one two] Dockerfile last {"A":"v","B":null}
.dockerignore 0 "*.log\n**/*.log\nnode_modules\nDockerfile\n"
Dockerfile 0 "FROM scratch"
a/ 0 ""
a/keep 0 "1"
linka/keep 0 ""
`
	if got.String() != want {
		t.Errorf("sent\n%s\nwant\n%s", &got, want)
	}
	if said.String() != "Step 1/1 : FROM scratch\nSuccessfully built 1\n" {
		t.Errorf("said %q", &said)
	}
}

func TestBuildFails(t *testing.T) {
	fake := newFake(t).start()
	e := fake.connect(Options{})
	e.getenv = func(name string) string { return map[string]string{"DOCKER_BUILDKIT": "0"}[name] }
	err := e.Build(t.Context(), buildcontext.Spec{Context: t.TempDir(), Tags: []string{"x"}}, io.Discard)
	wantKind(t, err, ErrInvalid)
	if !strings.Contains(err.Error(), "there is no Dockerfile in ") {
		t.Error(err)
	}
	fake.on("POST /build", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"stream":"Step 1/2 : FROM scratch\n"}{"errorDetail":{"message":"no such thing"},"error":"no such thing"}`)
	})
	err = e.Build(t.Context(), buildcontext.Spec{Context: folder(t, map[string]string{"x.Dockerfile": "FROM scratch"}), Dockerfile: "x.Dockerfile", Tags: []string{"x"}}, io.Discard)
	wantKind(t, err, ErrBuild)
	if err.Error() != "build x: no such thing" {
		t.Error(err)
	}
	err = e.Build(t.Context(), buildcontext.Spec{Context: folder(t, map[string]string{"Dockerfile": "FROM scratch"}), Tags: []string{"x"}, Secrets: map[string][]byte{"s": nil}}, io.Discard)
	wantKind(t, err, ErrInvalid)
	if !strings.Contains(err.Error(), "which only BuildKit can give to it") {
		t.Error(err)
	}
	e.getenv = func(string) string { return "perhaps" }
	err = e.Build(t.Context(), buildcontext.Spec{Context: folder(t, map[string]string{"Dockerfile": "FROM scratch"}), Tags: []string{"x"}}, io.Discard)
	wantKind(t, err, ErrInvalid)
}

// TestBuildOfBrokenContext: a file that cannot be read is no failure of the engine's.
func TestBuildOfBrokenContext(t *testing.T) {
	fake := newFake(t).start()
	fake.on("POST /build", func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	e := fake.connect(Options{})
	e.getenv = func(name string) string { return map[string]string{"DOCKER_BUILDKIT": "0"}[name] }
	c, err := e.client(t.Context())
	check(t, err)
	spec := buildcontext.Spec{Context: folder(t, map[string]string{"Dockerfile": "FROM scratch"})}
	err = send(t.Context(), c, spec, []string{"Dockerfile", "gone"}, buildOptions(spec), io.Discard)
	wantKind(t, err, ErrInvalid)
	if !errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "cannot reach") {
		t.Error(err)
	}
	fake.on("POST /build", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"stream":"Step 1/2 : FROM scratch\n"}`)
	})
	read, write := io.Pipe()
	check(t, read.CloseWithError(syscall.EPIPE))
	spec.Tags = []string{"x"}
	if err := e.Build(t.Context(), spec, write); !errors.Is(err, syscall.EPIPE) || errors.Is(err, ErrBuild) || errors.Is(err, ErrUnavailable) {
		t.Errorf("nobody reads the progress: %v", err)
	}
}

// TestSessionThatHangs: an engine that does not answer the request for a session holds nobody up.
func TestSessionThatHangs(t *testing.T) {
	fake := newFake(t).start()
	ctx, cancel := context.WithCancel(t.Context())
	released := make(chan struct{})
	fake.on("POST /session", func(http.ResponseWriter, *http.Request) {
		cancel()
		<-released
	})
	defer close(released)
	wantKind(t, fake.connect(Options{}).Build(ctx, buildcontext.Spec{Context: folder(t, map[string]string{"Dockerfile": "FROM scratch"})}, io.Discard), context.Canceled)
}

// TestBuildOnTheEngine makes an image of a file and of what the image below it has, and sees that a
// second build of the same changes nothing.
func TestBuildOnTheEngine(t *testing.T) {
	b := newBench(t)
	b.getenv = func(name string) string { return map[string]string{"DOCKER_BUILDKIT": "1"}[name] }
	name := "skiff-test-build:" + randomName()
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		c, err := b.client(ctx)
		check(t, err)
		_, err = c.ImageRemove(ctx, name, image.RemoveOptions{Force: true, PruneChildren: true})
		check(t, err)
	})
	spec := buildcontext.Spec{Tags: []string{name}, Context: folder(t, map[string]string{"data/text": "hello"}), Inline: "FROM " + testImageRef + "\nARG CODE\nCOPY data /data\nCMD [\"exit\", \"7\"]\n"}
	var said bytes.Buffer
	if err := b.Build(t.Context(), spec, &said); err != nil {
		t.Fatal(err, &said)
	}
	if !strings.Contains(said.String(), "COPY data /data\n") || !strings.HasPrefix(said.String(), "#1 [") {
		t.Errorf("BuildKit said\n%s", &said)
	}
	first, err := b.Image(t.Context(), name)
	check(t, err)
	made := b.spec()
	made.Image = name
	id := b.start(b.create(made))
	if code := b.ended(id).ExitCode; code != 7 {
		t.Errorf("exit code %d", code)
	}
	check(t, b.Remove(t.Context(), id))
	check(t, b.Build(t.Context(), spec, io.Discard))
	again, err := b.Image(t.Context(), name)
	check(t, err)
	if again.ID != first.ID {
		t.Errorf("the same again is %s, and was %s", again.ID, first.ID)
	}
}

// TestAddFilesOnTheEngine: an image with more files is otherwise the same.
func TestAddFilesOnTheEngine(t *testing.T) {
	b := newBench(t)
	base, name := "skiff-test-base:"+randomName(), "skiff-test-added:"+randomName()
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		c, err := b.client(ctx)
		check(t, err)
		for _, ref := range []string{name, base} {
			_, err = c.ImageRemove(ctx, ref, image.RemoveOptions{Force: true, PruneChildren: true})
			check(t, err)
		}
	})
	spec := buildcontext.Spec{Tags: []string{base}, Context: t.TempDir(), Inline: "FROM " + testImageRef + "\nLABEL a=b\nENV C=d\nCMD [\"exit\", \"7\"]\n"}
	check(t, b.Build(t.Context(), spec, io.Discard))
	before, err := b.Image(t.Context(), base)
	check(t, err)
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	check(t, w.WriteHeader(&tar.Header{Name: "deep/file", Mode: 0o644, Size: 5}))
	_, err = w.Write([]byte("hello"))
	check(t, err)
	check(t, w.Close())
	check(t, b.AddFiles(t.Context(), before.ID, name, &files))
	after, err := b.Image(t.Context(), name)
	check(t, err)
	if after.ID == before.ID || after.Labels["a"] != "b" || !maps.Equal(after.Labels, before.Labels) || !slices.Equal(after.Cmd, before.Cmd) || !slices.Equal(after.Env, before.Env) || !slices.Equal(after.Entrypoint, before.Entrypoint) {
		t.Errorf("the image is %+v, and was %+v", after, before)
	}
	text, err := b.ImageFile(t.Context(), name, "deep/file", "skiff-test-"+strings.ToLower(randomName()), 100)
	if err != nil || string(text) != "hello" {
		t.Errorf("the file holds %q: %v", text, err)
	}
}
