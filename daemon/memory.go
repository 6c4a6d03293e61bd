package daemon

import (
	"errors"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
)

// sharedMemory is the tmpfs of every Linux system (Filesystem Hierarchy Standard 3.0, 3.4 and
// systemd's file-hierarchy(7)).
const sharedMemory = "/dev/shm"

// memoryDir is the directory for emptyDir volumes of medium Memory, so that the containers of a pod
// share them and a restarted container finds them again. It is empty if the directory cannot be
// made private, or if the engine would not see it: on another machine, or in the virtual machine of
// Docker Desktop, whose sockets are in ~/.docker.
func memoryDir(root, instance, engine string) string {
	socket, local := strings.CutPrefix(engine, "unix://")
	if goruntime.GOOS != "linux" || !local || strings.Contains(socket, "/.docker/") {
		return ""
	}
	dir := memoryPath(root, instance)
	if !private(dir) {
		return ""
	}
	return dir
}

func memoryPath(root, instance string) string { return filepath.Join(root, "skiff-"+instance) }

// private makes a directory that nobody else may enter, and reports whether it is one. Everybody
// may write to its parent, so an existing one may be a trap: another user's directory, or a link to
// some other place.
func private(dir string) bool {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return false
	}
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() || info.Mode().Perm() != 0o700 {
		return false
	}
	return owned(info)
}
