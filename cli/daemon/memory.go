package daemon

import (
	"errors"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"syscall"
)

// sharedMemory is where every Linux system has a tmpfs (Filesystem Hierarchy Standard 3.0, 3.4 and systemd's file-hierarchy(7)).
const sharedMemory = "/dev/shm"

// memoryDir is where an instance keeps emptyDir volumes of medium Memory, so that the containers of a pod share them and a
// restarted container finds them again. It is empty where it can not be kept from others, and where the engine would not see
// it: on another machine, or in the virtual machine of Docker Desktop, whose sockets are in ~/.docker.
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

// private makes a directory that nobody else may enter, and tells whether it is one. Everybody may write where it lies, so
// what is there already may be somebody's trap: another's directory, or a link to a place that is not for volumes.
func private(dir string) bool {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return false
	}
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() || info.Mode().Perm() != 0o700 {
		return false
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(owner.Uid) == os.Geteuid()
}
