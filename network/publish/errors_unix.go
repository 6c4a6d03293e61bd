//go:build unix

package publish

import (
	"errors"
	"syscall"
)

// InUse reports whether a listener could not be opened because another program has the address.
func InUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }

// forbidden reports whether a listener could not be opened because this process may not.
func forbidden(err error) bool { return errors.Is(err, syscall.EACCES) }
