package door

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime/debug"
)

// inherited is the file descriptor at which a child has its listener.
const inherited = 3

// gcPercent keeps the heap small: a request of the usual kind allocates next to nothing, so that the
// collector has little to do all the same.
const gcPercent = 50

// Command returns what Supervise wants: it makes commands that run the front door as a process, for
// Main to serve. The listener is the parent's, which never accepts from it, so that connections wait
// while a child is replaced instead of being refused. Release it when no more commands are made.
func Command(listener *net.TCPListener, program string, arguments []string, stderr io.Writer) (command func() *exec.Cmd, release func(), err error) {
	file, err := listener.File()
	if err != nil {
		return nil, nil, fmt.Errorf("preparing the front door's listener: %w", err)
	}
	command = func() *exec.Cmd {
		cmd := exec.Command(program, arguments...)
		cmd.Stderr, cmd.ExtraFiles = stderr, []*os.File{file}
		return cmd
	}
	return command, func() { _ = file.Close() }, nil
}

// Main is the child that Command starts: it serves the listener that it inherits by what it reads
// from in, until that or ctx ends. The arguments are the addresses that the daemon's connections come
// from.
func Main(ctx context.Context, in io.Reader, arguments []string, log *slog.Logger) error {
	var from []netip.Addr
	for _, a := range arguments {
		addr, err := netip.ParseAddr(a)
		if err != nil {
			return fmt.Errorf("reading where the daemon's connections come from: %w", err)
		}
		from = append(from, addr)
	}
	debug.SetGCPercent(gcPercent)
	file := os.NewFile(inherited, "listener")
	if file == nil {
		return fmt.Errorf("front door has no listener: it is started by the router")
	}
	listener, err := net.FileListener(file)
	_ = file.Close() // the listener has one of its own
	if err != nil {
		return fmt.Errorf("front door has no listener: %w", err)
	}
	return Run(ctx, in, listener, Options{Log: log, From: from})
}
