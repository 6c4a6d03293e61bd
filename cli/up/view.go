package up

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"

	"skiff/cli/terminal"
)

// view shows a picture, and the next one in its place or, without a terminal, only what has
// changed.
type view interface {
	show(p picture, now time.Time)
	// tick shows the last picture again, for the time that has passed.
	tick(now time.Time)
	// close leaves the last picture on the screen; clear wipes it away.
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
		failed:   style.NewStyle().Foreground(failedColour).Bold(true),
	}, faint: style.NewStyle().Faint(true)}
}

// failedColour is that of what has failed.
const failedColour = lipgloss.Color("1")

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

func (v *plain) tick(time.Time) {}
func (v *plain) close()         {}
func (v *plain) clear()         {}

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
	last  picture
}

const (
	cursorUp   = "\r\x1b[%dA"
	clearBelow = "\x1b[J"
)

// spinner are the signs of something that is under way.
var spinner = []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}

var signs = map[phase]string{ready: "✔", finished: "✔", failed: "✘"}

func (v *live) tick(now time.Time) { v.show(v.last, now) }

func (v *live) show(p picture, now time.Time) {
	v.last = p
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
	width := v.terminal.Width(80)
	name, text := 0, 0
	for _, l := range p.lines {
		if !l.note {
			name, text = max(name, 2*l.depth+lipgloss.Width(l.name)), max(text, lipgloss.Width(l.text))
		}
	}
	name = min(name, max(width*nameShare/100, shortestName))
	out := make([]string, len(p.lines))
	for i, l := range p.lines {
		if l.note {
			out[i] = v.faint.Render(cut("   "+strings.Repeat("  ", l.depth)+l.name, width))
			continue
		}
		sign := signs[l.phase]
		if sign == "" {
			sign = spinner[v.frame%len(spinner)]
		}
		columns := name - 2*l.depth
		what, state := strings.Repeat("  ", l.depth)+padded(endOf(l.name, columns), columns)+"  ", padded(l.text, text)
		took := v.elapsed(l, now)
		if l.depth > 0 && width < narrow {
			took = ""
		}
		if room := width - len(took) - 5; room > 0 {
			what = cut(what, room)
			state = cut(state, room-lipgloss.Width(what))
		}
		out[i] = strings.TrimRight(" "+v.styles[l.phase].Render(sign)+" "+what+v.styles[l.phase].Render(state)+" "+v.faint.Render(took), " ")
	}
	return out
}

// A narrow screen has room for the state of things as well as for their names: names have so many per cent
// of it, and at least so many columns.
const (
	nameShare    = 50
	shortestName = 12
	// narrow is the width below which the times of pods and containers make room.
	narrow = 60
)

// endOf is the end of a name that is too long, where names of one workload's pods differ.
func endOf(name string, columns int) string {
	runes := []rune(name)
	if lipgloss.Width(name) <= columns || columns < 2 {
		return name
	}
	for len(runes) > 0 && lipgloss.Width(string(runes)) > columns-1 {
		runes = runes[1:]
	}
	return "…" + string(runes)
}

// cut is the beginning of a text that is wider than so many columns.
func cut(text string, columns int) string {
	switch {
	case lipgloss.Width(text) <= columns:
		return text
	case columns <= 0:
		return ""
	}
	return lipgloss.NewStyle().Inline(true).MaxWidth(columns).Render(text)
}

// padded is a text with as many spaces after it as fill columns of the terminal.
func padded(text string, columns int) string {
	return text + strings.Repeat(" ", max(0, columns-lipgloss.Width(text)))
}

// elapsed is how long a line has been there, or how long it took.
func (v *live) elapsed(l line, now time.Time) string {
	id := cmp.Or(l.id, l.name)
	first, ok := v.since[id]
	if !ok {
		first = now
		if l.depth == 0 {
			first = v.start
		}
		if !l.began.IsZero() {
			first = l.began
		}
		v.since[id] = first
	}
	took := now.Sub(first)
	if v.took == nil {
		v.took = map[string]time.Duration{}
	}
	if l.phase == pending {
		delete(v.took, id)
	} else if t, ok := v.took[id]; ok {
		took = t
	} else {
		v.took[id] = took
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
