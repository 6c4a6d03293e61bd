package recipe

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"skiff/docker/buildcontext"
)

// Engine is what a builder asks of the engine.
type Engine interface {
	Find(ctx context.Context, ref string) ([]string, error)
	Build(ctx context.Context, b buildcontext.Spec, progress io.Writer) error
}

// Builder makes images, and says so.
type Builder struct {
	Engine Engine
	Out    io.Writer
	Now    func() time.Time
	// Quiet keeps back what the engine's builder says, unless it fails.
	Quiet bool
}

// Distinct leaves out recipes that make what others make too; it refuses an image that two of them make
// differently.
func Distinct(all []Recipe) ([]Recipe, error) {
	var out []Recipe
	for _, r := range all {
		i := slices.IndexFunc(out, func(other Recipe) bool { return other.Image == r.Image })
		switch {
		case i < 0:
			out = append(out, r)
		case !out[i].Same(&r):
			return nil, fmt.Errorf("%s: the image %s is built in another way for %s (%s): give one of the two another name", r.Where, r.Image, out[i].Service, out[i].Where)
		}
	}
	return out, nil
}

// Missing reports whether the engine does not have the image of a recipe.
func (b Builder) Missing(ctx context.Context, r Recipe) (bool, error) {
	there, err := b.Engine.Find(ctx, r.Image)
	if err != nil {
		return false, fmt.Errorf("looking for the image %s: %w", r.Image, err)
	}
	return len(there) == 0, nil
}

// Build makes an image.
func (b Builder) Build(ctx context.Context, r Recipe) error {
	fmt.Fprintf(b.Out, "%s: building %s\n", r.Service, r.Image)
	began := b.Now()
	out := &prefixed{out: b.Out, prefix: r.Service + " | "}
	kept := &bytes.Buffer{}
	if b.Quiet {
		out.out = kept
	}
	err := b.Engine.Build(ctx, r.Spec, out)
	out.flush()
	if err != nil {
		_, _ = kept.WriteTo(b.Out) // nobody is there to tell if it fails
		return fmt.Errorf("%s: building the image of %s: %w", r.Where, r.Service, err)
	}
	fmt.Fprintf(b.Out, "%s: %s built in %.1fs\n", r.Service, r.Image, b.Now().Sub(began).Seconds())
	return nil
}

// prefixed writes whole lines, each with a prefix.
type prefixed struct {
	out    io.Writer
	prefix string
	rest   []byte
}

func (p *prefixed) Write(b []byte) (int, error) {
	p.rest = append(p.rest, b...)
	for {
		line, rest, whole := bytes.Cut(p.rest, []byte("\n"))
		if !whole {
			return len(b), nil
		}
		p.line(line)
		p.rest = append(p.rest[:0], rest...)
	}
}

func (p *prefixed) line(line []byte) {
	if line = bytes.TrimRight(line, "\r"); len(line) > 0 {
		fmt.Fprintf(p.out, "%s%s\n", p.prefix, line)
	}
}

// flush writes what no line break ended.
func (p *prefixed) flush() {
	p.line(p.rest)
	p.rest = nil
}
