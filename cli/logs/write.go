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

// Writer puts lines of several logs onto one stream, whole lines at a time. Safe for concurrent use.
type Writer struct {
	mu     sync.Mutex
	out    io.Writer
	prefix func(Source) string
}

// newWriter writes plainly, with kubectl's prefix when asked to, and at a terminal with coloured names for several logs.
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

// palette are terminal colours that can be read on dark and on light ground, and told from each other.
var palette = []lipgloss.Color{"6", "3", "2", "5", "4", "14", "11", "10", "13", "12"}

// Coloured returns a function that gives each pod a colour of its own, in the order they first write.
func Coloured(s terminal.Streams) func(Source) string {
	style := s.Terminal.Style(s.Out)
	var mu sync.Mutex
	colours := map[string]lipgloss.Style{}
	width := 0
	return func(src Source) string {
		mu.Lock()
		defer mu.Unlock()
		name := src.Pod
		colour, ok := colours[name]
		if !ok {
			colour = style.NewStyle().Foreground(palette[len(colours)%len(palette)])
			colours[name] = colour
			width = max(width, len(name))
		}
		return colour.Render(name+strings.Repeat(" ", width-len(name))+" |") + " "
	}
}

// Lines copies r line by line until it ends.
func (w *Writer) Lines(s Source, r io.Reader) error {
	in := bufio.NewReader(r)
	for {
		l, err := in.ReadBytes('\n')
		if len(l) > 0 {
			if werr := w.line(s, l); werr != nil {
				return werr
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// line writes one line; a last one without an end gets one where lines of others may follow.
func (w *Writer) line(s Source, l []byte) error {
	if w.prefix != nil {
		l = append([]byte(w.prefix(s)), l...)
		if !bytes.HasSuffix(l, []byte("\n")) {
			l = append(l, '\n')
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.out.Write(l)
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
