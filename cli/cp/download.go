package cp

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// download copies files of a container to this machine, or as an archive to standard output.
func (o options) download(ctx context.Context, in files, from, to spec) error {
	if to.standard() {
		return in.read(ctx, from.path, o.env.Out)
	}
	read, write := io.Pipe()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sent := make(chan error, 1)
	go func() {
		err := in.read(ctx, from.path, write)
		write.CloseWithError(err) // never fails
		sent <- err
	}()
	u := unpacker{target: to.path, source: from, err: o.env.Err}
	err := u.unpack(read)
	if err == nil {
		_, err = io.Copy(io.Discard, read) // tar pads its archives: the sender must get rid of all of it
	}
	if err != nil {
		cancel()
	}
	read.CloseWithError(errors.Join(err, io.ErrClosedPipe)) // never fails
	if serr := <-sent; serr != nil && (err == nil || errors.Is(err, serr)) {
		return serr
	}
	return err
}

// unpacker writes the files of an archive. Nothing is written outside of the target, whatever the
// archive says: it comes out of a container.
type unpacker struct {
	target string
	// first is the name of the archive's first file, which all others begin with; target stands in its
	// place.
	first  string
	source spec
	err    io.Writer
	warned bool
	root   *os.Root
}

func (u *unpacker) unpack(archive io.Reader) error {
	in := tar.NewReader(archive)
	header, err := in.Next()
	if err != nil {
		return ended(err)
	}
	u.first = clean(header.Name)
	if err := u.open(header); err != nil {
		return err
	}
	defer u.root.Close() //nolint:errcheck // what was written has been closed
	for ; err == nil; header, err = in.Next() {
		name, ok := u.below(header.Name)
		if !ok {
			return errors.New("tar contents corrupted")
		}
		if err := u.one(in, header, name); err != nil {
			return err
		}
	}
	return ended(err)
}

// ended treats the end of an archive as no error.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// clean is a name in an archive as a relative path that leads nowhere else.
func clean(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

// below is what follows the first file's name, "" for itself.
func (u *unpacker) below(name string) (string, bool) {
	name = clean(name)
	if u.first == "" {
		return name, true
	}
	rest, ok := strings.CutPrefix(name, u.first)
	return strings.TrimPrefix(rest, "/"), ok && (rest == "" || rest[0] == '/')
}

// open makes the directory into which all is written. A single file may be given a new name, or be put
// into a directory that is there.
func (u *unpacker) open(first *tar.Header) error {
	dir := u.target
	if first.Typeflag != tar.TypeDir {
		if info, err := os.Stat(u.target); err == nil && info.IsDir() {
			u.target = filepath.Join(u.target, path.Base(u.first))
		}
		dir = filepath.Dir(u.target)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var err error
	u.root, err = os.OpenRoot(dir)
	return err
}

func (u *unpacker) one(in io.Reader, header *tar.Header, name string) error {
	if name == "" {
		if header.Typeflag == tar.TypeDir {
			return nil
		}
		name = filepath.Base(u.target)
	}
	if dir := path.Dir(name); dir != "." {
		if err := u.root.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	switch header.Typeflag {
	case tar.TypeDir:
		return u.root.MkdirAll(name, 0o755)
	case tar.TypeReg:
		return u.file(in, header, name)
	case tar.TypeLink: // another name of a file that came before
		if of, ok := u.below(header.Linkname); ok && of != "" {
			return errors.Join(u.root.RemoveAll(name), u.root.Link(of, name))
		}
	case tar.TypeSymlink:
		if !u.warned {
			u.warned = true
			fmt.Fprintf(u.err, "warning: skipping symlink: %q -> %q (skiff cp %s:%s - | tar xf - keeps links)\n", name, header.Linkname, u.source.name, u.source.path)
		}
	}
	return nil
}

func (u *unpacker) file(in io.Reader, header *tar.Header, name string) error {
	f, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, os.FileMode(header.Mode)&0o777|0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, in)
	return errors.Join(err, f.Close())
}
