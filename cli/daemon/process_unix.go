//go:build unix

package daemon

import (
	"context"
	"os"
	"os/exec"
	"syscall"
)

// detach gives a command a session of its own, so that it outlives the terminal, and a file to write
// to. It returns the file's descriptor in the new process.
func detach(cmd *exec.Cmd, file *os.File) (descriptor uintptr, err error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.ExtraFiles = []*os.File{file}
	return 3, nil // the first after the standard streams
}

// askToEnd asks a daemon's process to end.
func askToEnd(pid int) error { return syscall.Kill(pid, syscall.SIGTERM) }

// untilAsked is a context that ends when another process asks this one to end. Here that is a signal,
// which the caller has.
func untilAsked(ctx context.Context) (context.Context, context.CancelFunc, error) {
	ctx, cancel := context.WithCancel(ctx)
	return ctx, cancel, nil
}
