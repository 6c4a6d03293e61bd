package docker

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"
)

// Logs writes a container's log: its two streams apart, or all to stdout where the container has a
// terminal. A nil writer discards. It returns when the log ends, which with Follow is when the
// container dies, and ctx's error when that ends first. The engine stores lines in chunks of 16 KiB;
// here they are whole again: with Timestamps each line begins with its time in RFC3339Nano, and Tail
// counts lines.
func (e *Engine) Logs(ctx context.Context, id string, o LogOptions, stdout, stderr io.Writer) error {
	found, err := e.inspect(ctx, id)
	if err != nil {
		return err
	}
	l := containerLog{engine: e, id: id, tty: found.Config != nil && found.Config.Tty, options: o}
	if o.Tail > 0 {
		return l.tail(ctx, stdout, stderr)
	}
	w := newLineWriter(o.Timestamps, stdout, stderr)
	err = l.read(ctx, o, w.add)
	return cmp.Or(err, w.end())
}

// containerLog is one container's log as the engine keeps it.
type containerLog struct {
	engine  *Engine
	id      string
	tty     bool
	options LogOptions
}

// read visits the chunks that o chooses until the log ends. Their times are known if o asks for
// them.
func (l *containerLog) read(ctx context.Context, o LogOptions, visit func(chunk) error) error {
	return l.engine.stream(ctx, "logs", l.id, func(ctx context.Context, c *client.Client) error {
		log, err := c.ContainerLogs(ctx, l.id, logsOptions(o))
		if err != nil {
			return err
		}
		defer func() { _ = log.Close() }() // only read from
		if err := readChunks(log, l.tty, o.Timestamps, visit); err != nil {
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

// demultiplex copies a process's output until it ends: the engine sends a terminal's as it is and
// frames the two streams of everything else. A nil writer discards.
func demultiplex(tty bool, stdout, stderr io.Writer, from io.Reader) error {
	out, errs := sink{to: stdout}, sink{to: stderr}
	var err error
	if tty {
		_, err = io.Copy(&out, from)
	} else {
		_, err = stdcopy.StdCopy(&out, &errs, from)
	}
	return cmp.Or(out.err, errs.err, err)
}

// sink marks the errors of the caller's writer: such an error looks like a lost engine, and is none.
type sink struct {
	to  io.Writer
	err error
}

func (s *sink) Write(p []byte) (n int, err error) {
	if s.to == nil {
		return len(p), nil
	}
	if n, err = s.to.Write(p); err != nil {
		s.err = &Error{Op: "pass output on", Err: err}
	}
	return n, s.err
}

// lineWriter joins chunks into lines and passes each line on in one piece.
type lineWriter struct {
	stamps  bool
	streams [2]lineStream // standard output and standard error
}

// lineStream is a stream's line under way.
type lineStream struct {
	to sink
	// inside says that the last chunk did not end its line; held is what was not yet passed on.
	inside bool
	held   []byte
}

// maxHeld bounds, in bytes, how much of a line waits for the rest of it.
const maxHeld = 256 << 10

func newLineWriter(stamps bool, stdout, stderr io.Writer) *lineWriter {
	return &lineWriter{stamps: stamps, streams: [2]lineStream{{to: sink{to: stdout}}, {to: sink{to: stderr}}}}
}

func (w *lineWriter) add(c chunk) error {
	s := &w.streams[c.stream]
	text := c.text
	if w.stamps && !s.inside {
		text = c.raw
	}
	s.inside = !bytes.HasSuffix(c.text, newline)
	if !s.inside && len(s.held) == 0 {
		_, err := s.to.Write(text)
		return err
	}
	s.held = append(s.held, text...)
	if s.inside && len(s.held) < maxHeld {
		return nil
	}
	return s.flush()
}

// inside reports whether a stream's last chunk did not end its line.
func (w *lineWriter) inside(stream int) bool { return w.streams[stream].inside }

// skip takes note of a chunk that is not to be written.
func (w *lineWriter) skip(c chunk) { w.streams[c.stream].inside = !bytes.HasSuffix(c.text, newline) }

func (s *lineStream) flush() error {
	if len(s.held) == 0 {
		return nil
	}
	_, err := s.to.Write(s.held)
	s.held = s.held[:0]
	return err
}

// end passes on what the log ends with although no line ends there.
func (w *lineWriter) end() error {
	return cmp.Or(w.streams[0].flush(), w.streams[1].flush())
}
