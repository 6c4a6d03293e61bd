package daemon

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"k8s.io/utils/clock"
)

// readyFD names, in the environment of a daemon that was started in the background, the descriptor on which it says that its
// API answers, or why it will not.
const readyFD = "SKIFF_READY_FD"

// ensure starts a daemon in the background unless one runs, and returns when its API answers. started tells whether it
// was this call that started it.
func ensure(ctx context.Context, c Config, runArgs []string, clk clock.WithTicker) (pid int, started bool, err error) {
	if err := c.prepare(); err != nil {
		return 0, false, err
	}
	if pid, err = awaitOther(ctx, c, clk); err != nil || pid != 0 {
		return pid, false, err
	}
	if pid, err = spawn(ctx, c, runArgs); err == nil {
		return pid, true, nil
	}
	// Another caller may have been quicker; then its daemon is as good.
	if pid, otherErr := awaitOther(ctx, c, clk); otherErr == nil && pid != 0 {
		return pid, false, nil
	}
	return 0, false, err
}

// awaitOther returns the process that holds the data directory, once its API answers, or 0 when none does.
func awaitOther(ctx context.Context, c Config, clk clock.WithTicker) (int, error) {
	tick := clk.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		pid, err := holder(c)
		if err != nil || pid == 0 {
			return 0, err
		}
		unready := isReady(ctx, c)
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

// spawn starts this very program as `daemon run` in a session of its own, so that it outlives the terminal.
func spawn(ctx context.Context, c Config, runArgs []string) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, fmt.Errorf("finding skiff's own program: %w", err)
	}
	logs, err := openLog(c)
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
	cmd.ExtraFiles = []*os.File{tell}
	cmd.Env = append(os.Environ(), readyFD+"=3")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	tell.Close()
	if err != nil {
		return 0, fmt.Errorf("starting the daemon: %w", err)
	}
	pid := cmd.Process.Pid
	if err := awaitReady(ctx, ready, c); err != nil {
		return 0, err
	}
	return pid, cmd.Process.Release()
}

// awaitReady reads what the daemon says on its pipe: "ready", or the reason why it ended.
func awaitReady(ctx context.Context, ready *os.File, c Config) error {
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
	return fmt.Errorf("the daemon ended before it was ready; its log is %s", c.logFile())
}

// announce tells whoever started this daemon in the background what became of it. A daemon in the foreground has nobody to
// tell.
func announce(word string) error {
	if os.Getenv(readyFD) == "" {
		return nil
	}
	if err := os.Unsetenv(readyFD); err != nil {
		return err
	}
	f := os.NewFile(3, "ready")
	_, err := fmt.Fprintln(f, strings.ReplaceAll(word, "\n", " "))
	return errors.Join(err, f.Close())
}

// stop asks the daemon of the data directory to end and returns when it has. Its containers run on. The ID is 0 when there
// was none to stop.
func stop(ctx context.Context, c Config, clk clock.WithTicker) (int, error) {
	pid, err := holder(c)
	if err != nil || pid == 0 {
		return 0, err
	}
	if pid < 0 {
		return 0, fmt.Errorf("the lock %s is held, but does not say by which process", c.lockFile())
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return 0, fmt.Errorf("asking process %d to stop: %w", pid, err)
	}
	tick := clk.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if now, err := holder(c); err != nil || now != pid {
			return pid, err
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("waiting for process %d to stop: %w", pid, ctx.Err())
		case <-tick.C():
		}
	}
}
