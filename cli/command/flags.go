package command

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"skiff/cli/args"
	"skiff/cli/resource"
)

// OptionalFlag is a flag that may stand alone, then meaning Alone; see args.Implied.
type OptionalFlag struct {
	*cli.StringFlag
	Alone string
}

// ImpliedValue is what the flag means when it stands alone.
func (f OptionalFlag) ImpliedValue() string { return f.Alone }

// FileFlags are -f and -R, and -k, which fails. what says what is done with the objects in the files.
func FileFlags(what string) []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "filename", Aliases: []string{"f"}, Usage: "`FILE`, directory or URL with the objects to " + what + "; - for standard input"},
		&cli.BoolFlag{Name: "recursive", Aliases: []string{"R"}, Usage: "go into the directories of the directory given by -f"},
		UnsupportedValue("kustomize", "pass on what kubectl makes of it, as in kubectl kustomize DIRECTORY | skiff … -f -", "k"),
	}
}

// Files reads the flags of FileFlags; several names may be joined by commas.
func Files(c *cli.Context) resource.Files {
	return resource.Files{Names: List(c, "filename"), Recursive: c.Bool("recursive")}
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
	return &cli.StringFlag{Name: "selector", Aliases: []string{"l"}, Usage: "`LABELS` that objects must have, as app=kubia,tier!=front,env in (a,b)"}
}

// FieldSelectorFlag is --field-selector.
func FieldSelectorFlag() cli.Flag {
	return &cli.StringFlag{Name: "field-selector", Usage: "`FIELDS` that objects must have, as status.phase=Running; the server knows a few fields a kind"}
}

// AllNamespacesFlag is -A.
func AllNamespacesFlag() cli.Flag {
	return &cli.BoolFlag{Name: "all-namespaces", Aliases: []string{"A"}, Usage: "look in all namespaces"}
}

// ChunkFlag is --chunk-size.
func ChunkFlag() cli.Flag {
	return &cli.Int64Flag{Name: "chunk-size", Value: 500, Usage: "ask for long lists in pieces of `SIZE` objects; 0 for all at once"}
}

// OutputFlags are -o and what goes with it.
func OutputFlags(formats string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`FORMAT` of the output: " + formats},
		&cli.BoolFlag{Name: "show-managed-fields", Usage: "keep managedFields when printing JSON or YAML"},
		&cli.BoolFlag{Name: "allow-missing-keys", Value: true, Usage: "print nothing for a field that a jsonpath names and the object lacks"},
		&cli.StringFlag{Name: "template", Usage: "`TEMPLATE` or file for -o jsonpath and -o jsonpath-file"},
	}
}

// ObjectFormats are the formats of commands that print an object they wrote.
const ObjectFormats = "json, yaml, name, jsonpath=…, jsonpath-file=…"

// DryRunFlag is --dry-run.
func DryRunFlag() cli.Flag {
	return OptionalFlag{&cli.StringFlag{Name: "dry-run", Value: "none", Usage: "`HOW` to do as if: none, client (print what would be sent), server (send it, keep nothing)"}, "unchanged"}
}

// DryRun is what --dry-run was set to.
type DryRun string

// The values of --dry-run.
const (
	DryRunNone   DryRun = "none"
	DryRunClient DryRun = "client"
	DryRunServer DryRun = "server"
)

// ReadDryRun reads --dry-run; alone it means client, with a warning, as it once did.
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

// Suffix is what is added to the word for what was done: " (dry run)".
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
	return &cli.StringFlag{Name: "field-manager", Value: value, Usage: "`NAME` to own the changed fields by"}
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

// New completes a command as all of skiff's are: examples in its help, no help subcommand, mistakes worded as kubectl does.
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

// Adopt gives a command made elsewhere skiff's ways of failing.
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

// groupAction answers a command that is only a group of others.
func groupAction(c *cli.Context) error {
	if !c.Args().Present() {
		return cli.ShowSubcommandHelp(c)
	}
	name := c.Command.HelpName
	return &args.Error{Message: fmt.Sprintf("unknown command %q for %q", c.Args().First(), name), Command: name}
}

// badValue is how the standard library words a flag's wrong value.
var badValue = regexp.MustCompile(`^(?:Incorrect Usage: )?(?:could not parse |invalid (?:boolean )?value )("(?:[^"\\]|\\.)*")(?: as .*)? for (?:flag )?-?-?([a-z0-9-]+): (.*)$`)

// UsageError words a flag's wrong value as kubectl does.
func UsageError(c *cli.Context, err error, _ bool) error {
	msg := err.Error()
	if m := badValue.FindStringSubmatch(msg); m != nil {
		msg = fmt.Sprintf("invalid argument %s for %q flag: %s", m[1], flagNames(c, m[2]), reason(c, m[2], m[1], m[3]))
	}
	return &args.Error{Message: msg, Command: c.Command.HelpName}
}

// reason says why a value is none of its flag's kind; the standard library only says that it is not.
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

// flagNames is a flag as it is named in messages: "-n, --namespace", "--replicas".
func flagNames(c *cli.Context, name string) string {
	for _, f := range c.Command.Flags {
		names := f.Names()
		if slices.Contains(names, name) && len(names) == 2 && len(names[1]) == 1 {
			return "-" + names[1] + ", --" + names[0]
		}
	}
	return "--" + name
}
