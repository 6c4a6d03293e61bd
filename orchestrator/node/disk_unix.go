//go:build unix

package node

import "golang.org/x/sys/unix"

// diskSize is the size in bytes of the file system that has the pods' volumes, 0 if it isn't known.
func diskSize(dir string) int64 {
	var s unix.Statfs_t
	if dir == "" || unix.Statfs(dir, &s) != nil {
		return 0
	}
	return int64(s.Blocks) * int64(s.Bsize) //nolint:unconvert // its type is another one on other systems
}
