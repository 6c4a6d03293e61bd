package up

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"skiff/cli/command"
)

// hints are command lines that are about the same application as this one.
type hints struct {
	// files are the flags that say which it is, each with a space before it.
	files string
}

func (h hints) up() string    { return "skiff up" + h.files }
func (h hints) down() string  { return "skiff down" + h.files }
func (h hints) start() string { return "skiff start" + h.files }
func (h hints) stop() string  { return "skiff stop" + h.files }

// afterStop says what can be done with an application that has been stopped.
func (h hints) afterStop() string {
	all := [][2]string{
		{h.up(), "goes on, and follows the logs"},
		{h.start(), "goes on in the background, with as many replicas as before"},
		{h.down(), "deletes it, and keeps volume claims"},
	}
	width := 0
	for _, c := range all {
		width = max(width, len(c[0]))
	}
	var b strings.Builder
	b.WriteString("Stopped; the objects, volume claims and their data are kept.\n")
	for _, c := range all {
		fmt.Fprintf(&b, "  %s  %s\n", padded(c[0], width), c[1])
	}
	return b.String()
}

// readHints takes down which application a command line is about.
func readHints(c *cli.Context) hints {
	var h hints
	// What the configuration file says, it says to the other commands too.
	for _, name := range []string{"context", "kubeconfig", "namespace", "project", "release"} {
		if c.IsSet(name) {
			h.files += " --" + name + "=" + command.Quoted(c.String(name))
		}
	}
	for _, name := range command.List(c, "filename") {
		h.files += " -f " + command.Quoted(name)
	}
	if dir := c.String("kustomize"); dir != "" {
		h.files += " -k " + command.Quoted(dir)
	}
	if c.Bool("recursive") {
		h.files += " -R"
	}
	for _, name := range []string{"profile", "env-file", "values", "set", "set-string", "set-file"} {
		for _, value := range c.StringSlice(name) {
			h.files += " --" + name + "=" + command.Quoted(value)
		}
	}
	return h
}
