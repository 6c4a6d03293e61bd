package memory

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"skiff/docker"
)

// Behaviour is what a container does once it is started. Its zero value runs until it is stopped
// and ends on SIGTERM.
//
// Unless a test sets it, it follows from the container's command, if that is true, false, exit N or
// sleep N (also after sh -c), and from its environment: SKIFF_SIMULATE_EXIT_AFTER is a duration,
// SKIFF_SIMULATE_EXIT_CODE a number.
type Behaviour struct {
	// Ends says that it ends by itself, After a time with ExitCode.
	Ends     bool
	After    time.Duration
	ExitCode int
	// IgnoresTerm says that only SIGKILL ends it; TermCode is its exit code when it heeds SIGTERM.
	IgnoresTerm bool
	TermCode    int
	// StartError makes the start fail.
	StartError string
}

// Variables of the environment by which a container's end is simulated.
const (
	envExitAfter = "SKIFF_SIMULATE_EXIT_AFTER"
	envExitCode  = "SKIFF_SIMULATE_EXIT_CODE"
)

// behaviour is what a test has set for the image, or what the command and environment say.
func (r *Runtime) behaviour(spec docker.ContainerSpec) Behaviour {
	if b, ok := r.behaviours[spec.Image]; ok {
		return b
	}
	b := fromCommand(append(slices.Clone(spec.Entrypoint), spec.Args...))
	for _, pair := range spec.Env {
		name, value, _ := strings.Cut(pair, "=")
		switch name {
		case envExitAfter:
			if d, err := time.ParseDuration(value); err == nil {
				b.Ends, b.After = true, d
			}
		case envExitCode:
			if code, err := strconv.Atoi(value); err == nil {
				b.Ends, b.ExitCode = true, code
			}
		}
	}
	return b
}

func fromCommand(command []string) Behaviour {
	if len(command) == 3 && strings.HasSuffix(command[0], "sh") && command[1] == "-c" {
		command = strings.Fields(command[2])
	}
	switch {
	case slices.Equal(command, []string{"true"}):
		return Behaviour{Ends: true}
	case slices.Equal(command, []string{"false"}):
		return Behaviour{Ends: true, ExitCode: 1}
	case len(command) != 2:
		return Behaviour{}
	}
	switch n, err := strconv.ParseFloat(command[1], 64); {
	case err != nil:
	case command[0] == "exit":
		return Behaviour{Ends: true, ExitCode: int(n)}
	case command[0] == "sleep":
		return Behaviour{Ends: true, After: time.Duration(n * float64(time.Second))}
	}
	return Behaviour{}
}
