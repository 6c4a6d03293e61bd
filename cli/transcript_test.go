package cli

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/runtime/schema"
	testingclock "k8s.io/utils/clock/testing"

	"skiff/cli/clitest"
	"skiff/cli/command"
	"skiff/cli/resource"
	"skiff/cli/terminal"
)

var update = flag.Bool("update", false, "write the transcripts anew")

func TestMain(m *testing.M) {
	flag.Parse()
	time.Local = time.UTC // times are printed as they are where one is
	goleak.VerifyTestMain(m)
}

// TestTranscripts runs the sessions in testdata/*.txt: lines that begin with "$ " are command
// lines, and below each stands what it printed: data as it is, what went to stderr after "! ", and
// an exit code other than 0 in brackets. Lines that begin with "@" change the world: "@put FILE"
// stores objects as a controller would, "@stdin FILE" is what commands read from standard input,
// "@step DURATION" lets time pass, "@serve GROUP/VERSION KIND RESOURCE" adds a kind, of the cluster
// unless "namespaced" follows.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Chdir(filepath.Join(root, "testdata", "manifests"))
			path := filepath.Join(root, file)
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := newWorld(t).replay(t, string(want))
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("the session went otherwise (run with -update after making sure):\n%s", difference(string(want), got))
			}
		})
	}
}

// world is a server, a time and the environment of commands.
type world struct {
	server *clitest.Server
	clock  *testingclock.FakeClock
	env    map[string]string
	stdin  string
}

func newWorld(t *testing.T) *world {
	clk := testingclock.NewFakeClock(time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC))
	return &world{server: clitest.New(t, clk), clock: clk, env: map[string]string{"XDG_STATE_HOME": t.TempDir()}}
}

// run runs one command line against the world's server.
func (w *world) run(ctx context.Context, argv ...string) (stdout, stderr string, code int) {
	var out, errOut bytes.Buffer
	env := &command.Env{Streams: terminal.Streams{In: strings.NewReader(w.stdin), Out: &out, Err: &errOut}, Clock: w.clock, Dash: -1,
		Lookup: func(k string) (string, bool) { v, ok := w.env[k]; return v, ok }}
	code = run(ctx, env, append([]string{"skiff", "--server=" + w.server.URL}, argv...), Server{})
	return out.String(), errOut.String(), code
}

func (w *world) replay(t *testing.T, script string) string {
	var got strings.Builder
	for _, l := range strings.Split(strings.TrimSuffix(script, "\n"), "\n") {
		switch {
		case strings.HasPrefix(l, "$ "):
			fmt.Fprintln(&got, l)
			got.WriteString(w.step(t, l[2:]))
		case strings.HasPrefix(l, "@"):
			fmt.Fprintln(&got, l)
			w.event(t, strings.Fields(l[1:]))
		case strings.HasPrefix(l, "#"):
			fmt.Fprintln(&got, l)
		}
	}
	return got.String()
}

func (w *world) step(t *testing.T, line string) string {
	out, errOut, code := w.run(t.Context(), words(line)...)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	out, errOut = strings.ReplaceAll(out, here, "HERE"), strings.ReplaceAll(errOut, w.server.URL, "http://SERVER")
	var b strings.Builder
	b.WriteString(out)
	if out != "" && !strings.HasSuffix(out, "\n") {
		b.WriteString("\\\n")
	}
	for _, l := range strings.SplitAfter(errOut, "\n") {
		if l != "" {
			b.WriteString("! " + strings.TrimSuffix(l, "\n") + "\n")
		}
	}
	if code != 0 {
		fmt.Fprintf(&b, "[%d]\n", code)
	}
	return b.String()
}

func (w *world) event(t *testing.T, args []string) {
	switch args[0] {
	case "put":
		all, err := resource.Reader{HTTP: http.DefaultClient}.Read(t.Context(), resource.Files{Names: args[1:]})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range all {
			w.server.Put(m.Object.Object)
		}
	case "step":
		d, err := time.ParseDuration(args[1])
		if err != nil {
			t.Fatal(err)
		}
		w.clock.Step(d)
	case "version":
		w.server.Version = args[1]
	case "warn":
		w.server.Warn = strings.Join(args[1:], " ")
	case "log":
		w.server.Logs[args[1]] = strings.Join(args[2:], " ") + "\n"
	case "stdin":
		text, err := os.ReadFile(args[1])
		if err != nil {
			t.Fatal(err)
		}
		w.stdin = string(text)
	case "serve":
		gv, err := schema.ParseGroupVersion(args[1])
		if err != nil {
			t.Fatal(err)
		}
		w.server.Serve(clitest.Kind{GroupVersionKind: gv.WithKind(args[2]), Resource: args[3], Cluster: len(args) == 4})
	case "env":
		k, v, _ := strings.Cut(args[1], "=")
		w.env[k] = v
	default:
		t.Fatalf("unknown event %q", args)
	}
}

// words splits a line at spaces outside of single quotes.
func words(line string) []string {
	var out []string
	var b strings.Builder
	quoted, begun := false, false
	for _, r := range line {
		switch {
		case r == '\'':
			quoted, begun = !quoted, true
		case r == ' ' && !quoted:
			if begun {
				out = append(out, b.String())
			}
			b.Reset()
			begun = false
		default:
			b.WriteRune(r)
			begun = true
		}
	}
	if begun {
		out = append(out, b.String())
	}
	return out
}

// difference shows the first lines that differ, with the command they belong to.
func difference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	command := ""
	for i := range max(len(a), len(b)) {
		x, y := at(a, i), at(b, i)
		if x != y {
			return fmt.Sprintf("after %q\nwant: %s\ngot:  %s", command, strings.Join(a[min(i, len(a)):min(i+6, len(a))], "\n      "), strings.Join(b[min(i, len(b)):min(i+6, len(b))], "\n      "))
		}
		if strings.HasPrefix(x, "$ ") {
			command = x
		}
	}
	return ""
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(end)"
}
