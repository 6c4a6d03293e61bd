package harness

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
)

// Toolbox makes an image that holds this machine's busybox, more files ("path" to content; a path that
// ends in "/" is a directory, what lies in bin/ is a program) and what a Dockerfile's instructions change. It is removed when the test
// ends. A machine without a static busybox skips the test; with CI=true that is a
// failure.
func Toolbox(t testing.TB, engine *client.Client, files map[string]string, changes ...string) (ref string) {
	t.Helper()
	program, err := exec.LookPath("busybox")
	if err != nil && os.Getenv("CI") != "true" {
		t.Skipf("no busybox: install busybox-static: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	applets, err := exec.Command(program, "--list").Output()
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	root := archive{t: t}
	root.w = tar.NewWriter(&root.buf)
	root.add(tar.Header{Typeflag: tar.TypeDir, Name: "bin/", Mode: 0o755}, "")
	root.add(tar.Header{Name: "bin/busybox", Mode: 0o755}, string(binary))
	for _, applet := range strings.Fields(string(applets)) {
		if applet != "busybox" {
			root.add(tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + applet, Linkname: "busybox", Mode: 0o777}, "")
		}
	}
	root.addAll(files)
	return Import(t, engine, root.done(), changes...)
}

// imported counts the images that Import has made.
var imported atomic.Int64

// Import makes an image of a file system in a tar archive and removes it when the test ends.
func Import(t testing.TB, engine *client.Client, root io.Reader, changes ...string) (ref string) {
	t.Helper()
	name := fmt.Sprintf("skiff-test/imported:%d-%d", os.Getpid(), imported.Add(1))
	answer, err := engine.ImageImport(t.Context(), image.ImportSource{Source: root, SourceName: "-"}, name, image.ImportOptions{Changes: changes})
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Close()
	if said, err := io.ReadAll(answer); err != nil || bytes.Contains(said, []byte(`"error"`)) {
		t.Fatalf("importing the image %s: %v\n%s", name, err, said)
	}
	t.Cleanup(func() {
		if _, err := engine.ImageRemove(context.WithoutCancel(t.Context()), name, image.RemoveOptions{}); err != nil {
			t.Errorf("removing the image %s: %v", name, err)
		}
	})
	return name
}

// Files is a file system of some files, for Import: "path" to content; a path that ends in "/" is a
// directory.
func Files(t testing.TB, files map[string]string) io.Reader {
	t.Helper()
	root := archive{t: t}
	root.w = tar.NewWriter(&root.buf)
	root.addAll(files)
	return root.done()
}

// archive is a tar archive in the making.
type archive struct {
	t   testing.TB
	buf bytes.Buffer
	w   *tar.Writer
}

func (a *archive) addAll(files map[string]string) {
	for name, content := range files {
		if strings.HasSuffix(name, "/") {
			a.add(tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}, "")
			continue
		}
		mode := int64(0o644)
		if strings.HasPrefix(name, "bin/") {
			mode = 0o755
		}
		a.add(tar.Header{Name: name, Mode: mode}, content)
	}
}

func (a *archive) add(h tar.Header, content string) {
	a.t.Helper()
	h.ModTime = time.Unix(1700000000, 0)
	h.Size = int64(len(content))
	if err := a.w.WriteHeader(&h); err != nil {
		a.t.Fatal(fmt.Errorf("%s: %w", h.Name, err))
	}
	if _, err := io.WriteString(a.w, content); err != nil {
		a.t.Fatal(fmt.Errorf("%s: %w", h.Name, err))
	}
}

func (a *archive) done() io.Reader {
	a.t.Helper()
	if err := a.w.Close(); err != nil {
		a.t.Fatal(err)
	}
	return &a.buf
}
