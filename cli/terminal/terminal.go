// Package terminal holds the streams of one invocation of the command line, and whether they are a
// terminal, how wide it is and whether colour is wanted.
package terminal

import (
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"
	"golang.org/x/term"
)

// Streams are the three streams of one invocation. Data goes to Out; progress, warnings and errors
// go to Err.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	Terminal Terminal
}

// Size is a terminal's extent in characters.
type Size struct{ Width, Height int }

// Terminal says which streams are a terminal. Its zero value is a pipe: no colour, no live view, no
// raw mode.
type Terminal struct {
	In, Out, Err bool
	// Color is whether escape sequences are wanted: false for a pipe, NO_COLOR
	// (https://no-color.org) and TERM=dumb.
	Color bool
	// Size returns the extent of the terminal; nil, or false, when there is none.
	Size func() (Size, bool)
	// Raw makes the terminal pass on keys as they are pressed, until restore is called; nil when In
	// is no terminal.
	Raw func() (restore func(), err error)
	// Resized sends a value after each change of extent until stop is called; nil when there is no
	// terminal.
	Resized func() (signals <-chan os.Signal, stop func())
	// Interrupts sends a value for each Ctrl-C or SIGTERM until stop is called; nil when the
	// process has no signals of its own.
	Interrupts func() (signals <-chan os.Signal, stop func())
}

// Standard returns the process's own streams. getenv reads NO_COLOR and TERM.
func Standard(getenv func(string) (string, bool)) Streams {
	in, out, errOut := int(os.Stdin.Fd()), int(os.Stdout.Fd()), int(os.Stderr.Fd())
	t := Terminal{In: term.IsTerminal(in), Out: term.IsTerminal(out), Err: term.IsTerminal(errOut), Interrupts: interrupts}
	_, noColor := getenv("NO_COLOR")
	kind, _ := getenv("TERM")
	t.Color = t.Out && !noColor && kind != "dumb"
	if t.Out {
		t.Size, t.Resized = sizeOf(out), resized
	}
	if t.In {
		t.Raw = func() (func(), error) { return makeRaw(in) }
	}
	return Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Terminal: t}
}

// Width returns the width of the terminal in characters, or otherwise when there is none.
func (t Terminal) Width(otherwise int) int {
	if t.Size != nil {
		if s, ok := t.Size(); ok && s.Width > 0 {
			return s.Width
		}
	}
	return otherwise
}

// Style returns lipgloss styles for w: coloured when Color is set, plain otherwise. It never
// queries the terminal.
func (t Terminal) Style(w io.Writer) *lipgloss.Renderer {
	r := lipgloss.NewRenderer(w, termenv.WithTTY(false))
	if t.Color {
		r.SetColorProfile(termenv.ANSI)
	} else {
		r.SetColorProfile(termenv.Ascii)
	}
	r.SetHasDarkBackground(true)
	return r
}

func sizeOf(fd int) func() (Size, bool) {
	return func() (Size, bool) {
		w, h, err := term.GetSize(fd)
		return Size{Width: w, Height: h}, err == nil
	}
}

func makeRaw(fd int) (func(), error) {
	old, err := term.MakeRaw(fd)
	if err != nil {
		return nil, err
	}
	return func() { _ = term.Restore(fd, old) }, nil
}

func interrupts() (<-chan os.Signal, func()) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	return signals, func() { signal.Stop(signals) }
}
