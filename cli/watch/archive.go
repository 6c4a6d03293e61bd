package watch

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"skiff/docker/buildcontext"
)

// split are the files that are there, and where those that are gone were copied to.
func split(files map[string]string) (there map[string]string, gone []string) {
	there = map[string]string{}
	for _, to := range slices.Sorted(maps.Keys(files)) {
		if _, err := os.Lstat(files[to]); errors.Is(err, fs.ErrNotExist) {
			gone = append(gone, to)
		} else {
			there[to] = files[to]
		}
	}
	return there, gone
}

// archive is a stream in tar's format of files, by their places from the root. The engine makes the folders
// they are in. A file that has vanished since is left out: its watcher tells of it.
func archive(files map[string]string) io.ReadCloser {
	read, write := io.Pipe()
	go func() {
		w := tar.NewWriter(write)
		var err error
		for _, to := range slices.Sorted(maps.Keys(files)) {
			if err = buildcontext.WriteFile(w, files[to], strings.TrimPrefix(to, "/")); errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
			if err != nil {
				break
			}
		}
		write.CloseWithError(errors.Join(err, w.Close())) //nolint:errcheck // it always returns nil
	}()
	return read
}
