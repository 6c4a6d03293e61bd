package buildkit

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/docker/go-units"
)

// Progress writes what BuildKit tells of a build as lines, the way docker build --progress=plain does:
// steps run side by side, so each line begins with the number of its step.
type Progress struct {
	out   io.Writer
	steps map[string]*step
	shown int
}

type step struct {
	number int
	// rest is output that no line break has ended yet.
	rest []byte
	done bool
	// fetched are the transfers that have been told as complete.
	fetched map[string]bool
}

// NewProgress writes to out.
func NewProgress(out io.Writer) *Progress { return &Progress{out: out, steps: map[string]*step{}} }

// Add takes in a trace: the aux field of a message whose ID is moby.buildkit.trace.
func (p *Progress) Add(trace []byte) error {
	s, err := readStatus(trace)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	for _, v := range s.vertexes {
		p.begin(&b, v)
	}
	for _, l := range s.logs {
		p.log(&b, l)
	}
	for _, t := range s.statuses {
		p.transferred(&b, t)
	}
	for _, v := range s.vertexes {
		p.end(&b, v)
	}
	for _, w := range s.warnings {
		fmt.Fprintf(&b, "WARNING: %s\n", w)
	}
	_, err = p.out.Write(b.Bytes())
	return err
}

// internal reports whether a step is BuildKit's own and not one of the Dockerfile's.
func internal(name string) bool {
	return strings.HasPrefix(name, "[internal]") || name == "copy /context /" || strings.HasPrefix(name, "exporting ")
}

func (p *Progress) begin(b *bytes.Buffer, v vertex) {
	if v.started.IsZero() || internal(v.name) || p.steps[v.digest] != nil {
		return
	}
	p.shown++
	p.steps[v.digest] = &step{number: p.shown, fetched: map[string]bool{}}
	fmt.Fprintf(b, "#%d %s\n", p.shown, strings.Join(strings.Fields(v.name), " "))
}

func (p *Progress) log(b *bytes.Buffer, l log) {
	s := p.steps[l.vertex]
	if s == nil {
		return
	}
	s.rest = append(s.rest, l.text...)
	for {
		line, rest, whole := bytes.Cut(s.rest, []byte("\n"))
		if !whole {
			return
		}
		s.line(b, line)
		s.rest = rest
	}
}

// line writes a line of output; of one that was drawn over by carriage returns what stayed.
func (s *step) line(b *bytes.Buffer, line []byte) {
	line = bytes.TrimRight(line, "\r")
	if i := bytes.LastIndexByte(line, '\r'); i >= 0 {
		line = line[i+1:]
	}
	fmt.Fprintf(b, "#%d %s\n", s.number, line)
}

func (p *Progress) transferred(b *bytes.Buffer, t transfer) {
	s := p.steps[t.vertex]
	if s == nil || !t.completed || t.total == 0 || s.fetched[t.id] {
		return
	}
	s.fetched[t.id] = true
	fmt.Fprintf(b, "#%d %s %s done\n", s.number, t.id, units.HumanSize(float64(t.total)))
}

func (p *Progress) end(b *bytes.Buffer, v vertex) {
	s := p.steps[v.digest]
	if s == nil || s.done || v.completed.IsZero() {
		return
	}
	s.done = true
	if len(s.rest) > 0 {
		s.line(b, s.rest)
		s.rest = nil
	}
	switch {
	case v.failure != "":
		fmt.Fprintf(b, "#%d ERROR: %s\n", s.number, v.failure)
	case v.cached:
		fmt.Fprintf(b, "#%d CACHED\n", s.number)
	default:
		fmt.Fprintf(b, "#%d DONE %.1fs\n", s.number, v.completed.Sub(v.started).Seconds())
	}
}

// Reason is the error of a build without the names of BuildKit's parts through which it has come.
func Reason(text string) string {
	for {
		rest := text
		for _, part := range []string{
			"failed to solve with frontend dockerfile.v0: ", "failed to solve: ", "failed to create LLB definition: ", "failed to build LLB: ",
			"rpc error: code = Unknown desc = ", "failed to compute cache key: ",
		} {
			rest = strings.TrimPrefix(rest, part)
		}
		if rest == text {
			return text
		}
		text = rest
	}
}
