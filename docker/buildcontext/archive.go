package buildcontext

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Write writes files of the context as the builder reads them. Everything is root's, as with docker build.
func (s *Spec) Write(to io.Writer, files []string) error {
	buffered := bufio.NewWriterSize(to, 64<<10)
	w := tar.NewWriter(buffered)
	for _, rel := range files {
		if err := WriteFile(w, filepath.Join(s.Context, rel), filepath.ToSlash(rel)); err != nil {
			return err
		}
	}
	if s.Inline != "" {
		if err := w.WriteHeader(&tar.Header{Name: inlineName, Mode: 0o644, Size: int64(len(s.Inline))}); err != nil {
			return err
		}
		if _, err := io.WriteString(w, s.Inline); err != nil {
			return err
		}
	}
	return errors.Join(w.Close(), buffered.Flush())
}

// WriteFile writes one file, link or folder into an archive, as root's. Sockets, pipes and devices are left
// out.
func WriteFile(w *tar.Writer, path, name string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.Mode()&(fs.ModeSocket|fs.ModeNamedPipe|fs.ModeDevice) != 0 {
		return nil
	}
	link := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if link, err = os.Readlink(path); err != nil {
			return err
		}
	}
	header, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	header.Name, header.Uid, header.Gid, header.Uname, header.Gname = name, 0, 0, "", ""
	if info.IsDir() {
		header.Name += "/"
	}
	if err := w.WriteHeader(header); err != nil || !info.Mode().IsRegular() {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.CopyN(w, f, header.Size); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	return nil
}
