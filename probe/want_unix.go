//go:build unix

package probe

import "syscall"

// want are the errors that say what this process or its machine lacks.
var want = []error{syscall.ENETDOWN, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL}
