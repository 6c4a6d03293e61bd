package cp

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"skiff/cli/client"
)

// upload copies files of this machine, or an archive on standard input, into a container.
func (o options) upload(ctx context.Context, cl *client.Client, from, to spec, container string) error {
	if !from.standard() {
		if _, err := os.Lstat(from.path); err != nil {
			return fmt.Errorf("%s doesn't exist in local filesystem", from.path)
		}
	}
	in, err := o.open(ctx, cl, to, container)
	if err != nil {
		return err
	}
	return o.send(ctx, in, from, to)
}

// send packs the source and has it unpacked: into the destination if that is a directory, else under its
// name.
func (o options) send(ctx context.Context, in files, from, to spec) error {
	if from.standard() {
		return in.write(ctx, to.path, o.env.In)
	}
	dir, name := path.Dir(path.Clean(to.path)), path.Base(to.path)
	isDir, err := in.isDir(ctx, to.path)
	if err != nil {
		return err
	}
	if isDir {
		whole, err := filepath.Abs(from.path)
		if err != nil {
			return err
		}
		dir, name = to.path, filepath.Base(whole)
	}
	read, write := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := pack(from.path, name, o.noPreserve, write)
		write.CloseWithError(err) // never fails
		packed <- err
	}()
	err = in.write(ctx, dir, read)
	read.CloseWithError(io.ErrClosedPipe) // never fails
	if perr := <-packed; perr != nil && !errors.Is(perr, io.ErrClosedPipe) {
		return perr
	}
	return err
}

// pack writes a file or directory as an archive in which it has another name.
func pack(source, name string, plain bool, to io.Writer) error {
	out := tar.NewWriter(to)
	err := filepath.WalkDir(source, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(source, file)
		if err != nil {
			return err
		}
		return packOne(out, file, path.Join(name, filepath.ToSlash(below)), plain)
	})
	if err != nil {
		return err
	}
	return out.Close()
}

// packOne writes one file. Those that are neither regular nor directories nor links are left out, as by
// kubectl.
func packOne(out *tar.Writer, file, name string, plain bool) error {
	info, err := os.Lstat(file)
	if err != nil {
		return err
	}
	target := ""
	switch {
	case info.Mode()&os.ModeSymlink != 0:
		if target, err = os.Readlink(file); err != nil {
			return err
		}
	case !info.Mode().IsRegular() && !info.IsDir():
		return nil
	}
	header, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return err
	}
	header.Name, header.Uname, header.Gname = name, "", ""
	if info.IsDir() {
		header.Name += "/"
	}
	if plain {
		header.Uid, header.Gid = 0, 0
		header.Mode = 0o644
		if info.IsDir() {
			header.Mode = 0o755
		}
	}
	if err := out.WriteHeader(header); err != nil || !info.Mode().IsRegular() {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.CopyN(out, f, header.Size); err != nil {
		return fmt.Errorf("reading %s, which should have %d bytes: %w", file, header.Size, err)
	}
	return nil
}
