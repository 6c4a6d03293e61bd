package diagnosis

import (
	"fmt"
	"io"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"k8s.io/cli-runtime/pkg/printers"
)

// Printer writes reports for people.
type Printer struct {
	Out io.Writer
	// Width is where lines are wrapped, 0 for nowhere.
	Width int
	// Style paints at a terminal, and does nothing elsewhere.
	Style *lipgloss.Renderer
}

// labelWidth is the column in which what a label stands for begins.
const labelWidth = 8

// Print writes a report, and indented below it those that belong to it.
func (p Printer) Print(r *Report) { p.print(r, 2) }

func (p Printer) print(r *Report, indent int) {
	name := p.Style.NewStyle().Bold(true).Foreground(lipgloss.Color("2"))
	if r.Wrong {
		name = name.Foreground(lipgloss.Color("1"))
	}
	p.wrapped(indent-2, indent, name, r.Object+" ", r.State)
	p.labelled(indent, "wanted", r.Wanted)
	p.labelled(indent, "cause", r.Causes)
	if r.Log != nil {
		var lines []string
		for _, l := range r.Log.Lines {
			lines = append(lines, r.Log.Container+" | "+l)
		}
		p.labelled(indent, "log", lines)
	}
	p.labelled(indent, "next", r.Next)
	Printer{Out: p.Out, Style: p.Style}.labelled(indent, "do", r.Do) // not wrapped: they are commands to be copied
	for i := range r.Below {
		p.print(&r.Below[i], indent+2)
	}
}

// labelled writes lines after a label, which stands before the first.
func (p Printer) labelled(indent int, label string, lines []string) {
	for _, line := range lines {
		p.wrapped(indent, indent+labelWidth, p.Style.NewStyle().Faint(true), fmt.Sprintf("%-*s", labelWidth, label), line)
		label = ""
	}
}

// wrapped writes a head and a text on as many lines as they take, the first indented by first, the others
// by rest.
func (p Printer) wrapped(first, rest int, style lipgloss.Style, head, text string) {
	word := strings.TrimRight(head, " ")
	if word != "" {
		word = style.Render(word)
	}
	fmt.Fprint(p.Out, strings.Repeat(" ", first), word, head[len(strings.TrimRight(head, " ")):])
	text = printers.EscapeTerminal(text)
	for used := first + len(head); ; used = rest {
		line, more := text, ""
		if p.Width > 0 {
			line, more = cut(text, p.Width-used)
		}
		fmt.Fprintln(p.Out, line)
		if more == "" {
			return
		}
		fmt.Fprint(p.Out, strings.Repeat(" ", rest))
		text = more
	}
}

// leastWidth is the narrowest column into which text is wrapped.
const leastWidth = 24

// cut takes as many words off a text as fit into a width, or a part of one that is too long by itself.
func cut(text string, width int) (line, more string) {
	runes := []rune(text)
	width = max(width, leastWidth)
	if len(runes) <= width {
		return text, ""
	}
	at := width
	for ; at > 0 && runes[at] != ' '; at-- {
	}
	if at == 0 {
		return string(runes[:width]), string(runes[width:])
	}
	return string(runes[:at]), strings.TrimSpace(string(runes[at:]))
}
