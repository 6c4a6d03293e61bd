package up

import (
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"skiff/cli/command"
)

// modeFlags are those by which up does more, less or otherwise than to start everything and follow it.
func modeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "scale", Usage: "run a workload with other replicas than its manifest says: `NAME=COUNT`; may be repeated"},
		&cli.BoolFlag{Name: "no-start", Usage: "apply everything and start nothing: skiff start does that"},
		&cli.BoolFlag{Name: "force-recreate", Usage: "replace all pods, and run all jobs again, also where nothing has changed"},
		command.OptionalFlag{StringFlag: &cli.StringFlag{Name: "dry-run", Value: "none", Usage: "say what would be done, and do nothing: `HOW` is server (ask it, the default) or client (compare here)"}, Alone: "server"},
		&cli.StringFlag{Name: "exit-code-from", Usage: "when this `WORKLOAD` ends, such as job/tests, stop everything, and exit with its container's code"},
		&cli.BoolFlag{Name: "abort-on-failure", Aliases: []string{"abort-on-container-failure"}, Usage: "when a container fails, stop everything, and exit with its code"},
		&cli.BoolFlag{Name: "abort-on-container-exit", Usage: "when a container ends, well or not, stop everything, and exit with its code"},
		&cli.BoolFlag{Name: "rm", Usage: "on Ctrl-C delete what was started, except volume claims, instead of stopping it"},
	}
}

// modes are what modeFlags say.
type modes struct {
	scale          []scaling
	noStart        bool
	recreate       bool
	dryRun         command.DryRun
	exitCodeFrom   string
	abortOnFailure bool
	abortOnExit    bool
	remove         bool
}

// simulates reports whether nothing is to be changed.
func (m modes) simulates() bool { return m.dryRun != "" && m.dryRun != command.DryRunNone }

// aborts reports whether the end of a container may end everything.
func (m modes) aborts() bool { return m.exitCodeFrom != "" || m.abortOnFailure || m.abortOnExit }

func readModes(c *cli.Context, env *command.Env) (m modes, err error) {
	m = modes{noStart: c.Bool("no-start"), recreate: c.Bool("force-recreate"), exitCodeFrom: c.String("exit-code-from"),
		abortOnFailure: c.Bool("abort-on-failure"), abortOnExit: c.Bool("abort-on-container-exit"), remove: c.Bool("rm")}
	if m.scale, err = readScaling(c.StringSlice("scale")); err != nil {
		return m, err
	}
	if m.dryRun, err = env.ReadDryRun(c); err != nil {
		return m, err
	}
	return m, command.Join(
		excludes(c, "nothing starts", "no-start", "watch", "wait", "force-recreate", "rerun", "exit-code-from", "abort-on-failure", "abort-on-container-exit", "rm"),
		excludes(c, "up returns and the application goes on", "detach", "exit-code-from", "abort-on-failure", "abort-on-container-exit", "rm"),
		excludes(c, "up returns and the application goes on", "wait", "exit-code-from", "abort-on-failure", "abort-on-container-exit", "rm"),
	)
}

// staying are the flags with which up does not return while the application goes on.
var staying = []string{"watch", "exit-code-from", "abort-on-failure", "abort-on-container-exit", "rm"}

// given reports whether the command line or a variable switches a flag on, or gives it a value.
func given(c *cli.Context, flag string) bool {
	return c.IsSet(flag) && c.String(flag) != "" && c.String(flag) != "false"
}

// reconcile has what was given prevail over what is merely a default of the configuration file's, where the two make
// no sense together.
func (o *options) reconcile(c *cli.Context) {
	stays := slices.ContainsFunc(staying, func(flag string) bool { return given(c, flag) })
	switch {
	case stays && !c.IsSet("detach") && !c.IsSet("wait"):
		o.detach, o.complete = false, false
	case (o.detach || o.noStart) && !stays:
		o.watches, o.exitCodeFrom, o.abortOnFailure, o.abortOnExit, o.remove = false, "", false, false, false
	}
}

// excludes is the error of a flag beside another one that it makes no sense with.
func excludes(c *cli.Context, why, flag string, others ...string) error {
	for _, other := range others {
		if given(c, flag) && given(c, other) {
			return fmt.Errorf("--%s does not go with --%s, with which %s", other, flag, why)
		}
	}
	return nil
}
