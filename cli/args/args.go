// Package args accepts arguments the way kubectl does. urfave/cli stops looking for flags at the
// first positional argument and does not know bundles (-it), values joined to a short flag (-oyaml)
// or optional values (--cascade). Normalize rewrites the one form into the other, guided by the
// commands' own flag definitions.
package args

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/xrash/smetrics"
)

// Implied is a flag whose value is optional, such as --cascade and --dry-run.
type Implied interface {
	cli.Flag
	// ImpliedValue is the value of the flag when it stands alone.
	ImpliedValue() string
}

// Line is a command line in the form urfave/cli parses.
type Line struct {
	// Args start with the program's name; flags come before positional arguments and all of them as
	// --name=value.
	Args []string
	// Dash is how many positional arguments stood before "--"; -1 when there was none.
	Dash int
}

// Error is a mistake on the command line: the message, and the command whose help explains it.
type Error struct{ Message, Command string }

func (e *Error) Error() string { return e.Message + "\nSee '" + e.Command + " --help' for usage." }

const completion = "--generate-bash-completion"

// Normalize rewrites argv (argv[0] is the program) for app. It fails with an *Error for an unknown
// command, an unknown flag and a flag without its value.
func Normalize(app *cli.App, argv []string) (Line, error) {
	if len(argv) == 0 || slices.Contains(argv, completion) {
		return Line{Args: argv, Dash: -1}, nil
	}
	p := &parser{line: Line{Dash: -1}, path: []level{{name: app.Name, commands: app.Commands, flags: app.Flags}}}
	if err := p.parse(argv[1:]); err != nil {
		return Line{}, err
	}
	return p.finish(argv[0])
}

// level is one command on the chosen path, with the flags given to it, already rewritten.
type level struct {
	name     string
	commands []*cli.Command
	flags    []cli.Flag
	given    []string
	// plain means that the command takes whatever follows it unchanged.
	plain bool
}

type parser struct {
	line       Line
	path       []level
	positional []string
	// early are flags that stood before the command they belong to.
	early []early
	// help means that help was asked for, topic that the word help did, not a flag.
	help, topic bool
}

type early struct{ name, written, value string }

func (p *parser) parse(argv []string) error {
	for len(argv) > 0 {
		arg := argv[0]
		argv = argv[1:]
		var err error
		switch {
		case p.path[len(p.path)-1].plain:
			p.positional = append(p.positional, arg)
		case arg == "--":
			p.line.Dash = len(p.positional)
			p.positional = append(p.positional, argv...)
			return nil
		case strings.HasPrefix(arg, "--"):
			argv, err = p.long(arg[2:], argv)
		case len(arg) > 1 && arg[0] == '-':
			argv, err = p.short(arg, argv)
		default:
			p.word(arg)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// word takes a command's name or a positional argument.
func (p *parser) word(arg string) {
	last := p.path[len(p.path)-1]
	if len(p.positional) == 0 {
		if len(p.path) == 1 && arg == "help" {
			p.help, p.topic = true, true
			return
		}
		for _, c := range last.commands {
			if c.HasName(arg) {
				p.path = append(p.path, level{name: c.Name, commands: c.Subcommands, flags: c.Flags, plain: c.SkipFlagParsing})
				return
			}
		}
	}
	p.positional = append(p.positional, arg)
}

// long takes --name, --name=value or --name value.
func (p *parser) long(arg string, rest []string) ([]string, error) {
	name, value, given := strings.Cut(arg, "=")
	flag := p.find(name)
	switch {
	case name == "help" && flag == nil:
		p.help = true
		return rest, nil
	case flag == nil || len(name) == 1:
		return nil, p.fail("unknown flag: --%s", name)
	case given:
	case implied(flag) != "":
		value = implied(flag)
	case len(rest) == 0:
		return nil, p.fail("flag needs an argument: --%s", name)
	default:
		value, rest = rest[0], rest[1:]
	}
	p.give(name, "--"+name, value)
	return rest, nil
}

// short takes -x, a bundle -xyz, and -xvalue, -x=value or -x value for the last of a bundle.
func (p *parser) short(arg string, rest []string) ([]string, error) {
	letters := arg[1:]
	for letters != "" {
		name := letters[:1]
		letters = letters[1:]
		flag := p.find(name)
		switch {
		case name == "h" && flag == nil:
			p.help = true
			continue
		case flag == nil:
			return nil, p.fail("unknown shorthand flag: '%s' in %s", name, arg)
		case strings.HasPrefix(letters, "="):
			p.give(name, "-"+name, letters[1:])
			return rest, nil
		case implied(flag) != "":
			p.give(name, "-"+name, implied(flag))
			continue
		case letters != "":
			p.give(name, "-"+name, letters)
			return rest, nil
		case len(rest) == 0:
			return nil, p.fail("flag needs an argument: '%s' in %s", name, arg)
		}
		p.give(name, "-"+name, rest[0])
		return rest[1:], nil
	}
	return rest, nil
}

// find looks for a flag in the chosen commands, the nearest first, and then in those that may still
// be chosen.
func (p *parser) find(name string) cli.Flag {
	for i := len(p.path) - 1; i >= 0; i-- {
		if f := named(p.path[i].flags, name); f != nil {
			return f
		}
	}
	return below(p.path[len(p.path)-1].commands, name)
}

func below(commands []*cli.Command, name string) cli.Flag {
	for _, c := range commands {
		if f := named(c.Flags, name); f != nil {
			return f
		}
		if f := below(c.Subcommands, name); f != nil {
			return f
		}
	}
	return nil
}

func named(flags []cli.Flag, name string) cli.Flag {
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

// implied is what a flag means when it stands without a value; "" when it must have one.
func implied(f cli.Flag) string {
	if i, ok := f.(Implied); ok {
		return i.ImpliedValue()
	}
	if d, ok := f.(cli.DocGenerationFlag); ok && !d.TakesValue() {
		return "true"
	}
	return ""
}

func (p *parser) give(name, written, value string) {
	p.early = append(p.early, early{name: name, written: written, value: value})
}

// finish assigns the flags to the commands they belong to, now that all commands are known.
func (p *parser) finish(program string) (Line, error) {
	if err := p.checkCommand(); err != nil {
		return Line{}, err
	}
	for _, e := range p.early {
		if !p.settle(e) {
			if len(e.name) == 1 {
				return Line{}, p.fail("unknown shorthand flag: '%s' in %s", e.name, e.written)
			}
			return Line{}, p.fail("unknown flag: --%s", e.name)
		}
	}
	out := []string{program}
	for i, l := range p.path {
		if i > 0 {
			out = append(out, l.name)
		}
		out = append(out, l.given...)
	}
	if p.help {
		p.line.Args = append(out, "--help")
		return p.line, nil
	}
	if len(p.positional) > 0 {
		out = append(append(out, "--"), p.positional...)
	}
	p.line.Args = out
	return p.line, nil
}

// checkCommand refuses a word that is neither a command nor a possible argument of one.
func (p *parser) checkCommand() error {
	last := p.path[len(p.path)-1]
	switch {
	case len(p.positional) == 0:
		return nil
	case p.topic && (len(p.path) == 1 || len(last.commands) > 0):
		return &Error{Message: fmt.Sprintf("unknown help topic %q%s", p.positional[0], suggestion(last.commands, p.positional[0])), Command: p.command()}
	case len(p.path) > 1:
		return nil
	}
	return &Error{Message: fmt.Sprintf("unknown command %q for %q%s", p.positional[0], last.name, suggestion(last.commands, p.positional[0])), Command: last.name}
}

// maxEdits is how many edits a suggested command may be away from what was typed; swapped letters
// count as two.
const maxEdits = 2

// otherwise are the words of docker and kubectl for what is done in another way here.
var otherwise = map[string]string{
	"rm":    "skiff delete removes objects, skiff down a whole application",
	"build": "skiff up --build builds the images of a compose file",
	"top":   "there are no metrics yet: docker stats shows what containers use",
}

// suggestion names the commands that a mistyped one may stand for, in kubectl's words, or what a word of
// other programs is here.
func suggestion(commands []*cli.Command, typed string) string {
	if word := otherwise[typed]; word != "" {
		return ": " + word
	}
	var near []string
	for _, c := range commands {
		if !c.Hidden && (smetrics.WagnerFischer(typed, c.Name, 1, 1, 1) <= maxEdits || strings.HasPrefix(c.Name, typed)) {
			near = append(near, "\t"+c.Name)
		}
	}
	if len(near) == 0 {
		return ""
	}
	return "\n\nDid you mean this?\n" + strings.Join(near, "\n") + "\n"
}

func (p *parser) settle(e early) bool {
	for i := len(p.path) - 1; i >= 0; i-- {
		if f := named(p.path[i].flags, e.name); f != nil {
			p.path[i].given = append(p.path[i].given, "--"+f.Names()[0]+"="+e.value)
			return true
		}
	}
	return false
}

// fail says what is wrong with a flag. Where the command itself is unknown, so are its flags, and
// the message says that instead.
func (p *parser) fail(format string, a ...any) error {
	if err := p.checkCommand(); err != nil {
		return err
	}
	return &Error{Message: fmt.Sprintf(format, a...), Command: p.command()}
}

// command is the chosen command, with those it belongs to.
func (p *parser) command() string {
	names := make([]string, len(p.path))
	for i, l := range p.path {
		names[i] = l.name
	}
	return strings.Join(names, " ")
}
