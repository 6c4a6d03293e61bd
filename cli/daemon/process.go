package daemon

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"k8s.io/utils/clock"

	"skiff/cli/command"
	"skiff/daemon/datadir"
)

// readyFD names, in the environment of a daemon that was started in the background, the descriptor
// on which it says that its API answers, or why it will not.
const readyFD = "SKIFF_READY_FD"

// patience bounds how long start and stop wait for the daemon.
const patience = 30 * time.Second

// Ensure starts a daemon in the background unless one runs for the data directory, and returns when
// its API answers. listen is the address of the API; "" for the default.
func Ensure(ctx context.Context, dir datadir.Dir, listen string) (command.Daemon, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	args := dirArgs(dir)
	if listen != "" {
		args = append(args, "--listen", listen)
	}
	_, d, err := ensure(ctx, dir, args, clock.RealClock{})
	return d, err
}

// Stop ends the daemon of the data directory; its containers keep running. It reports whether there
// was one.
func Stop(ctx context.Context, dir datadir.Dir) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	pid, err := stop(ctx, dir, clock.RealClock{})
	return pid != 0, err
}

// ensure starts a daemon in the background unless one runs, and returns when its API answers.
func ensure(ctx context.Context, dir datadir.Dir, runArgs []string, clk clock.WithTicker) (pid int, d command.Daemon, err error) {
	if err := dir.Prepare(); err != nil {
		return 0, d, err
	}
	if pid, err = awaitOther(ctx, dir, clk); err == nil && pid == 0 {
		pid, d.Started, err = startOrJoin(ctx, dir, runArgs, clk)
	}
	if err != nil {
		return 0, d, err
	}
	d.Address, err = dir.Address()
	return pid, d, err
}

// startOrJoin starts a daemon. Another caller may be quicker; its daemon is just as good.
func startOrJoin(ctx context.Context, dir datadir.Dir, runArgs []string, clk clock.WithTicker) (pid int, started bool, err error) {
	if pid, err = spawn(ctx, dir, runArgs); err == nil {
		return pid, true, nil
	}
	if other, otherErr := awaitOther(ctx, dir, clk); otherErr == nil && other != 0 {
		return other, false, nil
	}
	return 0, false, err
}

// awaitOther returns the process that holds the data directory, once its API answers, or 0 when
// none does.
func awaitOther(ctx context.Context, dir datadir.Dir, clk clock.WithTicker) (int, error) {
	tick := clk.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		pid, err := dir.Holder()
		if err != nil || pid == 0 {
			return 0, err
		}
		unready := isReady(ctx, dir)
		if unready == nil {
			return pid, nil
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("waiting for the daemon, process %d, to be ready: %w; it was not, for: %w", pid, ctx.Err(), unready)
		case <-tick.C():
		}
	}
}

// spawn starts this very program as `daemon run`, detached, so that it outlives the terminal.
func spawn(ctx context.Context, dir datadir.Dir, runArgs []string) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, fmt.Errorf("finding skiff's own program: %w", err)
	}
	logs, err := dir.OpenLog()
	if err != nil {
		return 0, err
	}
	defer logs.Close()
	ready, tell, err := os.Pipe()
	if err != nil {
		return 0, fmt.Errorf("making a pipe to the daemon: %w", err)
	}
	defer ready.Close()
	cmd := exec.Command(self, append([]string{"daemon", "run"}, runArgs...)...)
	cmd.Stdout, cmd.Stderr = logs, logs
	descriptor, err := detach(cmd, tell)
	if err != nil {
		return 0, errors.Join(fmt.Errorf("preparing the daemon's process: %w", err), tell.Close())
	}
	cmd.Env = append(os.Environ(), readyFD+"="+strconv.FormatUint(uint64(descriptor), 10))
	err = cmd.Start()
	tell.Close()
	if err != nil {
		return 0, fmt.Errorf("starting the daemon: %w", err)
	}
	pid := cmd.Process.Pid
	if err := awaitReady(ctx, ready, dir); err != nil {
		return 0, err
	}
	return pid, cmd.Process.Release()
}

// awaitReady reads what the daemon says on its pipe: "ready", or the reason why it ended.
func awaitReady(ctx context.Context, ready *os.File, dir datadir.Dir) error {
	stop := context.AfterFunc(ctx, func() { ready.Close() })
	defer stop()
	said, err := bufio.NewReader(ready).ReadString('\n')
	said = strings.TrimSpace(said)
	switch {
	case said == "ready":
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("waiting for the daemon to be ready: %w", ctx.Err())
	case said != "":
		return fmt.Errorf("the daemon did not start: %s", said)
	case err != nil && !errors.Is(err, io.EOF):
		return fmt.Errorf("waiting for the daemon to be ready: %w", err)
	}
	return fmt.Errorf("the daemon ended before it was ready; its log is %s", dir.LogFile())
}

// announce tells whoever started this daemon in the background whether it is ready. A daemon in the
// foreground has nobody to tell.
func announce(word string) error {
	given := os.Getenv(readyFD)
	if given == "" {
		return nil
	}
	descriptor, err := strconv.ParseUint(given, 10, 64)
	if err != nil {
		return fmt.Errorf("reading %s: %w", readyFD, err)
	}
	if err := os.Unsetenv(readyFD); err != nil {
		return err
	}
	f := os.NewFile(uintptr(descriptor), "ready")
	_, err = fmt.Fprintln(f, strings.ReplaceAll(word, "\n", " "))
	return errors.Join(err, f.Close())
}

// stop asks the daemon of the data directory to end and returns when it has. Its containers keep
// running. The ID is 0 when there was no daemon.
func stop(ctx context.Context, dir datadir.Dir, clk clock.WithTicker) (int, error) {
	pid, err := dir.Holder()
	if err != nil || pid == 0 {
		return 0, err
	}
	if pid < 0 {
		return 0, fmt.Errorf("the lock of %s is held, but does not say by which process", dir)
	}
	if err := askToEnd(pid); err != nil {
		return 0, fmt.Errorf("asking process %d to stop: %w", pid, err)
	}
	tick := clk.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if now, err := dir.Holder(); err != nil || now != pid {
			return pid, err
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("waiting for process %d to stop: %w", pid, ctx.Err())
		case <-tick.C():
		}
	}
}
