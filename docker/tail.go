package docker

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"math"
)

const (
	// tailMargin is how many chunks more than lines are looked at first, for lines of several
	// chunks.
	tailMargin = 64
	// tailGrowth is how many chunks may be written between looking and reading: ten times as many
	// at each further try.
	tailGrowth = 1000
	tailTries  = 5
)

// errMoved says that the line to begin with is no longer among the chunks that were asked for.
var errMoved = errors.New("the log grows faster than its last lines can be found")

// tail writes the last lines of the log, and with Follow what comes after them. The engine's own tail counts chunks:
// so the place where the lines begin is looked for first.
func (l *containerLog) tail(ctx context.Context, stdout, stderr io.Writer) error {
	growth := int64(tailGrowth)
	for try := 1; ; try++ {
		first, chunks, err := l.lastLines(ctx)
		if err != nil {
			return err
		}
		o := l.options
		o.Timestamps, o.Tail = true, chunks+growth
		t := tailWriter{
			lineWriter: newLineWriter(l.options.Timestamps, stdout, stderr),
			first:      first, found: first == lineStart{}, left: o.Tail, most: l.options.Tail,
		}
		if l.options.Follow {
			t.most = math.MaxInt64
		}
		err = l.read(ctx, o, t.add)
		if err = cmp.Or(err, t.end()); !errors.Is(err, errMoved) || try == tailTries {
			return err
		}
		growth *= 10
	}
}

// lineStart is where a line begins: its time and its stream. A stream has no two lines of the same
// nanosecond.
type lineStart struct {
	stream int
	stamp  string
}

// lastLines finds the first of the last Options.Tail lines, and how many chunks the log has from
// there or from before it. The first line is the zero value if the log has no more lines than that.
func (l *containerLog) lastLines(ctx context.Context) (first lineStart, chunks int64, err error) {
	o := l.options
	o.Follow, o.Timestamps = false, true
	for o.Tail += tailMargin; ; o.Tail *= 4 {
		starts := tailStarts{want: int(l.options.Tail)}
		if err := l.read(ctx, o, starts.add); err != nil {
			return lineStart{}, 0, err
		}
		if whole := starts.chunks < o.Tail; whole || starts.enough() {
			return starts.first(whole), o.Tail, nil
		}
	}
}

// tailStarts collects where the last lines begin.
type tailStarts struct {
	want   int
	chunks int64
	inside [2]bool
	starts []lineStart // the last want, and one more
	seen   int
}

func (t *tailStarts) add(c chunk) error {
	t.chunks++
	if !t.inside[c.stream] {
		start := lineStart{c.stream, string(c.stamp)}
		if len(t.starts) <= t.want {
			t.starts = append(t.starts, start)
		} else {
			t.starts[t.seen%len(t.starts)] = start
		}
		t.seen++
	}
	t.inside[c.stream] = !bytes.HasSuffix(c.text, newline)
	return nil
}

// enough reports whether the last lines are known to be whole. The very first chunk that was seen
// may be the rest of a line.
func (t *tailStarts) enough() bool { return t.seen > t.want }

// first is where the last lines begin; the zero value stands for the beginning of the log.
func (t *tailStarts) first(whole bool) lineStart {
	if t.seen < t.want || whole && t.seen == t.want {
		return lineStart{}
	}
	return t.starts[(t.seen-t.want)%len(t.starts)]
}

// tailWriter writes the lines from first on.
type tailWriter struct {
	*lineWriter
	first lineStart
	found bool
	// left is how many chunks may still come before first.
	left int64
	// most is how many lines are written: what the log has gained since first was looked for is not among
	// its last lines, unless they are followed.
	most, written int64
	// hidden says of each stream that the line under way is not among those to be written.
	hidden [2]bool
}

func (t *tailWriter) add(c chunk) error {
	begins := !t.inside(c.stream)
	if !t.found {
		t.found = begins && t.first == lineStart{c.stream, string(c.stamp)}
		if t.left--; !t.found && t.left <= 0 {
			return errMoved
		}
	}
	if begins {
		t.hidden[c.stream] = !t.found || t.written == t.most
		if !t.hidden[c.stream] {
			t.written++
		}
	}
	if t.hidden[c.stream] {
		t.skip(c)
		return nil
	}
	return t.lineWriter.add(c)
}

// end is errMoved if the log ended before the first line was found.
func (t *tailWriter) end() error {
	if !t.found {
		return errMoved
	}
	return t.lineWriter.end()
}
