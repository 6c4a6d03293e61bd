package gobuild

import (
	"strings"
	"testing"
	"time"
)

// TestProgress shows a build after its second package, and again after a complaint and a third.
func TestProgress(t *testing.T) {
	for _, test := range []struct {
		live bool
		want string
	}{
		{false, "  2 packages compiled in 30s\n# skiff/cli\ncli/cli.go:1:2: undefined: x\n  3 packages compiled in 1m5s\n"},
		{true, "  2 packages compiled in 30s\r\x1b[K# skiff/cli\ncli/cli.go:1:2: undefined: x\n  3 packages compiled in 1m5s\r\x1b[K"},
	} {
		var out strings.Builder
		began := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
		p := &progress{out: &out, began: began, live: test.live}
		p.line("internal/abi")
		p.line("k8s.io/api/core/v1")
		p.show(began.Add(30 * time.Second))
		p.line("# skiff/cli")
		p.line("cli/cli.go:1:2: undefined: x")
		p.line("skiff/cli")
		p.show(began.Add(65 * time.Second))
		p.follow(strings.NewReader("skiff\n"), nil)
		if out.String() != test.want {
			t.Errorf("live %t: %q, want %q", test.live, out.String(), test.want)
		}
		if p.compiled != 4 {
			t.Errorf("%d packages, want 4", p.compiled)
		}
	}
}
