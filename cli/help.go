package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"
)

// Help is written by hand. The library's own printer runs text/template, which calls methods by
// names that it reads: the linker then keeps every exported method of every type, which makes a
// sixth of the binary. A release is built without that printer; see release/.
func init() {
	cli.HelpPrinter = func(w io.Writer, _ string, of any) { printHelp(w, of) }
}

// printHelp writes the help of an *cli.App or a *cli.Command, in the library's layout.
func printHelp(w io.Writer, of any) {
	t := tabwriter.NewWriter(w, 1, 8, 2, ' ', 0)
	defer t.Flush()
	switch of := of.(type) {
	case *cli.App:
		section(t, "NAME", nameAndUsage(of.HelpName, of.Usage))
		section(t, "USAGE", of.UsageText)
		section(t, "DESCRIPTION", of.Description)
		fmt.Fprint(t, "\nCOMMANDS:\n")
		for _, c := range of.VisibleCategories() {
			fmt.Fprintf(t, "   %s:\n", c.Name())
			for _, c := range c.VisibleCommands() {
				fmt.Fprintf(t, "     %s\t%s\n", strings.Join(c.Names(), ", "), c.Usage)
			}
		}
		options(t, "GLOBAL OPTIONS", of.VisibleFlags())
	case *cli.Command:
		section(t, "NAME", nameAndUsage(of.HelpName, of.Usage))
		section(t, "USAGE", usage(of))
		section(t, "CATEGORY", of.Category)
		section(t, "DESCRIPTION", of.Description)
		subcommands(t, of.VisibleCommands())
		options(t, "OPTIONS", of.VisibleFlags())
	}
}

// section writes a heading and a text below it; nothing when there is no text.
func section(w io.Writer, heading, text string) {
	if text == "" {
		return
	}
	if heading != "NAME" {
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "%s:\n   %s\n", heading, indented(text, 3))
}

// indented sets the lines after the first one off by so many spaces; empty ones stay empty.
func indented(text string, spaces int) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if i > 0 && line != "" {
			lines[i] = strings.Repeat(" ", spaces) + line
		}
	}
	return strings.Join(lines, "\n")
}

func nameAndUsage(name, usage string) string {
	if usage == "" {
		return name
	}
	return name + " - " + usage
}

func usage(c *cli.Command) string {
	if c.UsageText != "" {
		return c.UsageText
	}
	words := []string{c.HelpName}
	if len(c.VisibleFlags()) > 0 {
		words = append(words, "[command options]")
	}
	if c.ArgsUsage != "" {
		words = append(words, c.ArgsUsage)
	}
	return strings.Join(words, " ")
}

func subcommands(w io.Writer, all []*cli.Command) {
	if len(all) == 0 {
		return
	}
	fmt.Fprint(w, "\nCOMMANDS:\n")
	for _, c := range all {
		fmt.Fprintf(w, "   %s\t%s\n", strings.Join(c.Names(), ", "), c.Usage)
	}
}

func options(w io.Writer, heading string, flags []cli.Flag) {
	if len(flags) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s:\n", heading)
	for _, f := range flags {
		fmt.Fprintf(w, "   %s\n", indented(f.String(), 6))
	}
}
