package cli

import (
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// Commands whose arguments are objects complete them.
func TestEveryCommandCompletesItsObjects(t *testing.T) {
	w := newWorld(t)
	for _, kind := range []string{"Pod", "Service", "Node"} {
		w.server.Put(map[string]any{"apiVersion": "v1", "kind": kind, "metadata": map[string]any{"name": "kubia"}})
	}
	var walk func(path []string, all []*cli.Command)
	walk = func(path []string, all []*cli.Command) {
		for _, c := range all {
			path := append(path[:len(path):len(path)], c.Name)
			walk(path, c.Subcommands)
			if c.Hidden || c.Name == "can-i" /* a word comes first */ || !strings.Contains(c.ArgsUsage, "TYPE") && !strings.Contains(c.ArgsUsage, "POD") {
				continue
			}
			out, errOut, code := w.run(t.Context(), append(append([]string{"__complete"}, path...), "")...)
			if out == "" || code != 0 {
				t.Errorf("%s %s: nothing is completed: %d %s", strings.Join(path, " "), c.ArgsUsage, code, errOut)
			}
		}
	}
	walk(nil, Tree().Commands)
}
