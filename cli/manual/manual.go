// Package manual makes manual pages, in roff, of the tree of commands: skiff(1), skiff-get(1),
// skiff-rollout-undo(1).
package manual

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"skiff/cli/command"
)

// Page is one manual page of section 1.
type Page struct {
	// Name is "skiff-get".
	Name string
	Roff string
}

// Pages are the pages of a program and of all its commands that are not hidden. version stands at the foot of
// each.
func Pages(app *cli.App, version string) []Page {
	p := page{name: app.Name, version: version}
	p.begin(app.Usage)
	p.section("SYNOPSIS")
	p.line(".B " + escaped(app.Name))
	p.line(".I COMMAND")
	p.line("[flags] [arguments]")
	p.description(app.Description)
	p.commands(app.Name, app.Commands)
	p.options("OPTIONS", app.Flags)
	p.section("ENVIRONMENT")
	p.text("Each option that is named here with a variable takes its value from there when the command line does not give it.")
	p.end(seeAlso(app.Name, app.Commands))
	out := []Page{{p.name, p.String()}}
	for _, c := range visible(app.Commands) {
		out = append(out, pagesOf(c, app.Name, version)...)
	}
	return out
}

func pagesOf(c *cli.Command, parent, version string) []Page {
	p := page{name: parent + "-" + c.Name, version: version}
	typed := strings.ReplaceAll(p.name, "-", " ")
	if strings.Contains(c.Name, "-") { // port-forward
		typed = strings.ReplaceAll(parent, "-", " ") + " " + c.Name
	}
	p.begin(c.Usage)
	p.section("SYNOPSIS")
	p.line(".B " + escaped(typed))
	if len(c.Subcommands) > 0 {
		p.line(".I COMMAND")
	}
	p.line("[flags]")
	if c.ArgsUsage != "" {
		p.line(".I " + escaped(c.ArgsUsage))
	}
	p.description(c.Description)
	p.commands(p.name, c.Subcommands)
	p.options("OPTIONS", c.Flags)
	p.end(append([]string{parent}, seeAlso(p.name, c.Subcommands)...))
	out := []Page{{p.name, p.String()}}
	for _, s := range visible(c.Subcommands) {
		out = append(out, pagesOf(s, p.name, version)...)
	}
	return out
}

func visible(all []*cli.Command) []*cli.Command {
	var out []*cli.Command
	for _, c := range all {
		if !c.Hidden {
			out = append(out, c)
		}
	}
	return out
}

func seeAlso(parent string, commands []*cli.Command) []string {
	var out []string
	for _, c := range visible(commands) {
		out = append(out, parent+"-"+c.Name)
	}
	return out
}

// page is a page being written.
type page struct {
	strings.Builder
	name, version string
}

func (p *page) line(s string) { p.WriteString(s + "\n") }

func (p *page) section(title string) { p.line(".SH " + title) }

// text writes words as they are.
func (p *page) text(s string) {
	for _, l := range strings.Split(s, "\n") {
		p.line(escaped(l))
	}
}

func (p *page) begin(usage string) {
	p.line(fmt.Sprintf(`.TH "%s" 1 "" "skiff %s" "skiff"`, strings.ToUpper(escaped(p.name)), escaped(p.version)))
	p.section("NAME")
	p.line(escaped(p.name) + ` \- ` + escaped(usage))
}

const examples = "Examples:\n"

// description writes a command's text, and the examples at its end as they are typed.
func (p *page) description(s string) {
	said, typed, _ := strings.Cut("\n"+s, "\n"+examples)
	if said = strings.TrimSpace(said); said != "" {
		p.section("DESCRIPTION")
		p.text(said)
	}
	if typed == "" {
		return
	}
	p.section("EXAMPLES")
	p.line(".nf")
	for _, l := range strings.Split(strings.TrimRight(typed, "\n"), "\n") {
		p.line(escaped(strings.TrimPrefix(l, "  ")))
	}
	p.line(".fi")
}

func (p *page) commands(parent string, all []*cli.Command) {
	if len(visible(all)) == 0 {
		return
	}
	p.section("COMMANDS")
	for _, c := range visible(all) {
		p.line(".TP")
		p.line(`\fB` + escaped(parent+"-"+c.Name) + `\fR(1)`)
		p.text(c.Usage)
	}
}

func (p *page) options(title string, flags []cli.Flag) {
	begun := false
	for _, f := range flags {
		d, ok := f.(cli.DocGenerationFlag)
		_, refused := f.(command.Unsupported)
		if v, hides := f.(cli.VisibleFlag); !ok || refused || hides && !v.IsVisible() {
			continue
		}
		if !begun {
			p.section(title)
			begun = true
		}
		p.option(f, d)
	}
}

// placeholder is the value's name in a flag's text, as the library has it.
var placeholder = regexp.MustCompile("`([^`]+)`")

func (p *page) option(f cli.Flag, d cli.DocGenerationFlag) {
	usage, value := d.GetUsage(), "VALUE"
	if m := placeholder.FindStringSubmatch(usage); m != nil {
		value = m[1]
		usage = strings.Replace(usage, m[0], value, 1)
	}
	var names []string
	for _, n := range f.Names() {
		dashes := "--"
		if len(n) == 1 {
			dashes = "-"
		}
		names = append(names, `\fB`+escaped(dashes+n)+`\fR`)
	}
	head := strings.Join(names, ", ")
	if d.TakesValue() {
		head += ` \fI` + escaped(value) + `\fR`
	}
	preset := strings.Trim(cmp.Or(d.GetDefaultText(), d.GetValue()), `"`)
	if d.TakesValue() && !slices.Contains([]string{"", "0", "0s", "[]"}, preset) {
		usage += fmt.Sprintf(" (default: %s)", preset)
	}
	if variables := d.GetEnvVars(); len(variables) > 0 {
		usage += " [$" + strings.Join(variables, ", $") + "]"
	}
	p.line(".TP")
	p.line(head)
	p.text(usage)
}

func (p *page) end(others []string) {
	if len(others) == 0 {
		return
	}
	p.section("SEE ALSO")
	for i, name := range others {
		comma := ","
		if i == len(others)-1 {
			comma = ""
		}
		p.line(fmt.Sprintf(`\fB%s\fR(1)%s`, escaped(name), comma))
	}
}

var roff = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", `\&...`)

// escaped makes a line of text one that roff takes for text.
func escaped(s string) string {
	s = roff.Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}
