package volume

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// file is a file of a volume that is made from objects.
type file struct {
	data []byte
	mode os.FileMode
	uid  *int64 // whose it is, nil for the daemon's user
}

// Names within such a volume. They are upstream's, because programs watch the data link for changes
// (k8s.io/kubernetes/pkg/volume/util/atomic_writer.go). A key of a ConfigMap can't begin with two
// dots.
const (
	dataLink    = "..data"
	newDataLink = "..data_tmp"
)

// writeAtomically makes dir show exactly these files, which all change at the same moment. Each
// visible name is a link through ..data to a directory that is never changed; a new state is a new
// directory and one rename of ..data. If dir shows the files already, it does nothing and returns
// false.
func writeAtomically(dir string, files map[string]file, gid *int64) (bool, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return false, err
	}
	old, err := os.Readlink(filepath.Join(dir, dataLink))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if old != "" && sameFiles(filepath.Join(dir, old), files) {
		return false, nil
	}
	fresh, err := os.MkdirTemp(dir, "..")
	if err != nil {
		return false, err
	}
	if err := writeFiles(fresh, files, gid); err != nil {
		return false, errors.Join(err, os.RemoveAll(fresh))
	}
	if err := switchLink(dir, filepath.Base(fresh)); err != nil {
		return false, err
	}
	if err := linkNames(dir, files); err != nil {
		return false, err
	}
	if old == "" {
		return true, nil
	}
	return true, os.RemoveAll(filepath.Join(dir, old))
}

var errOtherFiles = errors.New("other files")

// sameFiles reports whether dir holds these files and no others.
func sameFiles(dir string, files map[string]file) bool {
	found := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		want, ok := files[name]
		have, err := os.ReadFile(path)
		if err != nil || !ok || !bytes.Equal(have, want.data) {
			return errOtherFiles
		}
		found++
		return nil
	})
	return err == nil && found == len(files)
}

func writeFiles(dir string, files map[string]file, gid *int64) error {
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	for name, f := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, f.data, f.mode); err != nil {
			return err
		}
		// WriteFile's mode is cut by the umask.
		if err := os.Chmod(path, f.mode); err != nil {
			return err
		}
		if err := giveUser(path, f.mode, f.uid); err != nil {
			return err
		}
		if err := giveGroup(path, f.mode|0o440, gid); err != nil {
			return err
		}
	}
	return nil
}

// switchLink points ..data at another directory.
func switchLink(dir, target string) error {
	next := filepath.Join(dir, newDataLink)
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(target, next); err != nil {
		return err
	}
	return os.Rename(next, filepath.Join(dir, dataLink))
}

// linkNames makes the visible names and removes those that no longer exist.
func linkNames(dir string, files map[string]file) error {
	var tops []string
	for name := range files {
		top, _, _ := strings.Cut(name, string(filepath.Separator))
		if !slices.Contains(tops, top) {
			tops = append(tops, top)
		}
	}
	present, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range present {
		if strings.HasPrefix(e.Name(), "..") {
			continue
		}
		if i := slices.Index(tops, e.Name()); i >= 0 {
			tops = slices.Delete(tops, i, i+1)
		} else if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	for _, top := range tops {
		if err := os.Symlink(filepath.Join(dataLink, top), filepath.Join(dir, top)); err != nil {
			return err
		}
	}
	return nil
}

// giveUser gives a file to a user. As with groups, a daemon that is not root opens it to everybody
// instead.
func giveUser(path string, mode os.FileMode, uid *int64) error {
	if uid == nil {
		return nil
	}
	err := os.Chown(path, int(*uid), -1)
	if errors.Is(err, fs.ErrPermission) {
		return os.Chmod(path, mode|mode&0o700>>3|mode&0o700>>6)
	}
	if err != nil {
		return fmt.Errorf("giving %s to user %d: %w", path, *uid, err)
	}
	return nil
}

// giveGroup gives a path to the pod's fsGroup. A daemon that is not root can't do that and opens
// the path to everybody instead. The path is in a directory that only the daemon's user can enter,
// so only the containers that mount it gain access.
func giveGroup(path string, mode os.FileMode, gid *int64) error {
	if gid == nil {
		return nil
	}
	err := os.Chown(path, -1, int(*gid))
	if errors.Is(err, fs.ErrPermission) {
		mode |= mode & 0o070 >> 3
	} else if err != nil {
		return fmt.Errorf("giving %s to fsGroup %d: %w", path, *gid, err)
	}
	// After the chown, which takes the setgid bit away.
	return os.Chmod(path, mode)
}
