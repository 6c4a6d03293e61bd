//go:build !linux

package protocol

import (
	"fmt"
	"syscall"
)

// byLinux are the errors of connections by their numbers on Linux
// (include/uapi/asm-generic/errno.h), which are others elsewhere.
var byLinux = map[int]syscall.Errno{
	13: syscall.EACCES, 98: syscall.EADDRINUSE, 99: syscall.EADDRNOTAVAIL, 100: syscall.ENETDOWN, 101: syscall.ENETUNREACH,
	103: syscall.ECONNABORTED, 104: syscall.ECONNRESET, 105: syscall.ENOBUFS, 110: syscall.ETIMEDOUT, 111: syscall.ECONNREFUSED,
	112: syscall.EHOSTDOWN, 113: syscall.EHOSTUNREACH,
}

// fromLinux is this system's error for one of Linux.
func fromLinux(errno int) error {
	if here, ok := byLinux[errno]; ok {
		return here
	}
	return fmt.Errorf("error %d of Linux", errno)
}
