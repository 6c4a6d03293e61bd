package plugin

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"skiff/cli/command"
)

// Command is skiff plugin; own returns skiff's own commands, which plugins can not replace.
func Command(env *command.Env, own func() []*cli.Command) *cli.Command {
	return command.New(cli.Command{
		Name: "plugin", Usage: "Commands that are programs of their own: skiff-NAME and kubectl-NAME on the path", Subcommands: []*cli.Command{
			command.New(cli.Command{
				Name: "list", Usage: "List the plugins on the path",
				Flags:  []cli.Flag{&cli.BoolFlag{Name: "name-only", Usage: "print names instead of paths"}},
				Action: func(c *cli.Context) error { return list(env, own(), c.Bool("name-only")) },
			}, "skiff plugin list"),
		},
	}, "skiff plugin list", "skiff foo bar          # runs skiff-foo-bar or kubectl-foo-bar, if there is one")
}

// list prints the plugins, and below each what keeps it from being run.
func list(env *command.Env, own []*cli.Command, names bool) error {
	all := find(env)
	if len(all) == 0 {
		return errors.New("unable to find any kubectl plugins in your PATH")
	}
	fmt.Fprint(env.Out, "The following compatible plugins are available:\n\n")
	warnings := 0
	seen := map[string]string{}
	for _, path := range all {
		name := filepath.Base(path)
		if names {
			fmt.Fprintln(env.Out, name)
		} else {
			fmt.Fprintln(env.Out, path)
		}
		for _, warning := range trouble(path, seen[name], own) {
			fmt.Fprintf(env.Err, "  - warning: %s\n", warning)
			warnings++
		}
		if seen[name] == "" {
			seen[name] = path
		}
	}
	switch warnings {
	case 0:
		return nil
	case 1:
		return errors.New("one plugin warning was found")
	}
	return fmt.Errorf("%d plugin warnings were found", warnings)
}

// find returns the plugins on the path, in its order.
func find(env *command.Env) []string {
	var out, dirs []string
	for _, dir := range filepath.SplitList(env.Getenv("PATH")) {
		if strings.TrimSpace(dir) == "" || slices.Contains(dirs, dir) {
			continue
		}
		dirs = append(dirs, dir)
		entries, err := os.ReadDir(dir)
		if err != nil {
			fmt.Fprintf(env.Err, "Unable to read directory %q from your PATH: %v. Skipping...\n", dir, err)
			continue
		}
		for _, e := range entries {
			if !e.IsDir() && slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(e.Name(), prefix+"-") }) {
				out = append(out, filepath.Join(dir, e.Name()))
			}
		}
	}
	return out
}

// trouble says what keeps a plugin from being run; before is an earlier one of the same name.
func trouble(path, before string, own []*cli.Command) []string {
	var out []string
	if !executable(path) {
		out = append(out, path+" identified as a kubectl plugin, but it is not executable")
	}
	if before != "" {
		out = append(out, fmt.Sprintf("%s is overshadowed by a similarly named plugin: %s", path, before))
	}
	name := filepath.Base(path)
	word := strings.Split(name, "-")[1]
	if slices.ContainsFunc(own, func(c *cli.Command) bool { return c.HasName(strings.ReplaceAll(word, "_", "-")) }) {
		out = append(out, fmt.Sprintf("%s overwrites existing command: %q", name, "skiff "+strings.ReplaceAll(word, "_", "-")))
	}
	return out
}
