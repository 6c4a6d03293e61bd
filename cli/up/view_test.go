package up

import (
	"bytes"
	"testing"
	"time"

	"skiff/cli/terminal"
)

func pictures() []picture {
	return []picture{
		{lines: []line{{name: "rc/kubia"}}},
		{lines: []line{{name: "rc/kubia", text: "0/2 ready"}, {name: "pod/a", text: "Pending", depth: 1}}},
		{lines: []line{{name: "rc/kubia", text: "0/2 ready"}, {name: "pod/a", text: "Pending", depth: 1}}},
		{lines: []line{{name: "rc/kubia", text: "1/2 ready"}, {name: "pod/a", text: "Running", phase: ready, depth: 1}}},
		{lines: []line{{name: "rc/kubia", text: "2/2 ready", phase: ready}}},
	}
}

func TestPlainViewSaysWhatChanged(t *testing.T) {
	var out bytes.Buffer
	v := newView(terminal.Streams{Err: &out}, noon)
	for _, p := range pictures() {
		v.show(p, noon)
	}
	v.close()
	want := "rc/kubia: 0/2 ready\npod/a: Pending\nrc/kubia: 1/2 ready\npod/a: Running\nrc/kubia: 2/2 ready\n"
	if out.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", out.String(), want)
	}
}

func TestLiveViewRedraws(t *testing.T) {
	var out bytes.Buffer
	at := func(w, h int) terminal.Terminal {
		return terminal.Terminal{Err: true, Size: func() (terminal.Size, bool) { return terminal.Size{Width: w, Height: h}, true }}
	}
	v := newView(terminal.Streams{Err: &out, Terminal: at(60, 20)}, noon)
	for i, p := range pictures()[1:] {
		v.show(p, noon.Add(time.Duration(i)*time.Second))
	}
	want := " ⠙ rc/kubia  0/2 ready 0.0s\n ⠙   pod/a   Pending   0.0s\n" +
		"\r\x1b[2A\x1b[J ⠹ rc/kubia  0/2 ready 1.0s\n ⠹   pod/a   Pending   1.0s\n" +
		"\r\x1b[2A\x1b[J ⠸ rc/kubia  1/2 ready 2.0s\n ✔   pod/a   Running   2.0s\n" +
		"\r\x1b[2A\x1b[J ✔ rc/kubia  2/2 ready 3.0s\n"
	if out.String() != want {
		t.Errorf("got:\n%q\nwant:\n%q", out.String(), want)
	}
	out.Reset()
	v.clear()
	if out.String() != "\r\x1b[1A\x1b[J" {
		t.Errorf("clear wrote %q", out.String())
	}
}

// What does not fit on the screen is counted: a view longer than the screen could not be drawn
// over.
func TestLiveViewFitsTheScreen(t *testing.T) {
	var out bytes.Buffer
	v := newView(terminal.Streams{Err: &out, Terminal: terminal.Terminal{Err: true, Size: func() (terminal.Size, bool) { return terminal.Size{Width: 16, Height: 3}, true }}}, noon)
	var p picture
	for _, n := range []string{"a", "b", "c", "d"} {
		p.lines = append(p.lines, line{name: "pod/" + n, text: "Running for ever and ever", phase: ready})
	}
	v.show(p, noon)
	want := " ✔ pod/a   0.0s\n   … and 3 more\n"
	if out.String() != want {
		t.Errorf("got:\n%q\nwant:\n%q", out.String(), want)
	}
}

// Columns of the terminal are counted, and not bytes: no character is cut apart.
func TestLiveViewCountsColumns(t *testing.T) {
	for _, test := range []struct {
		width int
		want  string
	}{
		{60, " ✔ pod/a  läuft    0.0s\n ✔ pod/b  起動済み 0.0s\n ✔ pod/c  Running  0.0s\n"},
		{19, " ✔ pod/a  läu 0.0s\n ✔ pod/b  起 0.0s\n ✔ pod/c  Run 0.0s\n"},
	} {
		var out bytes.Buffer
		v := newView(terminal.Streams{Err: &out, Terminal: terminal.Terminal{Err: true, Size: func() (terminal.Size, bool) { return terminal.Size{Width: test.width, Height: 9}, true }}}, noon)
		v.show(picture{lines: []line{{name: "pod/a", text: "läuft", phase: ready}, {name: "pod/b", text: "起動済み", phase: ready}, {name: "pod/c", text: "Running", phase: ready}}}, noon)
		if out.String() != test.want {
			t.Errorf("width %d: got:\n%s\nwant:\n%s", test.width, out.String(), test.want)
		}
	}
}
