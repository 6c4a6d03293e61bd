//go:build unix

package daemon

import (
	"io/fs"
	"os"
	"syscall"
)

// owned reports whether a file belongs to this process's user.
func owned(info fs.FileInfo) bool {
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(owner.Uid) == os.Geteuid()
}
