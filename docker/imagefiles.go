package docker

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"path"
	"time"
)

// The engine adds these to the file system of every container, unless the image has them
// (moby's daemon/initlayer/setup_unix.go), and makes the directories that hold them.
var (
	addedFiles       = map[string]bool{".dockerenv": true, "dev/console": true, "dev/pts": true, "dev/shm": true, "etc/hostname": true, "etc/hosts": true, "etc/mtab": true, "etc/resolv.conf": true, "proc": true, "sys": true}
	addedDirectories = map[string]bool{"dev": true, "etc": true}
)

// imageFiles copies an archive of a container's file system into directory data of another archive,
// without what the engine has added to the image's files: that is not older than the container. The
// clocks of files are coarser than the engine's.
func imageFiles(from io.Reader, to io.Writer, created time.Time) error {
	created = created.Add(-time.Second).Truncate(time.Second)
	in, out := tar.NewReader(from), tar.NewWriter(to)
	// empty are directories that may be the engine's: they are copied before the first of the image's
	// files in them.
	empty := map[string]*tar.Header{}
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return out.Close()
		}
		if err != nil {
			return fmt.Errorf("read the image's files: %w", err)
		}
		name := path.Clean(h.Name)
		isNew := !h.ModTime.Before(created)
		switch {
		case isNew && addedFiles[name]:
			continue
		case isNew && addedDirectories[name] && h.Typeflag == tar.TypeDir:
			empty[name] = h
			continue
		}
		if dir := empty[path.Dir(name)]; dir != nil {
			delete(empty, path.Dir(name))
			if err := writeInto(out, dir, nil); err != nil {
				return err
			}
		}
		if err := writeInto(out, h, in); err != nil {
			return err
		}
	}
}

// writeInto writes an entry of an archive below directory data of another.
func writeInto(out *tar.Writer, h *tar.Header, content io.Reader) error {
	h.Name = path.Join("data", h.Name)
	if h.Typeflag == tar.TypeDir {
		h.Name += "/"
	}
	if h.Typeflag == tar.TypeLink {
		h.Linkname = path.Join("data", h.Linkname)
	}
	if err := out.WriteHeader(h); err != nil {
		return fmt.Errorf("write %s: %w", h.Name, err)
	}
	if content == nil {
		return nil
	}
	if _, err := io.Copy(out, content); err != nil {
		return fmt.Errorf("write %s: %w", h.Name, err)
	}
	return nil
}
