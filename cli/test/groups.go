package test

import (
	"crypto/rand"
	"fmt"
	"io"
	"strings"

	"skiff/cli/command"
	"skiff/cli/report"
)

// groups folds output where the CI server can: GitHub's ::group:: and GitLab's sections. Elsewhere it
// writes nothing.
type groups struct {
	out    io.Writer
	now    func() int64
	github bool
	gitlab bool
	open   string
}

func newGroups(env *command.Env) groups {
	return groups{out: env.Err, now: func() int64 { return env.Now().Unix() }, github: env.Getenv("GITHUB_ACTIONS") == "true", gitlab: env.Getenv("GITLAB_CI") == "true"}
}

func (g *groups) folds() bool { return g.github || g.gitlab }

func (g *groups) begin(title string) {
	switch {
	case g.github:
		fmt.Fprintf(g.out, "::group::%s\n", title)
	case g.gitlab:
		g.open = strings.Map(func(c rune) rune {
			if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
				return c
			}
			return '_'
		}, strings.ToLower(title))
		fmt.Fprintf(g.out, "\x1b[0Ksection_start:%d:%s[collapsed=true]\r\x1b[0K%s\n", g.now(), g.open, title)
	}
}

func (g *groups) end() {
	switch {
	case g.github:
		fmt.Fprintln(g.out, "::endgroup::")
	case g.gitlab:
		fmt.Fprintf(g.out, "\x1b[0Ksection_end:%d:%s\r\x1b[0K\n", g.now(), g.open)
	}
}

// mostShown is how much of a log is shown in a group.
const mostShown = 16 << 10

// logs shows the end of each container's log in a group of its own.
func (g *groups) logs(r *report.Report) {
	if !g.folds() {
		return
	}
	for _, p := range r.Pods {
		for _, c := range p.Containers {
			if c.Log == "" {
				continue
			}
			g.begin(fmt.Sprintf("log of pod/%s %s", p.Name, c.Name))
			g.foreign(c.Log[max(0, len(c.Log)-mostShown):])
			g.end()
		}
	}
}

// foreign writes a text of somebody else's, which must not speak to the CI server: GitHub is told to take
// no commands from it, and what begins GitLab's is taken out.
func (g *groups) foreign(text string) {
	token := rand.Text()
	if g.github {
		fmt.Fprintf(g.out, "::stop-commands::%s\n", token)
	}
	text = strings.NewReplacer("\r", "", "\x1b", "").Replace(text)
	for line := range strings.Lines(text) {
		fmt.Fprintf(g.out, "| %s\n", strings.TrimRight(line, "\n"))
	}
	if g.github {
		fmt.Fprintf(g.out, "::%s::\n", token)
	}
}
