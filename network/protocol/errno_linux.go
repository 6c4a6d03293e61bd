package protocol

import "syscall"

// fromLinux is the system's error of that number.
func fromLinux(errno int) error { return syscall.Errno(errno) }
