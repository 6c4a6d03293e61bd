package command

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

// Unsupported is a flag of kubectl's that skiff does not have. Knowing its name, a command that
// needs it fails before it does anything, and says what to do instead.
type Unsupported interface {
	cli.Flag
	// given reports whether the flag is on the command line.
	given(*cli.Context) bool
	instead() string
}

type unsupportedSwitch struct{ *cli.BoolFlag }

func (f unsupportedSwitch) given(c *cli.Context) bool { return c.Bool(f.Name) }
func (f unsupportedSwitch) instead() string           { return f.Usage }

type unsupportedValue struct{ *cli.StringFlag }

func (f unsupportedValue) given(c *cli.Context) bool { return c.IsSet(f.Name) }
func (f unsupportedValue) instead() string           { return f.Usage }

// UnsupportedSwitch is a flag without a value; instead says what to do without it.
func UnsupportedSwitch(name, instead string, aliases ...string) Unsupported {
	return unsupportedSwitch{&cli.BoolFlag{Name: name, Aliases: aliases, Usage: "not supported: " + instead}}
}

// UnsupportedValue is a flag with a value.
func UnsupportedValue(name, instead string, aliases ...string) Unsupported {
	return unsupportedValue{&cli.StringFlag{Name: name, Aliases: aliases, Usage: "not supported: " + instead}}
}

type unsupportedCascade struct{ OptionalFlag }

func (f unsupportedCascade) given(c *cli.Context) bool { return c.IsSet(f.Name) }
func (f unsupportedCascade) instead() string           { return f.Usage }

// UnsupportedCascade is --cascade, whose value is optional.
func UnsupportedCascade(instead string) Unsupported {
	return unsupportedCascade{OptionalFlag{&cli.StringFlag{Name: "cascade", Usage: "not supported: " + instead}, "background"}}
}

// refuseUnsupported fails for the first flag on the command line that is not supported.
func refuseUnsupported(c *cli.Context) error {
	for _, f := range c.Command.Flags {
		if u, ok := f.(Unsupported); ok && u.given(c) {
			return fmt.Errorf("--%s is %s", f.Names()[0], u.instead())
		}
	}
	return nil
}
