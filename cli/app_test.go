package cli

import (
	"os"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"skiff/cli/command"
)

// Every command says what it does and shows how, and none has two flags of one name.
func TestEveryCommandHasHelp(t *testing.T) {
	var check func(path string, all []*cli.Command)
	check = func(path string, all []*cli.Command) {
		for _, c := range all {
			name := path + " " + c.Name
			if c.Usage == "" || !strings.Contains(c.Description, "Examples:\n  skiff ") && !strings.Contains(c.Description, "Examples:\n  cat ") && !strings.Contains(c.Description, "Examples:\n  source ") {
				t.Errorf("%s: no usage or no example", name)
			}
			seen := map[string]bool{}
			for _, f := range c.Flags {
				for _, n := range f.Names() {
					if seen[n] {
						t.Errorf("%s: two flags are called %s", name, n)
					}
					seen[n] = true
				}
				if d, ok := f.(cli.DocGenerationFlag); !ok || d.GetUsage() == "" && !hidden(f) {
					t.Errorf("%s: nothing is said about --%s", name, f.Names()[0])
				}
			}
			check(name, c.Subcommands)
		}
	}
	check("skiff", commands(&command.Env{}, Server{}))
}

func hidden(f cli.Flag) bool {
	v, ok := f.(cli.VisibleFlag)
	return ok && !v.IsVisible()
}

// Help goes to stdout, whatever else stands on the line, and is no failure.
func TestHelp(t *testing.T) {
	w := newWorld(t)
	for _, line := range [][]string{{"--help"}, {"help"}, {"get", "--help"}, {"get", "pods", "-o", "wide", "-h"}, {"help", "get"}, {"create", "secret", "generic", "--help"}, {"auth"}, {}} {
		out, errOut, code := w.run(t.Context(), line...)
		if !strings.HasPrefix(out, "NAME:\n   skiff") || errOut != "" || code != 0 {
			t.Errorf("%q: exit code %d, stderr %q, stdout %.60q", line, code, errOut, out)
		}
	}
}

// The shell is answered with commands, and with flags after a dash.
func TestCompletion(t *testing.T) {
	w := newWorld(t)
	own := os.Args
	t.Cleanup(func() { os.Args = own })
	for argv, want := range map[string]string{"--generate-bash-completion": "get", "config --generate-bash-completion": "use-context", "get --out --generate-bash-completion": "--output"} {
		os.Args = append([]string{"skiff"}, strings.Fields(argv)...) // urfave/cli looks at the process's own
		out, _, _ := w.run(t.Context(), strings.Fields(argv)...)
		if !strings.Contains(out, want) {
			t.Errorf("%q: %q is missing in %q", argv, want, out)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if out, errOut, code := w.run(t.Context(), "completion", shell); code != 0 || !strings.Contains(out, "skiff") {
			t.Errorf("%s: %q %q", shell, out, errOut)
		}
	}
}

// The scripts ask with the words of a line, empty ones and flags among them.
func TestCompletionByWords(t *testing.T) {
	manifests(t)
	w := newWorld(t)
	w.event(t, []string{"put", "pods.yaml"})
	for _, test := range []struct {
		words []string
		want  string
	}{
		{[]string{"__complete", "rollo"}, "rollout\tManage the rollout of a deployment, daemon set or stateful set\n"},
		{[]string{"__complete", "get", "-n", "default", "pods", "kubia-d"}, "kubia-dssvz\tPod\n"},
		{[]string{"__complete-next", "completion"}, "bash\t\nzsh\t\nfish\t\npowershell\t\n"},
		{[]string{"__complete", "get", "--show-l"}, "--show-labels\tshow all labels in the last column\n"},
		{[]string{"__complete", "up", "-f", ""}, ""},
	} {
		out, _, code := w.run(t.Context(), test.words...)
		if out != test.want || code != 0 {
			t.Errorf("%q: %q, exit code %d; want %q", test.words, out, code, test.want)
		}
	}
}
