package logs

import (
	"bytes"
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
