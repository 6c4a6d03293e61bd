package cp

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"skiff/cli/command"
	"skiff/cli/terminal"
)

func TestParse(t *testing.T) {
	isType := func(name string) bool { return name == "deploy" }
	for arg, want := range map[string]spec{
		"a":                 {path: "a"},
		"./a/b":             {path: "./a/b"},
		"-":                 {path: "-"},
		"p:/a":              {name: "p", path: "/a"},
		"p:":                {name: "p"},
		"p:/a:b":            {name: "p", path: "/a:b"},
		"ns/p:a":            {namespace: "ns", name: "p", path: "a"},
		"deploy/web:/a":     {kind: "deploy", name: "web", path: "/a"},
		"ns/deploy/web:/a":  {namespace: "ns", kind: "deploy", name: "web", path: "/a"},
		"ns/statefuls/w:/a": {namespace: "ns", kind: "statefuls", name: "w", path: "/a"},
	} {
		if got, err := parse(arg, isType); got != want || err != nil {
			t.Errorf("%s: %+v, %v", arg, got, err)
		}
	}
	for _, arg := range []string{":/a", "/:a", "a/b/c/d:/x"} {
		if got, err := parse(arg, isType); err == nil {
			t.Errorf("%s: %+v", arg, got)
		}
	}
}

// memory are the files of a container that is not there.
type memory struct {
	dirs    []string
	archive []byte
	err     error
	// dir and got are what was written last.
	dir string
	got bytes.Buffer
}

func (m *memory) isDir(_ context.Context, path string) (bool, error) {
	return slices.Contains(m.dirs, path), nil
}

func (m *memory) read(_ context.Context, _ string, to io.Writer) error {
	_, err := to.Write(m.archive)
	return errors.Join(err, m.err)
}

func (m *memory) write(_ context.Context, dir string, archive io.Reader) error {
	m.dir = dir
	_, err := io.Copy(&m.got, archive)
	return err
}

// entry is a file of an archive.
type entry struct {
	name, text, link string
	kind             byte
	mode             int64
}

func archive(t *testing.T, all ...entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range all {
		if e.kind == 0 {
			e.kind = tar.TypeReg
		}
		if err := w.WriteHeader(&tar.Header{Name: e.name, Size: int64(len(e.text)), Typeflag: e.kind, Linkname: e.link, Mode: e.mode}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// tree are the files below a folder, with their contents.
func tree(t *testing.T, root string) string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		found[strings.TrimPrefix(path, root+"/")] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(found)) {
		out = append(out, name+"="+found[name])
	}
	return strings.Join(out, " ")
}

func opts(errOut io.Writer) options {
	return options{env: &command.Env{Streams: terminal.Streams{In: strings.NewReader("archive"), Out: io.Discard, Err: errOut}}}
}

func TestDownload(t *testing.T) {
	file := []entry{{name: "hosts", text: "text", mode: 0o750}}
	dir := []entry{{name: "etc/", kind: tar.TypeDir, mode: 0o755}, {name: "etc/a", text: "1"}, {name: "etc/sub/", kind: tar.TypeDir}, {name: "etc/sub/b", text: "2"}, {name: "etc/c", link: "etc/a", kind: tar.TypeLink}}
	for name, test := range map[string]struct {
		archive        []entry
		to, want, says string
	}{
		"a file under a new name":           {file, "new", "kept/x=x new=text", ""},
		"a file into a folder":              {file, "kept", "kept/hosts=text kept/x=x", ""},
		"a file into a folder to be made":   {file, "a/b/c", "a/b/c=text kept/x=x", ""},
		"a folder under a new name":         {dir, "new", "kept/x=x new/a=1 new/c=1 new/sub/b=2", ""},
		"a folder into a folder":            {dir, "kept", "kept/a=1 kept/c=1 kept/sub/b=2 kept/x=x", ""},
		"an empty archive":                  {nil, "new", "kept/x=x", ""},
		"names that lead elsewhere":         {[]entry{{name: "etc/", kind: tar.TypeDir}, {name: "etc/../../../out", text: "bad"}}, "new", "kept/x=x", "tar contents corrupted"},
		"names that only look alike":        {[]entry{{name: "etc/", kind: tar.TypeDir}, {name: "etcetera", text: "bad"}}, "new", "kept/x=x", "tar contents corrupted"},
		"all of a file system":              {[]entry{{name: "/", kind: tar.TypeDir}, {name: "a", text: "1"}}, "new", "kept/x=x new/a=1", ""},
		"the dot":                           {[]entry{{name: "./", kind: tar.TypeDir}, {name: "./a", text: "1"}}, "new", "kept/x=x new/a=1", ""},
		"a link":                            {[]entry{{name: "etc/", kind: tar.TypeDir}, {name: "etc/l", link: "/secret", kind: tar.TypeSymlink}, {name: "etc/a", text: "1"}}, "new", "kept/x=x new/a=1", `warning: skipping symlink: "l" -> "/secret"`},
		"a link to elsewhere that is there": {[]entry{{name: "etc/", kind: tar.TypeDir}, {name: "etc/out/a", text: "bad"}}, "escape", "kept/x=x", "path escapes from parent"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			if err := os.MkdirAll(filepath.Join(root, "kept"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, "kept/x"), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
			if test.to == "escape" { // what is in the way leads out of the target
				if err := errors.Join(os.Mkdir(filepath.Join(root, "escape"), 0o755), os.Symlink(t.TempDir(), filepath.Join(root, "escape/out"))); err != nil {
					t.Fatal(err)
				}
			}
			var said bytes.Buffer
			m := &memory{}
			if test.archive != nil {
				m.archive = archive(t, test.archive...)
			}
			err := opts(&said).download(t.Context(), m, spec{name: "p", path: "/etc"}, spec{path: filepath.Join(root, test.to)})
			if err != nil {
				fmt.Fprint(&said, err)
			}
			if test.to == "escape" {
				_ = os.Remove(filepath.Join(root, "escape/out"))
			}
			if got := tree(t, root); got != test.want {
				t.Errorf("there is %s, want %s", got, test.want)
			}
			if !strings.Contains(said.String(), test.says) || test.says == "" && said.Len() > 0 {
				t.Errorf("says %q, want %q", said.String(), test.says)
			}
		})
	}
}

// Whoever sends half an archive is not believed.
func TestDownloadThatBreaksOff(t *testing.T) {
	whole := archive(t, entry{name: "a", text: strings.Repeat("x", 5000)})
	broken := errors.New("stream error")
	for _, n := range []int{0, 100, 600, 3000, len(whole)} {
		m := &memory{archive: whole[:n], err: broken}
		err := opts(io.Discard).download(t.Context(), m, spec{name: "p", path: "/a"}, spec{path: filepath.Join(t.TempDir(), "a")})
		if !errors.Is(err, broken) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

func TestDownloadKeepsPermissions(t *testing.T) {
	to := filepath.Join(t.TempDir(), "run")
	m := &memory{archive: archive(t, entry{name: "run", text: "#!", mode: 0o4755})}
	if err := opts(io.Discard).download(t.Context(), m, spec{name: "p", path: "/run"}, spec{path: to}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(to)
	if err != nil || info.Mode()&(os.ModePerm|os.ModeSetuid) != 0o755 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestPack(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "tree")
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "sub/empty"), 0o755), os.WriteFile(filepath.Join(dir, "run"), []byte("#!"), 0o755), os.Symlink("run", filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	names := func(source, name string, plain bool) string {
		t.Helper()
		var buf bytes.Buffer
		if err := pack(source, name, plain, &buf); err != nil {
			t.Fatal(err)
		}
		r := tar.NewReader(&buf)
		var out []string
		for {
			h, err := r.Next()
			if err != nil {
				return strings.Join(out, " ")
			}
			line := fmt.Sprintf("%s:%o", h.Name, h.Mode)
			if h.Linkname != "" {
				line += ">" + h.Linkname
			}
			out = append(out, line)
		}
	}
	for _, test := range []struct {
		source, name string
		plain        bool
		want         string
	}{
		{dir, "new", false, "new/:755 new/link:777>run new/run:755 new/sub/:755 new/sub/empty/:755"},
		{dir, "new", true, "new/:755 new/link:644>run new/run:644 new/sub/:755 new/sub/empty/:755"},
		{filepath.Join(dir, "run"), "x", false, "x:755"},
	} {
		if got := names(test.source, test.name, test.plain); got != test.want {
			t.Errorf("%s as %s: %s, want %s", test.source, test.name, got, test.want)
		}
	}
	if err := pack(filepath.Join(root, "nope"), "x", false, io.Discard); err == nil {
		t.Error("what is not there was packed")
	}
}

// A source goes into a directory that is there, and is else what the destination names.
func TestSend(t *testing.T) {
	root := t.TempDir()
	t.Chdir(root)
	if err := errors.Join(os.Mkdir("tree", 0o755), os.WriteFile("tree/a", []byte("1"), 0o600), os.WriteFile("file", []byte("2"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ from, to, dir, names string }{
		{"file", "/data", "/data", "file"},
		{"file", "/data/", "/data/", "file"},
		{"file", "/data/new", "/data", "new"},
		{"file", "/other/", "/", "other"},
		{"file", "new", ".", "new"},
		{"tree", "/data", "/data", "tree/ tree/a"},
		{"tree/", "/data/new", "/data", "new/ new/a"},
		{".", "/data", "/data", filepath.Base(root) + "/ " + filepath.Base(root) + "/file " + filepath.Base(root) + "/tree/ " + filepath.Base(root) + "/tree/a"},
	} {
		m := &memory{dirs: []string{"/data", "/data/"}}
		if err := opts(io.Discard).send(t.Context(), m, spec{path: test.from}, spec{name: "p", path: test.to}); err != nil {
			t.Error(err)
		}
		var names []string
		for r := tar.NewReader(&m.got); ; {
			h, err := r.Next()
			if err != nil {
				break
			}
			names = append(names, h.Name)
		}
		if got := strings.Join(names, " "); m.dir != test.dir || got != test.names {
			t.Errorf("%s to %s: %s in %s, want %s in %s", test.from, test.to, got, m.dir, test.names, test.dir)
		}
	}
	m := &memory{}
	if err := opts(io.Discard).send(t.Context(), m, spec{path: "-"}, spec{name: "p", path: "/x"}); err != nil || m.dir != "/x" || m.got.String() != "archive" {
		t.Errorf("standard input: %q in %s, %v", m.got.String(), m.dir, err)
	}
}
