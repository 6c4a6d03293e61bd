package diagnosis

import (
	"bytes"
	"testing"

	"skiff/cli/terminal"
)

// At a terminal words are wrapped below each other; commands stay whole, to be copied, and what a message
// would do to the terminal is shown instead.
func TestPrintWrapped(t *testing.T) {
	r := Report{Object: "pod/web", Wrong: true, State: "is not ready: it has seen \x1b[31mred",
		Wanted: []string{"deployment/web made web-1 at 12:00:00"},
		Causes: []string{"one two three four five six seven", "averyveryveryverylongwordthatfitsnowhere"},
		Log:    &Log{Container: "main", Lines: []string{"no disk"}},
		Do:     []string{"skiff patch deployment web -p '{\"spec\":{\"strategy\":{\"type\":\"Recreate\"}}}'"},
		Below:  []Report{{Object: "pod/b", State: "is ready"}}}
	var out bytes.Buffer
	Printer{Out: &out, Width: 40, Style: terminal.Terminal{}.Style(&out)}.Print(&r)
	const want = `pod/web is not ready: it has seen
  ^[[31mred
  wanted  deployment/web made web-1 at
          12:00:00
  cause   one two three four five six
          seven
          averyveryveryverylongwordthatf
          itsnowhere
  log     main | no disk
  do      skiff patch deployment web -p '{"spec":{"strategy":{"type":"Recreate"}}}'
  pod/b is ready
`
	if got := out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestExitMeaning(t *testing.T) {
	for code, want := range map[int32]string{0: "", 1: "", 3: "", 126: "a command was found but can not be executed", 127: "a command was not found",
		137: "signal SIGKILL: it was killed", 139: "signal SIGSEGV: it used memory that is not its own, a fault of the program", 170: "signal 42 ended it", 255: "its exit status was out of range, -1 as a rule"} {
		if got := ExitMeaning(code); got != want {
			t.Errorf("%d: %q, want %q", code, got, want)
		}
	}
}
