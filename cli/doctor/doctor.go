// Package doctor looks at everything that skiff needs on a machine, and says what is wrong with it and by
// which command it is mended: skiff doctor.
package doctor

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/urfave/cli/v2"

	"skiff/cli/command"
)

// Command is skiff doctor.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "doctor", Usage: "Look for what is wrong with this machine, the engine and the daemon, and say how to mend it",
		Description: "It needs neither a daemon nor an engine, and changes nothing. The exit code is 0 when there is no fault, and 1 otherwise;\n" +
			"warnings do not count.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "engine", Usage: "`ADDRESS` of the Docker Engine (default: DOCKER_HOST, then the current Docker context)"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`FORMAT` of the output: json"},
		},
		Action: func(c *cli.Context) error { return run(c, env) },
	}, "skiff doctor", "skiff doctor -o json | jq '.checks[] | select(.level != \"ok\")'")
}

// Level is how bad something is.
type Level string

// The levels of checks.
const (
	OK      Level = "ok"
	Warning Level = "warning"
	Fault   Level = "fault"
)

// Check is one thing that was looked at.
type Check struct {
	// Name is what was looked at, in a word or two.
	Name  string `json:"name"`
	Level Level  `json:"level"`
	// Says is what was found.
	Says string `json:"says"`
	// Do are the remedies, each a command to type or a thing to do.
	Do []string `json:"do,omitempty"`
}

func run(c *cli.Context, env *command.Env) error {
	format := c.String("output")
	if format != "" && format != "json" {
		return command.UsageErrorf("doctor", "--output must be json, not %q", format)
	}
	found, err := look(c, env)
	if err != nil {
		return err
	}
	checks := judge(found)
	count := map[Level]int{}
	for _, one := range checks {
		count[one.Level]++
	}
	if format == "json" {
		data, err := json.MarshalIndent(map[string]any{"checks": checks, "warnings": count[Warning], "faults": count[Fault]}, "", "    ")
		if err != nil {
			return err
		}
		fmt.Fprintln(env.Out, string(data))
	} else {
		print(env, checks, count)
	}
	if count[Fault] > 0 {
		return command.Exit{Code: 1}
	}
	return nil
}

// nameWidth is the column in which findings begin, less the level's.
const nameWidth = 11

func print(env *command.Env, checks []Check, count map[Level]int) {
	style := env.Terminal.Style(env.Out)
	colours := map[Level]lipgloss.Color{OK: "2", Warning: "3", Fault: "1"}
	for _, one := range checks {
		level := style.NewStyle().Foreground(colours[one.Level]).Render(fmt.Sprintf("%-8s", one.Level))
		fmt.Fprintf(env.Out, "%s%-*s %s\n", level, nameWidth, one.Name, one.Says)
		for _, do := range one.Do {
			fmt.Fprintf(env.Out, "%s do: %s\n", strings.Repeat(" ", 8+nameWidth), do)
		}
	}
	if count[Fault]+count[Warning] == 0 {
		fmt.Fprintln(env.Out, "nothing is wrong")
		return
	}
	fmt.Fprintf(env.Out, "%s, %s\n", command.Counted(count[Fault], "fault", "faults"), command.Counted(count[Warning], "warning", "warnings"))
}
