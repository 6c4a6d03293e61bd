package plugin

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"skiff/cli/command"
	"skiff/cli/terminal"
)

// programs makes two folders of programs, and an environment with both on its path.
func programs(t *testing.T) (env *command.Env, out, errOut *bytes.Buffer, dirs [2]string) {
	t.Helper()
	for i, files := range []map[string]os.FileMode{
		{"kubectl-foo": 0o755, "kubectl-foo-bar": 0o755, "skiff-foo": 0o755, "kubectl-no_exec": 0o644, "kubectl-a_b": 0o755, "other": 0o755},
		{"kubectl-foo": 0o755, "kubectl-get": 0o755, "kubectl-no_exec": 0o755},
	} {
		dirs[i] = t.TempDir()
		for name, mode := range files {
			script := "#!/bin/sh\necho " + name + " \"$@\" $KUBECONFIG\nexit 3\n"
			if err := os.WriteFile(filepath.Join(dirs[i], name), []byte(script), mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	vars := map[string]string{"PATH": dirs[0] + "::/nonexistent:" + dirs[1] + ":" + dirs[0], "XDG_STATE_HOME": t.TempDir()}
	out, errOut = &bytes.Buffer{}, &bytes.Buffer{}
	env = &command.Env{Streams: terminal.Streams{In: strings.NewReader(""), Out: out, Err: errOut},
		Lookup:  func(name string) (string, bool) { v, ok := vars[name]; return v, ok },
		Environ: func() []string { return []string{"PATH=" + vars["PATH"], "KUBECONFIG=mine"} }}
	return env, out, errOut, dirs
}

var own = []*cli.Command{{Name: "get"}, {Name: "config", Aliases: []string{"cfg"}}}

func TestFind(t *testing.T) {
	env, _, _, dirs := programs(t)
	for line, want := range map[string]string{
		"foo":           dirs[0] + "/skiff-foo ",
		"foo x -y":      dirs[0] + "/skiff-foo x -y",
		"foo bar baz":   dirs[0] + "/kubectl-foo-bar baz",
		"foo -x bar":    dirs[0] + "/skiff-foo -x bar",
		"foo --x":       dirs[0] + "/skiff-foo --x",
		"a-b":           dirs[0] + "/kubectl-a_b ",
		"no-exec":       dirs[1] + "/kubectl-no_exec ",
		"get pods":      "",
		"cfg":           "",
		"help foo":      "",
		"-x foo":        "",
		"other":         "",
		"":              "",
		"../foo":        "",
		"foo ./bar":     dirs[0] + "/skiff-foo ./bar",
		"nothing known": "",
	} {
		p, ok := Find(env, own, strings.Fields(line))
		got := ""
		if ok {
			got = p.path + " " + strings.Join(p.args, " ")
		}
		if got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

// A plugin has the caller's streams, its own exit code, and the kubeconfig of skiff's daemon if there is one.
func TestRun(t *testing.T) {
	env, out, _, _ := programs(t)
	run := func() string {
		t.Helper()
		out.Reset()
		p, ok := Find(env, own, []string{"foo", "bar", "-x", "a b"})
		if !ok {
			t.Fatal("not found")
		}
		var exit command.Exit
		if err := p.Run(t.Context()); !errors.As(err, &exit) || exit.Code != 3 {
			t.Errorf("ended with %v", err)
		}
		return out.String()
	}
	if got := run(); got != "kubectl-foo-bar -x a b mine\n" {
		t.Errorf("printed %q", got)
	}
	state := env.Getenv("XDG_STATE_HOME") + "/skiff"
	if err := errors.Join(os.MkdirAll(state, 0o755), os.WriteFile(state+"/kubeconfig", nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if got := run(); got != "kubectl-foo-bar -x a b "+state+"/kubeconfig\n" {
		t.Errorf("printed %q", got)
	}
}

func TestList(t *testing.T) {
	env, out, errOut, dirs := programs(t)
	err := list(env, own, true)
	if err == nil || err.Error() != "4 plugin warnings were found" {
		t.Errorf("ended with %v", err)
	}
	if got := strings.Join(strings.Fields(out.String())[6:], " "); got != "kubectl-a_b kubectl-foo kubectl-foo-bar kubectl-no_exec skiff-foo kubectl-foo kubectl-get kubectl-no_exec" {
		t.Errorf("printed %q", out.String())
	}
	for _, want := range []string{
		dirs[0] + "/kubectl-no_exec identified as a kubectl plugin, but it is not executable\n",
		dirs[1] + "/kubectl-foo is overshadowed by a similarly named plugin: " + dirs[0] + "/kubectl-foo\n",
		`kubectl-get overwrites existing command: "skiff get"`,
		`Unable to read directory "/nonexistent" from your PATH`,
	} {
		if !strings.Contains(errOut.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, errOut)
		}
	}
	env.Lookup = func(string) (string, bool) { return "", false }
	if err := list(env, own, false); err == nil || !strings.Contains(err.Error(), "unable to find any kubectl plugins") {
		t.Errorf("without a path: %v", err)
	}
}
