package docker

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"
)

// Logs writes a container's log: its two streams apart, or all to stdout where the container has a terminal. A nil
// writer discards. It returns when the log ends, which with Follow is when the container dies, and ctx's error when that
// ends first. With Timestamps each line begins with its time in RFC3339Nano; a line beyond 16 KiB has one at each
// 16 KiB, for the engine stores it so.
func (e *Engine) Logs(ctx context.Context, id string, o LogOptions, stdout, stderr io.Writer) error {
	found, err := e.inspect(ctx, id)
	if err != nil {
		return err
	}
	return e.stream(ctx, "logs", id, func(ctx context.Context, c *client.Client) error {
		log, err := c.ContainerLogs(ctx, id, logsOptions(o))
		if err != nil {
			return err
		}
		defer func() { _ = log.Close() }() // only read from
		if err := demultiplex(found.Config != nil && found.Config.Tty, stdout, stderr, log); err != nil {
			return fmt.Errorf("read log: %w", err)
		}
		return nil
	})
}

func logsOptions(o LogOptions) container.LogsOptions {
	options := container.LogsOptions{
		ShowStdout: o.Stdout, ShowStderr: o.Stderr, Follow: o.Follow, Timestamps: o.Timestamps, Tail: "all",
	}
	if o.Tail >= 0 {
		options.Tail = strconv.FormatInt(o.Tail, 10)
	}
	if !o.Since.IsZero() {
		options.Since = timestamp(o.Since)
	}
	if !o.Until.IsZero() {
		options.Until = timestamp(o.Until)
	}
	return options
}

// demultiplex copies a process's output until it ends: the engine sends a terminal's as it is and frames the two
// streams of everything else. A nil writer discards.
func demultiplex(tty bool, stdout, stderr io.Writer, from io.Reader) error {
	out, errs := sink{to: stdout}, sink{to: stderr}
	var err error
	if tty {
		_, err = io.Copy(&out, from)
	} else {
		_, err = stdcopy.StdCopy(&out, &errs, from)
	}
	if refused := cmp.Or(out.err, errs.err); refused != nil {
		return &Error{Op: "pass output on", Err: refused}
	}
	return err
}

// sink remembers that the caller's writer failed: such an error looks like a lost engine, and is none.
type sink struct {
	to  io.Writer
	err error
}

func (s *sink) Write(p []byte) (n int, err error) {
	if s.to == nil {
		return len(p), nil
	}
	n, s.err = s.to.Write(p)
	return n, s.err
}
