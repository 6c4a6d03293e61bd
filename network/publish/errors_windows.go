package publish

import (
	"errors"

	"golang.org/x/sys/windows"
)

// InUse reports whether a listener could not be opened because another program has the address.
func InUse(err error) bool { return errors.Is(err, windows.WSAEADDRINUSE) }

// forbidden reports whether a listener could not be opened because this process may not: other
// programs, Hyper-V among them, reserve ranges of ports.
func forbidden(err error) bool { return errors.Is(err, windows.WSAEACCES) }
