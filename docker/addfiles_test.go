package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
)

// onAddedFiles makes the fake engine know an image "base", and tells with what a container of it is created and
// what is committed.
func onAddedFiles(f *fakeEngine, config map[string]any) (created, committed *container.Config) {
	created, committed = &container.Config{}, &container.Config{}
	f.onJSON("GET /images/base/json", map[string]any{"Id": "sha256:1", "Config": config})
	f.on("POST /containers/create", func(w http.ResponseWriter, r *http.Request) {
		check(f.t, json.NewDecoder(r.Body).Decode(created))
		writeJSON(w, http.StatusCreated, container.CreateResponse{ID: "c"})
	})
	f.on("PUT /containers/c/archive", func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	f.on("POST /commit", func(w http.ResponseWriter, r *http.Request) {
		check(f.t, json.NewDecoder(r.Body).Decode(committed))
		writeJSON(w, http.StatusCreated, container.CommitResponse{ID: "sha256:2"})
	})
	f.on("DELETE /containers/c", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	return created, committed
}

// What the container has of its own would become the image's: it has no labels, and its command is not kept.
func TestAddFilesKeepsTheImage(t *testing.T) {
	f := newFake(t).start()
	created, committed := onAddedFiles(f, map[string]any{"Labels": map[string]string{"a": "b"}})
	check(t, f.connect(Options{}).AddFiles(t.Context(), "base", "new", tarOf(t, 0, "a", "text")))
	if len(created.Labels) != 0 || len(committed.Labels) != 1 || committed.Labels["a"] != "b" {
		t.Errorf("created with %v, committed with %v", created.Labels, committed.Labels)
	}
	if len(committed.Entrypoint) == 0 || committed.Entrypoint[0] != "" || len(committed.Cmd) != 0 {
		t.Errorf("the image has command %q %q, and had none", committed.Entrypoint, committed.Cmd)
	}
}

// Files of a volume are not the image's, and what is refused leaves no container behind.
func TestAddFilesRefuses(t *testing.T) {
	f := newFake(t).start()
	onAddedFiles(f, map[string]any{"Volumes": map[string]any{"/data/": map[string]any{}}})
	e := f.connect(Options{})
	var mountPoint bytes.Buffer
	check(t, tar.NewWriter(&mountPoint).WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "data/"}))
	check(t, e.AddFiles(t.Context(), "base", "new", io.MultiReader(&mountPoint, tarOf(t, 0, "database", "text"))))
	f.requests()
	err := e.AddFiles(t.Context(), "base", "new", tarOf(t, 0, "data/a", "text"))
	wantKind(t, err, ErrInvalid)
	if !strings.Contains(err.Error(), "/data/a lies in /data/, a volume of the image") {
		t.Error(err)
	}
	wantKind(t, e.AddFiles(t.Context(), "base", "new", strings.NewReader("no archive, and too short for one")), ErrInvalid)
	if asked := f.requests(); strings.Contains(asked, "/commit") || strings.Count(asked, "DELETE /containers/c") != 2 {
		t.Errorf("asked\n%s", asked)
	}
}

// A container whose creation has been begun is removed, though its context has ended meanwhile.
func TestAddFilesLeavesNoContainer(t *testing.T) {
	f := newFake(t).start()
	onAddedFiles(f, nil)
	ctx, cancel := context.WithCancel(t.Context())
	f.on("POST /containers/create", func(w http.ResponseWriter, _ *http.Request) {
		cancel()
		writeJSON(w, http.StatusCreated, container.CreateResponse{ID: "c"})
	})
	wantKind(t, f.connect(Options{}).AddFiles(ctx, "base", "new", tarOf(t, 0, "a", "text")), context.Canceled)
	if asked := f.requests(); !strings.HasSuffix(asked, "DELETE /containers/c") {
		t.Errorf("asked\n%s", asked)
	}
}
