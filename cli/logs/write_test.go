package logs

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"skiff/cli/terminal"
)

func TestLinesKeepTogether(t *testing.T) {
	var out bytes.Buffer
	w := newWriter(terminal.Streams{Out: &out}, true, true)
	for _, s := range []Source{{Pod: "a", Container: "x"}, {Pod: "b", Container: "y"}} {
		if err := w.Lines(s, strings.NewReader("one\ntwo without an end")); err != nil {
			t.Fatal(err)
		}
	}
	want := "[pod/a/x] one\n[pod/a/x] two without an end\n[pod/b/y] one\n[pod/b/y] two without an end\n"
	if out.String() != want {
		t.Errorf("got:\n%s", out.String())
	}
}

// One log alone is passed on byte by byte.
func TestOneLogIsLeftAsItIs(t *testing.T) {
	var out bytes.Buffer
	if err := newWriter(terminal.Streams{Out: &out}, false, false).Lines(Source{}, strings.NewReader("no end")); err != nil {
		t.Fatal(err)
	}
	if out.String() != "no end" {
		t.Errorf("got %q", out.String())
	}
}

func TestColoursOnlyAtATerminal(t *testing.T) {
	for _, colour := range []bool{false, true} {
		var out bytes.Buffer
		s := terminal.Streams{Out: &out, Terminal: terminal.Terminal{Color: colour}}
		prefix := Coloured(s)
		first, second, again := prefix(Source{Pod: "kubia-a"}), prefix(Source{Pod: "b"}), prefix(Source{Pod: "kubia-a"})
		if escapes := strings.Contains(first, "\x1b["); escapes != colour {
			t.Errorf("colour %t: %q", colour, first)
		}
		if first != again {
			t.Errorf("a pod changed its colour: %q, %q", first, again)
		}
		if !colour && second != "b       | " {
			t.Errorf("names are not aligned: %q", second)
		}
	}
}

// pieces gives a text in pieces of a size.
type pieces struct {
	text string
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.text == "" {
		return 0, io.EOF
	}
	n := copy(b, p.text[:min(p.size, len(p.text))])
	p.text = p.text[n:]
	return n, nil
}

// TestLinesOfAnySize passes on lines that are long, empty or binary, however they come.
func TestLinesOfAnySize(t *testing.T) {
	text := "\nshort\n" + strings.Repeat("x", 1<<20) + "\n\x00\xff\x1b\r\n" + strings.Repeat("many\n", 30000) + "\n\nend"
	want := strings.Join(strings.Split(text, "\n"), "\n[pod/a/x] ")
	for _, size := range []int{1000, 4096, batch, batch + 1, len(text)} {
		var plain, prefixed bytes.Buffer
		if err := newWriter(terminal.Streams{Out: &plain}, false, false).Lines(Source{}, &pieces{text, size}); err != nil || plain.String() != text {
			t.Errorf("in pieces of %d: %v, %d bytes of %d", size, err, plain.Len(), len(text))
		}
		err := newWriter(terminal.Streams{Out: &prefixed}, true, true).Lines(Source{Pod: "a", Container: "x"}, &pieces{text, size})
		if err != nil || prefixed.String() != "[pod/a/x] "+want+"\n" {
			t.Errorf("with a prefix, in pieces of %d: %v, %d bytes", size, err, prefixed.Len())
		}
	}
}

// TestALineWithoutAnEnd is not kept in memory until its end comes.
func TestALineWithoutAnEnd(t *testing.T) {
	const size = 3*longestLine + 17
	largest := 0
	w := newWriter(terminal.Streams{Out: writes(func(b []byte) { largest = max(largest, len(b)) })}, false, false)
	if err := w.Lines(Source{}, &pieces{strings.Repeat("x", size), batch}); err != nil {
		t.Fatal(err)
	}
	if largest == 0 || largest > longestLine+batch {
		t.Errorf("%d bytes are written at one go", largest)
	}
}

type writes func([]byte)

func (w writes) Write(b []byte) (int, error) { w(b); return len(b), nil }
