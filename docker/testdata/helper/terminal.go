package main

import (
	"syscall"
	"unsafe"
)

// terminal asks for the size of the terminal on standard output.
func terminal() (rows, columns int) {
	var size struct{ rows, columns, x, y uint16 }
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, 1, syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&size)))
	if errno != 0 {
		check(errno)
	}
	return int(size.rows), int(size.columns)
}
