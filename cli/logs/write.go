package logs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/charmbracelet/lipgloss"
	corev1 "k8s.io/api/core/v1"

	"skiff/cli/client"
	"skiff/cli/terminal"
)

// Writer puts lines of several logs onto one stream, whole lines at a time. Safe for concurrent
// use.
type Writer struct {
	mu     sync.Mutex
	out    io.Writer
	prefix func(Source) string
}

// newWriter writes plainly, with kubectl's prefix when asked to, and at a terminal with coloured
// names for several logs.
func newWriter(s terminal.Streams, prefix, several bool) *Writer {
	w := &Writer{out: s.Out}
	switch {
	case s.Terminal.Color && (prefix || several):
		w.prefix = Coloured(s)
	case prefix:
		w.prefix = func(s Source) string { return fmt.Sprintf("[pod/%s/%s] ", s.Pod, s.Container) }
	}
	return w
}

// NewWriter writes each line after what prefix makes of its source.
func NewWriter(out io.Writer, prefix func(Source) string) *Writer {
	return &Writer{out: out, prefix: prefix}
}

// palette are terminal colours that are legible on dark and on light backgrounds, and distinct.
var palette = []lipgloss.Color{"6", "3", "2", "5", "4", "14", "11", "10", "13", "12"}

// Coloured returns a function that gives each pod a colour of its own, in the order they first
// write.
func Coloured(s terminal.Streams) func(Source) string {
	style := s.Terminal.Style(s.Out)
	var mu sync.Mutex
	colours := map[string]lipgloss.Style{}
	rendered := map[string]string{} // a line costs no rendering
	width := 0
	return func(src Source) string {
		mu.Lock()
		defer mu.Unlock()
		name := src.Pod
		if text, ok := rendered[name]; ok {
			return text
		}
		colour, ok := colours[name]
		if !ok {
			colour = style.NewStyle().Foreground(palette[len(colours)%len(palette)])
			colours[name] = colour
			if len(name) > width {
				width = len(name)
				clear(rendered) // the others move to the right
			}
		}
		rendered[name] = colour.Render(name+strings.Repeat(" ", width-len(name))+" |") + " "
		return rendered[name]
	}
}

const (
	// batch is how much of what has come already is written at one go.
	batch = 64 << 10
	// longestLine is how much of a line is kept until its end comes; a longer one is written in pieces, each as
	// a line of its own where there is a prefix.
	longestLine = 4 << 20
)

// Lines copies r line by line until it ends.
func (w *Writer) Lines(s Source, r io.Reader) error {
	in := bufio.NewReaderSize(r, batch)
	var line, out []byte
	for {
		var err error
		line, err = appendLine(line[:0], in)
		out = w.appendTo(out[:0], s, line)
		for err == nil && len(out) < batch && hasLine(in) {
			line, err = appendLine(line[:0], in)
			out = w.appendTo(out, s, line)
		}
		if werr := w.write(out); werr != nil {
			return werr
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// appendLine appends the next line to what is there, or as much of it as may be kept.
func appendLine(to []byte, in *bufio.Reader) ([]byte, error) {
	for {
		piece, err := in.ReadSlice('\n')
		to = append(to, piece...)
		switch {
		case !errors.Is(err, bufio.ErrBufferFull):
			return to, err
		case len(to) >= longestLine:
			return to, nil
		}
	}
}

// hasLine reports whether a whole line can be read without waiting.
func hasLine(in *bufio.Reader) bool {
	come, err := in.Peek(in.Buffered())
	return err == nil && bytes.IndexByte(come, '\n') >= 0
}

// appendTo appends one line as it is written; a last one without an end gets one where lines of others may
// follow.
func (w *Writer) appendTo(out []byte, s Source, line []byte) []byte {
	if len(line) == 0 || w.prefix == nil {
		return append(out, line...)
	}
	out = append(append(out, w.prefix(s)...), line...)
	if !bytes.HasSuffix(line, []byte("\n")) {
		out = append(out, '\n')
	}
	return out
}

// write writes whole lines of one source.
func (w *Writer) write(lines []byte) error {
	if len(lines) == 0 {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.out.Write(lines)
	return err
}

func stream(ctx context.Context, c *client.Client, s Source, o corev1.PodLogOptions, w *Writer) error {
	body, err := Open(ctx, c, s, o)
	if err != nil {
		return err
	}
	defer body.Close()
	return w.Lines(s, body)
}
