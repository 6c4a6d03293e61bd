package daemon

import (
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
)

// sharedMemory is where every Linux system has a tmpfs (Filesystem Hierarchy Standard 3.0, 3.4 and systemd's file-hierarchy(7)).
const sharedMemory = "/dev/shm"

// memoryDir is where an instance keeps emptyDir volumes of medium Memory, so that the containers of a pod share them and a
// restarted container finds them again. It is empty where the engine would not see the directory: on another machine, or in
// the virtual machine of Docker Desktop, whose sockets are in ~/.docker.
func memoryDir(root, instance, engine string) string {
	socket, local := strings.CutPrefix(engine, "unix://")
	if goruntime.GOOS != "linux" || !local || strings.Contains(socket, "/.docker/") {
		return ""
	}
	if info, err := os.Stat(root); err != nil || !info.IsDir() {
		return ""
	}
	return filepath.Join(root, "skiff-"+instance)
}
