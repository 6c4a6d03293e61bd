package docker

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// An image's files are copied as they are, without those that the engine adds to a container's.
func TestImageFiles(t *testing.T) {
	created := time.Date(2030, 4, 1, 12, 0, 0, 300e6, time.UTC)
	old, added := created.Add(-time.Hour), created.Add(2*time.Millisecond).Truncate(time.Second)
	archived := func(headers ...tar.Header) io.Reader {
		var buf bytes.Buffer
		w := tar.NewWriter(&buf)
		for _, h := range headers {
			h.Size = int64(len(h.Name))
			if h.Typeflag != tar.TypeReg {
				h.Size = 0
			}
			check(t, w.WriteHeader(&h))
			if h.Size > 0 {
				_, err := io.WriteString(w, h.Name)
				check(t, err)
			}
		}
		check(t, w.Close())
		return &buf
	}
	for _, c := range []struct {
		name string
		from []tar.Header
		want string
	}{
		{"nothing but the engine's", []tar.Header{
			{Typeflag: tar.TypeReg, Name: ".dockerenv", ModTime: added}, {Typeflag: tar.TypeDir, Name: "dev/", ModTime: added},
			{Typeflag: tar.TypeReg, Name: "dev/console", ModTime: added}, {Typeflag: tar.TypeDir, Name: "dev/pts/", ModTime: added},
			{Typeflag: tar.TypeDir, Name: "etc/", ModTime: added}, {Typeflag: tar.TypeReg, Name: "etc/hosts", ModTime: added},
			{Typeflag: tar.TypeSymlink, Name: "etc/mtab", Linkname: "/proc/mounts", ModTime: added}, {Typeflag: tar.TypeDir, Name: "proc/", ModTime: added},
		}, ""},
		{"the image's own among them", []tar.Header{
			{Typeflag: tar.TypeDir, Name: "etc/", ModTime: added, Mode: 0o755}, {Typeflag: tar.TypeReg, Name: "etc/hosts", ModTime: old, Mode: 0o600, Uid: 7},
			{Typeflag: tar.TypeReg, Name: "etc/resolv.conf", ModTime: added}, {Typeflag: tar.TypeDir, Name: "proc/", ModTime: old, Mode: 0o555},
		}, "d data/etc/ 755 0; f data/etc/hosts 600 7 etc/hosts; d data/proc/ 555 0"},
		{"links", []tar.Header{
			{Typeflag: tar.TypeReg, Name: "./a", ModTime: old, Mode: 0o644}, {Typeflag: tar.TypeLink, Name: "b", Linkname: "a", ModTime: old},
			{Typeflag: tar.TypeSymlink, Name: "c", Linkname: "a", ModTime: old},
		}, "f data/a 644 0 ./a; h data/b data/a; l data/c a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			check(t, imageFiles(archived(c.from...), &out, created))
			if got := listed(t, &out); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
	if err := imageFiles(strings.NewReader("no archive, and long enough to be read as the header of one"), io.Discard, created); err == nil {
		t.Error("what is no archive was copied")
	}
}

// listed lists what is in an archive.
func listed(t *testing.T, archive io.Reader) string {
	t.Helper()
	var all []string
	for r := tar.NewReader(archive); ; {
		h, err := r.Next()
		if err == io.EOF {
			return strings.Join(all, "; ")
		}
		check(t, err)
		content, err := io.ReadAll(r)
		check(t, err)
		switch h.Typeflag {
		case tar.TypeDir:
			all = append(all, fmt.Sprintf("d %s %o %d", h.Name, h.Mode, h.Uid))
		case tar.TypeLink:
			all = append(all, fmt.Sprintf("h %s %s", h.Name, h.Linkname))
		case tar.TypeSymlink:
			all = append(all, fmt.Sprintf("l %s %s", h.Name, h.Linkname))
		default:
			all = append(all, fmt.Sprintf("f %s %o %d %s", h.Name, h.Mode, h.Uid, content))
		}
	}
}
