package envtest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"strings"

	"skiff/cli/command"
	"skiff/cli/daemon"
)

// StandIn is a program that skiff was called as.
type StandIn struct {
	name string
	args []string
}

// Find returns the stand-in that a command line asks for by the name of its program.
func Find(argv []string) (StandIn, bool) {
	if len(argv) == 0 {
		return StandIn{}, false
	}
	switch name := strings.TrimSuffix(filepath.Base(argv[0]), suffix()); name {
	case apiServer, etcd:
		return StandIn{name: name, args: argv[1:]}, true
	}
	return StandIn{}, false
}

// Run is the stand-in; it goes on until ctx ends.
func (s StandIn) Run(ctx context.Context, env *command.Env, server daemon.Server) error {
	var run func(context.Context) error
	flags := flag.NewFlagSet(s.name, flag.ContinueOnError)
	flags.SetOutput(env.Err)
	switch s.name {
	case apiServer:
		run = newAPIServer(flags, env, server)
	default:
		run = newStore(flags, env, server)
	}
	switch err := flags.Parse(s.args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return fmt.Errorf("skiff, which stands in for %s, can't do what it was asked for: %w", s.name, err)
	case flags.NArg() > 0:
		return fmt.Errorf("%s takes no arguments, and got %q", s.name, flags.Args())
	}
	return run(ctx)
}

// without accepts flags that change nothing here, each for its reason.
func without(flags *flag.FlagSet, reasons map[string]string) {
	for name, reason := range reasons {
		flags.String(name, "", "has no effect: "+reason)
	}
}
