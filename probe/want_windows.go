package probe

import (
	"syscall"

	"golang.org/x/sys/windows"
)

// want are the errors that say what this process or its machine lacks. The first comes from the tunnel
// to the router and is Go's own number, the others are the system's.
var want = []error{
	syscall.ENETDOWN, windows.WSAENETDOWN, windows.WSAEMFILE, windows.WSAENOBUFS, windows.ERROR_NOT_ENOUGH_MEMORY,
	windows.WSAEADDRNOTAVAIL,
}
