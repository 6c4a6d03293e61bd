package docker

import (
	"archive/tar"
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/docker/docker/api/types/container"
)

// tarOf is an archive of files, by name and content; a user owns them.
func tarOf(t *testing.T, uid int, files ...string) *bytes.Buffer {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for i := 0; i < len(files); i += 2 {
		check(t, w.WriteHeader(&tar.Header{Name: files[i], Size: int64(len(files[i+1])), Mode: 0o640, Uid: uid, Gid: uid, Uname: "somebody"}))
		if _, err := io.WriteString(w, files[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	check(t, w.Close())
	return &buf
}

// onCopies makes the fake engine know a container "c" and its /etc/passwd, and keep what is copied to it.
func onCopies(f *fakeEngine, user string, mounts ...container.MountPoint) (got *bytes.Buffer, query *string) {
	got, query = &bytes.Buffer{}, new(string)
	f.onJSON("GET /containers/c/json", container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{ID: "c", HostConfig: &container.HostConfig{Tmpfs: map[string]string{"/run": ""}}},
		Config:            &container.Config{User: user, WorkingDir: "/work"}, Mounts: mounts,
	})
	stat, err := json.Marshal(container.PathStat{Name: "passwd", Size: 3, Mode: 0o644})
	check(f.t, err)
	f.on("GET /containers/c/archive", func(w http.ResponseWriter, r *http.Request) {
		*query = r.URL.Query().Get("path")
		w.Header().Set("X-Docker-Container-Path-Stat", base64.StdEncoding.EncodeToString(stat))
		text := map[string]string{"/etc/group": "root:x:0:\nstaff:x:50:node\n"}[*query]
		_, _ = w.Write(tarOf(f.t, 0, "passwd", cmp.Or(text, "root:x:0:0::/:\nbad:x\nnode:x:1000:1001::/:\n")).Bytes())
	})
	f.on("HEAD /containers/c/archive", func(w http.ResponseWriter, r *http.Request) {
		*query = r.URL.Query().Get("path")
		w.Header().Set("X-Docker-Container-Path-Stat", base64.StdEncoding.EncodeToString(stat))
	})
	f.on("PUT /containers/c/archive", func(_ http.ResponseWriter, r *http.Request) {
		*query = r.URL.Query().Get("path")
		_, _ = io.Copy(got, r.Body)
	})
	return got, query
}

// What is copied into a container belongs to its user, unless that is root.
func TestCopyToOwner(t *testing.T) {
	for user, want := range map[string][2]int{
		"": {7, 7}, "root": {7, 7}, "0:0": {7, 7}, "5:6": {5, 6}, "5": {5, 0}, "node": {1000, 1001},
		"1000": {1000, 1001}, "1000:6": {1000, 6}, "5:staff": {5, 50}, "node:staff": {1000, 50},
	} {
		f := newFake(t).start()
		got, query := onCopies(f, user)
		check(t, f.connect(Options{}).CopyTo(t.Context(), "c", "/data", tarOf(t, 7, "a", "text", "b", "")))
		r := tar.NewReader(got)
		h, err := r.Next()
		check(t, err)
		text, err := io.ReadAll(r)
		check(t, err)
		if [2]int{h.Uid, h.Gid} != want || h.Name != "a" || string(text) != "text" || h.Mode != 0o640 || *query != "/data" {
			t.Errorf("user %q: %s at %s of %d:%d with %q, want %v", user, h.Name, *query, h.Uid, h.Gid, text, want)
		}
	}
	for _, unknown := range []string{"nobody-knows", "5:nobody-knows"} {
		f := newFake(t).start()
		onCopies(f, unknown)
		if err := f.connect(Options{}).CopyTo(t.Context(), "c", "/data", tarOf(t, 0, "a", "")); err == nil || !strings.Contains(err.Error(), "nobody-knows") {
			t.Errorf("user %s: %v", unknown, err)
		}
	}
}

// An image without files of users runs as any number.
func TestCopyToOwnerWithoutUsers(t *testing.T) {
	f := newFake(t).start()
	got, _ := onCopies(f, "1000")
	f.onError("GET /containers/c/archive", http.StatusNotFound, "Could not find the file /etc/passwd in container c")
	check(t, f.connect(Options{}).CopyTo(t.Context(), "c", "/data", tarOf(t, 7, "a", "")))
	if h, err := tar.NewReader(got).Next(); err != nil || h.Uid != 1000 || h.Gid != 0 {
		t.Errorf("%+v, %v", h, err)
	}
}

// A broken archive is the caller's fault, whoever its files belong to, and the engine is not taken for lost.
func TestCopyToBrokenArchive(t *testing.T) {
	whole := tarOf(t, 0, "a", strings.Repeat("x", 2000)).Bytes()
	aborted := errors.New("unexpected end of the upload")
	for _, user := range []string{"", "5"} {
		for name, archive := range map[string]io.Reader{
			"cut off": bytes.NewReader(whole[:700]), "no archive": strings.NewReader(strings.Repeat("x", 2000)),
			"aborted": io.MultiReader(bytes.NewReader(whole[:700]), iotest.ErrReader(aborted)),
		} {
			f := newFake(t).start()
			onCopies(f, user)
			e := f.connect(Options{})
			err := e.CopyTo(t.Context(), "c", "/data", archive)
			wantKind(t, err, ErrInvalid)
			if errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "reading the archive: ") || e.conn.Load() == nil {
				t.Errorf("user %q, %s: %v", user, name, err)
			}
		}
	}
}

// What the engine refuses before it has read all of an archive is told in its words.
func TestCopyToRefused(t *testing.T) {
	f := newFake(t).start()
	onCopies(f, "")
	f.onError("PUT /containers/c/archive", http.StatusNotFound, "Could not find the file /data in container c")
	err := f.connect(Options{}).CopyTo(t.Context(), "c", "/data", tarOf(t, 0, "a", strings.Repeat("x", 100<<10)))
	wantKind(t, err, ErrNotFound)
}

// All of an archive is read: padding that follows its end too. Global headers, as git archive writes them, are
// left out.
func TestCopyToReadsAll(t *testing.T) {
	f := newFake(t).start()
	got, _ := onCopies(f, "5")
	var global bytes.Buffer
	w := tar.NewWriter(&global)
	check(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"comment": "x"}}))
	check(t, w.Flush())
	padding := strings.NewReader(strings.Repeat("\x00", 1<<20))
	check(t, f.connect(Options{}).CopyTo(t.Context(), "c", "/data", io.MultiReader(&global, tarOf(t, 7, "a", "text"), padding)))
	if h, err := tar.NewReader(got).Next(); err != nil || h.Name != "a" || padding.Len() != 0 {
		t.Errorf("%v, %v; %d bytes were not read", h, err, padding.Len())
	}
}

// Where a file system in memory is mounted the engine sees what lies below it: that is refused. A volume in
// it is fine, and a path may be relative to the working directory.
func TestCopyAndMemory(t *testing.T) {
	f := newFake(t).start()
	_, query := onCopies(f, "", container.MountPoint{Type: "tmpfs", Destination: "/scratch"}, container.MountPoint{Type: "volume", Destination: "/scratch/kept"},
		container.MountPoint{Type: "volume", Destination: "/dev/data"})
	e := f.connect(Options{})
	for path, want := range map[string]string{
		"/scratch": "", "/scratch/a": "", "/scratch/kept/a": "/scratch/kept/a", "/scratches": "/scratches", "/run/x": "", "/proc/1/environ": "", "/sys": "", "/dev/null": "", "/dev/data/x": "/dev/data/x",
		"a/../b": "/work/b", "../run/x": "", "/": "/",
	} {
		*query = ""
		_, err := e.StatPath(t.Context(), "c", path)
		if errors.Is(err, ErrInMemory) != (want == "") || *query != want {
			t.Errorf("%s: asked for %q, error %v; want %q", path, *query, err, want)
		}
	}
	if err := e.CopyTo(t.Context(), "c", "/run", tarOf(t, 0, "a", "")); !errors.Is(err, ErrInMemory) {
		t.Errorf("copying to memory: %v", err)
	}
	if err := e.CopyFrom(t.Context(), "c", "/run", io.Discard); !errors.Is(err, ErrInMemory) {
		t.Errorf("copying from memory: %v", err)
	}
	var archive bytes.Buffer
	check(t, e.CopyFrom(t.Context(), "c", "passwd", &archive))
	if h, err := tar.NewReader(&archive).Next(); err != nil || h.Name != "passwd" || *query != "/work/passwd" {
		t.Errorf("%v, %v, asked for %s", h, err, *query)
	}
}

// Files of an archive may lie in memory though its directory does not, and links may lead there.
func TestCopyLeadsToMemory(t *testing.T) {
	f := newFake(t).start()
	_, query := onCopies(f, "", container.MountPoint{Type: "tmpfs", Destination: "/app/cache"})
	e := f.connect(Options{})
	wantKind(t, e.CopyTo(t.Context(), "c", "/", tarOf(t, 0, "app/a", "", "app/cache/b", "")), ErrInMemory)
	wantKind(t, e.CopyTo(t.Context(), "c", "/app", tarOf(t, 0, "./cache/b", "")), ErrInMemory)
	check(t, e.CopyTo(t.Context(), "c", "/", tarOf(t, 0, "app/caches", "")))
	var mountPoint bytes.Buffer
	check(t, tar.NewWriter(&mountPoint).WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "app/cache/"}))
	check(t, e.CopyTo(t.Context(), "c", "/", &mountPoint))

	f.on("HEAD /containers/c/archive", func(w http.ResponseWriter, r *http.Request) {
		*query = r.URL.Query().Get("path")
		target := map[string]string{"/var/run": "/run", "/srv": "/data/www", "/data/www/last": "/run"}[*query]
		stat, err := json.Marshal(container.PathStat{Name: "x", LinkTarget: target})
		check(t, err)
		w.Header().Set("X-Docker-Container-Path-Stat", base64.StdEncoding.EncodeToString(stat))
	})
	_, err := e.StatPath(t.Context(), "c", "/var/run/x")
	wantKind(t, err, ErrInMemory)
	wantKind(t, e.CopyFrom(t.Context(), "c", "/var/run/x", io.Discard), ErrInMemory)
	wantKind(t, e.CopyTo(t.Context(), "c", "/srv/last", tarOf(t, 0, "a", "")), ErrInMemory)
	if stat, err := e.StatPath(t.Context(), "c", "/srv/last"); err != nil || stat.LinkTarget != "/run" || *query != "/data/www/last" {
		t.Errorf("a link itself: %+v, %v, asked for %s", stat, err, *query)
	}
}

// A caller that wants no more has not lost the engine.
func TestCopyFromBrokenPipe(t *testing.T) {
	f := newFake(t).start()
	onCopies(f, "")
	e := f.connect(Options{})
	read, write := io.Pipe()
	check(t, read.CloseWithError(syscall.EPIPE))
	err := e.CopyFrom(t.Context(), "c", "passwd", write)
	if !errors.Is(err, syscall.EPIPE) || errors.Is(err, ErrUnavailable) || e.conn.Load() == nil {
		t.Errorf("error %v", err)
	}
}
