package command

import (
	"strings"

	"github.com/urfave/cli/v2"
)

// Variable is the environment variable of a flag: SKIFF_FRONT_DOOR of --front-door.
func Variable(flag string) string {
	return "SKIFF_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// FromEnvironment lets flags take their values from their variables where the command line does not give them,
// and returns the flags.
func FromEnvironment(flags []cli.Flag) []cli.Flag {
	for _, f := range flags {
		if v, _ := inside(f); v != nil && len(*v) == 0 {
			*v = []string{Variable(f.Names()[0])}
		}
	}
	return flags
}

// inside is where a flag keeps the names of its variables, and whether it is set; nil for one that takes no
// values.
func inside(f cli.Flag) (variables *[]string, isSet *bool) {
	switch f := f.(type) {
	case OptionalFlag:
		return &f.EnvVars, &f.HasBeenSet
	case *cli.StringFlag:
		return &f.EnvVars, &f.HasBeenSet
	case *cli.StringSliceFlag:
		return &f.EnvVars, &f.HasBeenSet
	case *cli.BoolFlag:
		return &f.EnvVars, &f.HasBeenSet
	case *cli.IntFlag:
		return &f.EnvVars, &f.HasBeenSet
	case *cli.Int64Flag:
		return &f.EnvVars, &f.HasBeenSet
	case *cli.UintFlag:
		return &f.EnvVars, &f.HasBeenSet
	case *cli.Float64Flag:
		return &f.EnvVars, &f.HasBeenSet
	case *cli.DurationFlag:
		return &f.EnvVars, &f.HasBeenSet
	}
	return nil, nil
}

// Shared are the flags of one command that another one has too.
func Shared(flags, with []cli.Flag) []cli.Flag {
	other := map[string]bool{}
	for _, f := range with {
		other[f.Names()[0]] = true
	}
	var out []cli.Flag
	for _, f := range flags {
		if other[f.Names()[0]] {
			out = append(out, f)
		}
	}
	return out
}
