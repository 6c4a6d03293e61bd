package command

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"skiff/cli/args"
	"skiff/cli/chart"
	"skiff/cli/resource"
)

// OptionalFlag is a flag that may stand alone and then means Alone; see args.Implied.
type OptionalFlag struct {
	*cli.StringFlag
	Alone string
}

// ImpliedValue is the value of the flag when it stands alone.
func (f OptionalFlag) ImpliedValue() string { return f.Alone }

// FileFlags are -f, -R and -k. what says what is done with the objects in the files.
func FileFlags(what string) []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "filename", Aliases: []string{"f"}, Usage: "`FILE`, directory, URL or Helm chart with the objects to " + what + "; - for standard input"},
		&cli.BoolFlag{Name: "recursive", Aliases: []string{"R"}, Usage: "include subdirectories of the directory given by -f"},
		&cli.StringFlag{Name: "kustomize", Aliases: []string{"k"}, Usage: "`DIRECTORY` of the kustomization that makes the objects to " + what + "; instead of -f"},
	}
}

// ChartFlags say how Helm charts among the files are rendered. They have helm's names.
func ChartFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "release", Usage: "`NAME` of the release that a Helm chart is rendered as (default: the chart's)"},
		&cli.StringSliceFlag{Name: "values", Usage: "`FILE` of values for a Helm chart; may be repeated"},
		&cli.StringSliceFlag{Name: "set", Usage: "one value for a Helm chart, as `NAME=VALUE`; may be repeated"},
		&cli.StringSliceFlag{Name: "set-string", Usage: "the same, for a value that stays a string: `NAME=VALUE`"},
		&cli.StringSliceFlag{Name: "set-file", Usage: "the same, for a value that is the content of a file: `NAME=FILE`"},
	}
}

// Files reads the flags of FileFlags and ChartFlags; several names may be joined by commas. Remarks go to
// standard error.
func Files(c *cli.Context) resource.Files {
	f := resource.Files{
		Names: List(c, "filename"), Recursive: c.Bool("recursive"), Kustomization: c.String("kustomize"),
		Chart:  chart.Options{Release: c.String("release"), Values: c.StringSlice("values"), Set: c.StringSlice("set"), SetString: c.StringSlice("set-string"), SetFile: c.StringSlice("set-file")},
		Remark: func(text string) { fmt.Fprintln(c.App.ErrWriter, "Warning:", text) },
	}
	if f.Kustomization != "" {
		f.Names = append(f.Names, f.Kustomization)
	}
	return f
}

// List reads a flag that may be repeated and whose values may be joined by commas.
func List(c *cli.Context, name string) []string {
	var out []string
	for _, v := range c.StringSlice(name) {
		out = append(out, strings.Split(v, ",")...)
	}
	return out
}

// SelectorFlag is -l.
func SelectorFlag() cli.Flag {
	return &cli.StringFlag{Name: "selector", Aliases: []string{"l"}, Usage: "`LABELS` that objects must have, such as app=kubia,tier!=front,env in (a,b)"}
}

// FieldSelectorFlag is --field-selector.
func FieldSelectorFlag() cli.Flag {
	return &cli.StringFlag{Name: "field-selector", Usage: "`FIELDS` that objects must have, such as status.phase=Running; each kind supports a few"}
}

// AllNamespacesFlag is -A.
func AllNamespacesFlag() cli.Flag {
	return &cli.BoolFlag{Name: "all-namespaces", Aliases: []string{"A"}, Usage: "select objects in all namespaces"}
}

// ChunkFlag is --chunk-size.
func ChunkFlag() cli.Flag {
	return &cli.Int64Flag{Name: "chunk-size", Value: 500, Usage: "request long lists in chunks of `SIZE` objects; 0 for all at once"}
}

// OutputFlags are -o and its companions.
func OutputFlags(formats string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`FORMAT` of the output: " + formats},
		&cli.BoolFlag{Name: "show-managed-fields", Usage: "keep managedFields when printing JSON or YAML"},
		&cli.BoolFlag{Name: "allow-missing-keys", Value: true, Usage: "print nothing for a jsonpath field that the object lacks"},
		&cli.StringFlag{Name: "template", Usage: "`TEMPLATE` or file for -o jsonpath and -o jsonpath-file"},
	}
}

// ObjectFormats are the formats of commands that print an object they wrote.
const ObjectFormats = "json, yaml, name, jsonpath=…, jsonpath-file=…"

// DryRunFlag is --dry-run.
func DryRunFlag() cli.Flag {
	return OptionalFlag{&cli.StringFlag{Name: "dry-run", Value: "none", Usage: "`HOW` to simulate: none, client (print what would be sent), server (send it, persist nothing)"}, "unchanged"}
}

// DryRun is what --dry-run was set to.
type DryRun string

// The values of --dry-run.
const (
	DryRunNone   DryRun = "none"
	DryRunClient DryRun = "client"
	DryRunServer DryRun = "server"
)

// ReadDryRun reads --dry-run. Alone it means client, with a warning that this is deprecated.
func (e *Env) ReadDryRun(c *cli.Context) (DryRun, error) {
	switch v := c.String("dry-run"); v {
	case "", "none", "client", "server":
		return DryRun(v), nil
	case "unchanged":
		fmt.Fprintln(e.Err, "W: --dry-run is deprecated and can be replaced with --dry-run=client.")
		return DryRunClient, nil
	default:
		return "", Errorf("Invalid dry-run value (%v). Must be \"none\", \"server\", or \"client\".", v)
	}
}

// Suffix is appended to the word for what was done: " (dry run)".
func (d DryRun) Suffix() string {
	switch d {
	case DryRunClient:
		return " (dry run)"
	case DryRunServer:
		return " (server dry run)"
	}
	return ""
}

// ValidateFlag is --validate.
func ValidateFlag() cli.Flag {
	return OptionalFlag{&cli.StringFlag{Name: "validate", Value: "strict", Usage: "`WHAT` to do about unknown and repeated fields: strict (refuse), warn, ignore"}, "strict"}
}

// Validation reads --validate as the server's fieldValidation parameter.
func Validation(c *cli.Context) (string, error) {
	switch v := c.String("validate"); strings.ToLower(v) {
	case "true", "strict":
		return "Strict", nil
	case "warn":
		return "Warn", nil
	case "false", "ignore":
		return "Ignore", nil
	default:
		return "", Errorf("invalid - validate option %q; must be one of: strict (or true), warn, ignore (or false)", v)
	}
}

// ManagerFlag is --field-manager.
func ManagerFlag(value string) cli.Flag {
	return &cli.StringFlag{Name: "field-manager", Value: value, Usage: "`NAME` of the field manager"}
}

// Flags joins groups of flags.
func Flags(groups ...any) []cli.Flag {
	var out []cli.Flag
	for _, g := range groups {
		switch g := g.(type) {
		case cli.Flag:
			out = append(out, g)
		case []cli.Flag:
			out = append(out, g...)
		}
	}
	return out
}

// New completes a command the way all of skiff's are: examples in its help, no help subcommand,
// usage errors worded as kubectl's.
func New(c cli.Command, examples ...string) *cli.Command {
	if len(examples) > 0 {
		c.Description = strings.TrimSpace(c.Description + "\n\nExamples:\n  " + strings.Join(examples, "\n  "))
	}
	if c.Before == nil {
		c.Before = refuseUnsupported
	}
	Adopt(&c)
	return &c
}

// Adopt makes a command and its subcommands fail the way all of skiff's do.
func Adopt(c *cli.Command) {
	c.HideHelpCommand = true
	c.OnUsageError = UsageError
	if c.Action == nil && len(c.Subcommands) > 0 {
		c.Action = groupAction
	}
	for _, s := range c.Subcommands {
		Adopt(s)
	}
}

// groupAction runs a command that only groups others.
func groupAction(c *cli.Context) error {
	if !c.Args().Present() {
		return cli.ShowSubcommandHelp(c)
	}
	name := c.Command.HelpName
	return &args.Error{Message: fmt.Sprintf("unknown command %q for %q", c.Args().First(), name), Command: name}
}

// badValue matches the standard library's message about a flag's wrong value.
var badValue = regexp.MustCompile(`^(?:Incorrect Usage: )?(?:could not parse |invalid (?:boolean )?value )("(?:[^"\\]|\\.)*")(?: as .*)? for (?:flag )?-?-?([a-z0-9-]+): (.*)$`)

// UsageError reports a flag's wrong value in kubectl's words.
func UsageError(c *cli.Context, err error, _ bool) error {
	msg := err.Error()
	if m := badValue.FindStringSubmatch(msg); m != nil {
		msg = fmt.Sprintf("invalid argument %s for %q flag: %s", m[1], flagNames(c, m[2]), reason(c, m[2], m[1], m[3]))
	}
	return &args.Error{Message: msg, Command: c.Command.HelpName}
}

// reason says why a value is invalid; the standard library says only that it is.
func reason(c *cli.Context, name, value, otherwise string) string {
	if otherwise != "parse error" {
		return otherwise
	}
	for _, f := range c.Command.Flags {
		if !slices.Contains(f.Names(), name) {
			continue
		}
		switch f.(type) {
		case *cli.DurationFlag:
			return "time: invalid duration " + value
		case *cli.BoolFlag:
			return "strconv.ParseBool: parsing " + value + ": invalid syntax"
		}
	}
	return "strconv.ParseInt: parsing " + value + ": invalid syntax"
}

// flagNames is how messages name a flag: "-n, --namespace", "--replicas".
func flagNames(c *cli.Context, name string) string {
	for _, f := range c.Command.Flags {
		names := f.Names()
		if slices.Contains(names, name) && len(names) == 2 && len(names[1]) == 1 {
			return "-" + names[1] + ", --" + names[0]
		}
	}
	return "--" + name
}
