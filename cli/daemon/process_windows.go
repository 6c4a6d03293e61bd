package daemon

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/windows"
)

// detach gives a command no console, so that it outlives the terminal, and a file to write to. It
// returns the file's handle, which is the same in the new process.
func detach(cmd *exec.Cmd, file *os.File) (descriptor uintptr, err error) {
	if err := windows.SetHandleInformation(windows.Handle(file.Fd()), windows.HANDLE_FLAG_INHERIT, windows.HANDLE_FLAG_INHERIT); err != nil {
		return 0, err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		CreationFlags:              windows.DETACHED_PROCESS | windows.CREATE_NEW_PROCESS_GROUP,
		AdditionalInheritedHandles: []syscall.Handle{syscall.Handle(file.Fd())},
	}
	return file.Fd(), nil
}

// endEvent is the name of the event by which a daemon's process is asked to end: Windows has no signals
// between processes. Only processes of the same session see it.
func endEvent(pid int) (*uint16, error) {
	return windows.UTF16PtrFromString(fmt.Sprintf(`Local\skiff-daemon-%d-end`, pid))
}

// askToEnd asks a daemon's process to end.
func askToEnd(pid int) error {
	name, err := endEvent(pid)
	if err != nil {
		return err
	}
	event, err := windows.OpenEvent(windows.EVENT_MODIFY_STATE, false, name)
	if err != nil {
		return err
	}
	defer windows.CloseHandle(event) //nolint:errcheck // nothing is lost with it
	return windows.SetEvent(event)
}

// untilAsked is a context that ends when another process asks this one to end, or with cancel, which
// waits for the watch to be over.
func untilAsked(ctx context.Context) (context.Context, context.CancelFunc, error) {
	name, err := endEvent(os.Getpid())
	if err != nil {
		return nil, nil, err
	}
	event, err := windows.CreateEvent(nil, 1, 0, name)
	if err != nil {
		return nil, nil, fmt.Errorf("making the event that ends the daemon: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = windows.WaitForSingleObject(event, windows.INFINITE) // it fails for a handle that is none
		cancel()
	}()
	return ctx, func() {
		_ = windows.SetEvent(event) // it fails for a handle that is none
		<-over
		_ = windows.CloseHandle(event)
	}, nil
}
