package main

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// rootFS is the file system of an image in the making, by path without the leading slash.
type rootFS map[string]entry

// entry is a file, a directory or, with link set, a symbolic link.
type entry struct {
	mode int64 // permission bits, set-user-ID and sticky bits included
	dir  bool
	link string
	from string // the file of this machine whose content it has, if any
	data string
}

const madeAt = 1700000000 // the time of every file, so that the same content makes the same image

func (r rootFS) clone() rootFS { return maps.Clone(r) }

func (r rootFS) dir(mode int64, names ...string) {
	for _, name := range names {
		r[name] = entry{mode: mode, dir: true}
	}
}

func (r rootFS) text(name, data string) { r[name] = entry{mode: 0o644, data: data} }
func (r rootFS) link(name, to string)   { r[name] = entry{mode: 0o777, link: to} }

// file copies a file of this machine.
func (r rootFS) file(name, from string, mode int64) { r[name] = entry{mode: mode, from: from} }

var absolutePath = regexp.MustCompile(`/\S+`)

// program copies a program of this machine together with the libraries it is linked to, and makes
// it known in /usr/bin under the last part of its path, in place of an applet of busybox.
func (r rootFS) program(ctx context.Context, file string) error {
	real, err := filepath.EvalSymlinks(file)
	if err != nil {
		return err
	}
	libraries, err := output(exec.CommandContext(ctx, "ldd", real))
	if err != nil {
		return err
	}
	for _, f := range append(absolutePath.FindAllString(libraries, -1), real) {
		r.file(strings.TrimPrefix(f, "/"), f, 0o755)
	}
	name := path.Base(file)
	delete(r, "bin/"+name)
	if real != "/usr/bin/"+name {
		r.link("usr/bin/"+name, real)
	}
	return nil
}

// write writes the file system as a tar archive, each directory before what is in it.
func (r rootFS) write(to io.Writer) error {
	full := r.clone()
	for name := range r {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if _, ok := full[dir]; !ok {
				full.dir(0o755, dir)
			}
		}
	}
	w := tar.NewWriter(to)
	for _, name := range slices.Sorted(maps.Keys(full)) {
		if err := full[name].write(w, name); err != nil {
			return fmt.Errorf("adding /%s: %w", name, err)
		}
	}
	return w.Close()
}

func (e entry) write(w *tar.Writer, name string) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: e.mode, Linkname: e.link, Size: int64(len(e.data)), ModTime: time.Unix(madeAt, 0)}
	var content io.Reader = strings.NewReader(e.data)
	switch {
	case e.dir:
		h.Typeflag, h.Name = tar.TypeDir, name+"/"
	case e.link != "":
		h.Typeflag = tar.TypeSymlink
	case e.from != "":
		f, err := os.Open(e.from)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		h.Size, content = info.Size(), f
	}
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err := io.Copy(w, content)
	return err
}
