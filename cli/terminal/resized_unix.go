//go:build unix

package terminal

import (
	"os"
	"os/signal"
	"syscall"
)

// resized receives SIGWINCH; changes that nobody has looked at yet count as one.
func resized() (<-chan os.Signal, func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGWINCH)
	return signals, func() { signal.Stop(signals) }
}
