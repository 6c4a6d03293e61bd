// Package plugin finds and runs commands that are programs of their own: kubectl's plugins, and skiff's.
package plugin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"skiff/cli/command"
	"skiff/daemon/datadir"
)

// prefixes are what plugins' names begin with; skiff's own are looked for first.
var prefixes = []string{"skiff", "kubectl"}

// Plugin is a program with its arguments.
type Plugin struct {
	env  *command.Env
	path string
	args []string
}

// Find looks for the plugin that a command line means: "foo bar baz" is skiff-foo-bar with the argument
// baz, or kubectl-foo-bar, or skiff-foo or kubectl-foo with both arguments. A command of skiff's own is
// never a plugin.
func Find(env *command.Env, own []*cli.Command, args []string) (*Plugin, bool) {
	words := leading(args)
	if len(words) == 0 || words[0] == "help" || slices.ContainsFunc(own, func(c *cli.Command) bool { return c.HasName(words[0]) }) {
		return nil, false
	}
	for n := len(words); n > 0; n-- {
		for _, prefix := range prefixes {
			name := prefix
			for _, word := range words[:n] {
				name += "-" + strings.ReplaceAll(word, "-", "_")
			}
			if path := lookUp(env, name); path != "" {
				return &Plugin{env: env, path: path, args: args[n:]}, true
			}
		}
	}
	return nil, false
}

// leading are the words before the first flag.
func leading(args []string) []string {
	for i, arg := range args {
		if strings.HasPrefix(arg, "-") || strings.ContainsRune(arg, filepath.Separator) {
			return args[:i]
		}
	}
	return args
}

// lookUp finds a program on the path of the environment, "" if there is none.
func lookUp(env *command.Env, name string) string {
	for _, dir := range filepath.SplitList(env.Getenv("PATH")) {
		path := filepath.Join(dir, name)
		if dir != "" && executable(path) {
			return path
		}
	}
	return ""
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir() && info.Mode()&0o111 != 0
}

// goodbye is how long a plugin has to end after an interrupt.
const goodbye = 5 * time.Second

// Run runs the plugin; its exit code becomes the program's. Plugins read the usual kubeconfig: where there
// is a daemon of skiff's, it is that one's, as for skiff's own commands.
func (p *Plugin) Run(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, p.path, p.args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.env.In, p.env.Out, p.env.Err
	cmd.Env = p.environment()
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = goodbye
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &exit):
		return command.Exit{Code: max(exit.ExitCode(), 1)}
	case err != nil:
		return fmt.Errorf("running the plugin %s: %w", p.path, err)
	}
	return nil
}

func (p *Plugin) environment() []string {
	env := p.env.Variables()
	dir, err := datadir.Find("", p.env.Lookup)
	if err != nil {
		return env
	}
	if _, err := os.Stat(dir.Kubeconfig()); err != nil {
		return env
	}
	return append(slices.Clone(env), "KUBECONFIG="+dir.Kubeconfig())
}
