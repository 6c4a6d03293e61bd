package completion

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/compose"
)

// patience is how long whoever pressed the key waits for names.
const patience = 2 * time.Second

// ofProjects are the commands that are about the project of the folder they are typed in.
var ofProjects = []string{
	"exec", "attach", "cp", "debug", "events", "export", "images", "kill", "logs", "open", "port-forward", "ps", "pull", "restart", "start", "stop", "why",
}

// candidate is a word that can stand at the end of the line, and what it is.
type candidate struct{ value, what string }

// Candidates are the hidden commands that the scripts call: with the words of a line, of which the last one,
// maybe empty, is to be completed.
func Candidates(env *command.Env) []*cli.Command {
	hidden := func(name string, more ...string) *cli.Command {
		return &cli.Command{Name: name, Hidden: true, SkipFlagParsing: true, Usage: "Print what a word can be", Description: "Examples:\n  skiff " + name + " get po", Action: func(c *cli.Context) error {
			typed := c.Args().Slice()
			if len(typed) > 0 && typed[0] == "--" { // which args.Normalize puts before all arguments
				typed = typed[1:]
			}
			words := append(joined(typed), more...)
			if len(words) == 0 {
				words = []string{""}
			}
			ctx, cancel := context.WithTimeout(c.Context, patience)
			defer cancel()
			l := &line{app: c.App}
			l.connect = func() (*client.Client, error) {
				if len(l.path) > 0 && slices.Contains(ofProjects, l.path[0]) {
					return compose.Connect(l.context(ctx, c), env)
				}
				return env.Connect(l.context(ctx, c))
			}
			l.contexts = func() ([]string, error) { return contexts(l.given["kubeconfig"]) }
			for _, found := range l.complete(ctx, words) {
				fmt.Fprintf(env.Out, "%s\t%s\n", found.value, firstLine(found.what))
			}
			return nil
		}}
	}
	return []*cli.Command{hidden("__complete"), hidden("__complete-next", "")}
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

// joined puts together what bash takes apart: --name, =, value.
func joined(words []string) []string {
	var out []string
	for i := 0; i < len(words); i++ {
		if words[i] != "=" || len(out) == 0 || !strings.HasPrefix(out[len(out)-1], "--") {
			out = append(out, words[i])
			continue
		}
		if i+1 == len(words) { // nothing yet behind it
			return append(out, "")
		}
	}
	return out
}

// line is a command line as far as it goes.
type line struct {
	app *cli.App
	// connect reaches the cluster that the line is about, contexts lists those of the kubeconfig.
	connect  func() (*client.Client, error)
	contexts func() ([]string, error)

	commands []*cli.Command
	flags    []cli.Flag
	path     []string
	// args are the positional arguments, given the values of flags by their first names.
	args  []string
	given map[string]string
	// bare says that "--" was there: what follows are no flags.
	bare bool
}

// complete reads the words before the last one, and finds what the last one can be.
func (l *line) complete(ctx context.Context, words []string) []candidate {
	l.commands, l.flags, l.given = l.app.Commands, l.app.Flags, map[string]string{}
	current := words[len(words)-1]
	var open cli.Flag // a flag that has no value yet
	for _, word := range words[:len(words)-1] {
		open = l.take(word, open)
	}
	var found []candidate
	switch name, _, hasValue := strings.Cut(current, "="); {
	case open != nil:
		found = l.values(ctx, open)
	case !l.bare && strings.HasPrefix(name, "--") && hasValue:
		if f := l.flag(strings.TrimLeft(name, "-")); f != nil {
			found = l.values(ctx, f)
		}
		for i := range found { // some shells want the whole word
			found[i].value = name + "=" + found[i].value
		}
	case !l.bare && strings.HasPrefix(current, "-"):
		found = l.flagNames()
	default:
		found = append(l.commandNames(), l.arguments(ctx, current)...)
	}
	return slices.DeleteFunc(found, func(c candidate) bool { return !strings.HasPrefix(c.value, current) })
}

// take reads a word, and returns the flag whose value is to follow.
func (l *line) take(word string, open cli.Flag) cli.Flag {
	switch {
	case open != nil:
		l.given[open.Names()[0]] = word
	case l.bare:
		l.args = append(l.args, word)
	case word == "--":
		l.bare = true
	case strings.HasPrefix(word, "-") && word != "-":
		name, value, hasValue := strings.Cut(strings.TrimLeft(word, "-"), "=")
		f := l.flag(name)
		if f != nil && hasValue {
			l.given[f.Names()[0]] = value
		} else if f != nil && takesValue(f) {
			return f
		}
	default:
		l.word(word)
	}
	return nil
}

// word takes a command's name or an argument.
func (l *line) word(word string) {
	for _, c := range l.commands {
		if len(l.args) == 0 && c.HasName(word) {
			l.commands, l.flags, l.path = c.Subcommands, append(slices.Clone(l.flags), c.Flags...), append(l.path, c.Name)
			return
		}
	}
	l.args = append(l.args, word)
}

// flag finds a flag by one of its names; that of the nearest command wins.
func (l *line) flag(name string) cli.Flag {
	for _, f := range slices.Backward(l.flags) {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

func takesValue(f cli.Flag) bool {
	if i, ok := f.(interface{ ImpliedValue() string }); ok && i.ImpliedValue() != "" {
		return false
	}
	d, ok := f.(cli.DocGenerationFlag)
	return ok && d.TakesValue()
}

// flagNames are the flags of the command, with those of all commands behind them.
func (l *line) flagNames() []candidate {
	var out []candidate
	for _, f := range slices.Backward(l.flags) {
		if v, ok := f.(cli.VisibleFlag); ok && !v.IsVisible() {
			continue
		}
		usage := ""
		if d, ok := f.(cli.DocGenerationFlag); ok {
			usage = strings.ReplaceAll(d.GetUsage(), "`", "")
		}
		for _, name := range f.Names() {
			if len(name) > 1 {
				out = append(out, candidate{"--" + name, usage})
			}
		}
	}
	return out
}

func (l *line) commandNames() []candidate {
	if len(l.args) > 0 {
		return nil
	}
	var out []candidate
	for _, c := range l.commands {
		if !c.Hidden {
			out = append(out, candidate{c.Name, c.Usage})
		}
	}
	return out
}
