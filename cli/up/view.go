package up

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"

	"skiff/cli/terminal"
)

// view shows a picture to a person, and the next one in its place or, where there is no terminal, what has changed.
type view interface {
	show(p picture, now time.Time)
	// close leaves the last picture standing; clear wipes it away.
	close()
	clear()
}

func newView(s terminal.Streams, start time.Time) view {
	if !s.Terminal.Err {
		return &plain{out: s.Err, said: map[string]string{}}
	}
	style := s.Terminal.Style(s.Err)
	return &live{out: s.Err, terminal: s.Terminal, start: start, since: map[string]time.Time{}, styles: map[phase]lipgloss.Style{
		pending:  style.NewStyle().Foreground(lipgloss.Color("3")),
		ready:    style.NewStyle().Foreground(lipgloss.Color("2")),
		finished: style.NewStyle().Foreground(lipgloss.Color("2")),
		failed:   style.NewStyle().Foreground(lipgloss.Color("1")).Bold(true),
	}, faint: style.NewStyle().Faint(true)}
}

// plain writes a line for each change.
type plain struct {
	out  io.Writer
	said map[string]string
}

func (v *plain) show(p picture, _ time.Time) {
	there := map[string]bool{}
	for _, l := range p.lines {
		there[l.name] = true
		if v.said[l.name] != l.text && l.text != "" {
			v.said[l.name] = l.text
			fmt.Fprintf(v.out, "%s: %s\n", l.name, l.text)
		}
	}
	for name := range v.said {
		if !there[name] {
			delete(v.said, name)
		}
	}
}

func (v *plain) close() {}
func (v *plain) clear() {}

// live redraws the picture in place, with the time each line has taken.
type live struct {
	out      io.Writer
	terminal terminal.Terminal
	start    time.Time
	styles   map[phase]lipgloss.Style
	faint    lipgloss.Style
	// since is when a line was first shown; took how long it was until it was ready.
	since map[string]time.Time
	took  map[string]time.Duration
	drawn int
	frame int
}

const (
	cursorUp   = "\r\x1b[%dA"
	clearBelow = "\x1b[J"
)

// spinner are the signs of something that is under way.
var spinner = []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}

var signs = map[phase]string{ready: "✔", finished: "✔", failed: "✘"}

func (v *live) show(p picture, now time.Time) {
	v.frame++
	var b strings.Builder
	if v.drawn > 0 {
		fmt.Fprintf(&b, cursorUp+clearBelow, v.drawn)
	}
	height := 0
	if v.terminal.Size != nil {
		if s, ok := v.terminal.Size(); ok {
			height = s.Height
		}
	}
	lines := v.lines(p, now)
	if height > 1 && len(lines) >= height {
		hidden := len(lines) - height + 2
		lines = append(lines[:height-2], v.faint.Render(fmt.Sprintf("   … and %d more", hidden)))
	}
	for _, l := range lines {
		b.WriteString(l + "\n")
	}
	v.drawn = len(lines)
	io.WriteString(v.out, b.String())
}

func (v *live) lines(p picture, now time.Time) []string {
	name, text := 0, 0
	for _, l := range p.lines {
		name, text = max(name, 2*l.depth+len(l.name)), max(text, len(l.text))
	}
	width := v.terminal.Width(80)
	out := make([]string, len(p.lines))
	for i, l := range p.lines {
		sign := signs[l.phase]
		if sign == "" {
			sign = spinner[v.frame%len(spinner)]
		}
		plain := fmt.Sprintf("%s%-*s  %-*s", strings.Repeat("  ", l.depth), name-2*l.depth, l.name, text, l.text)
		took := v.elapsed(l, now)
		if room := width - len(took) - 5; len(plain) > room && room > 0 {
			plain = plain[:room]
		}
		out[i] = " " + v.styles[l.phase].Render(sign) + " " + v.colour(plain, l) + " " + v.faint.Render(took)
	}
	return out
}

// colour colours what a line says, and leaves its name as it is.
func (v *live) colour(plain string, l line) string {
	head, tail, found := strings.Cut(plain, l.text)
	if !found || l.text == "" {
		return plain
	}
	return head + v.styles[l.phase].Render(l.text) + tail
}

// elapsed is how long a line has been there, or how long it took.
func (v *live) elapsed(l line, now time.Time) string {
	first, ok := v.since[l.name]
	if !ok {
		first = now
		if l.depth == 0 {
			first = v.start
		}
		v.since[l.name] = first
	}
	took := now.Sub(first)
	if v.took == nil {
		v.took = map[string]time.Duration{}
	}
	if l.phase == pending {
		delete(v.took, l.name)
	} else if t, ok := v.took[l.name]; ok {
		took = t
	} else {
		v.took[l.name] = took
	}
	return fmt.Sprintf("%.1fs", took.Seconds())
}

func (v *live) close() { v.drawn = 0 }

func (v *live) clear() {
	if v.drawn > 0 {
		fmt.Fprintf(v.out, cursorUp+clearBelow, v.drawn)
	}
	v.drawn = 0
}
