package command

import (
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"skiff/daemon/config"
)

const listen = "listen"

// ListenFlag is --listen, of the commands that may start skiff's daemon.
func ListenFlag() cli.Flag {
	return &cli.StringFlag{Name: listen, EnvVars: []string{Variable(listen)}, Usage: "`ADDRESS` of the daemon's API; port 0 picks a free one (default: " + config.Listen + ", or a free port when that is taken)"}
}

// ListenNote says what came of --listen: that it has no effect on a daemon that was running already,
// or that the daemon is not at the default address; "" when there is nothing to say.
func ListenNote(c *cli.Context, d Daemon) string {
	switch {
	case !d.Started && slices.Contains(c.LocalFlagNames(), listen) && c.String(listen) != d.Address:
		return fmt.Sprintf("Warning: --%s has no effect on a running daemon, whose API is at %s: stop it first", listen, d.Address)
	case d.Started && c.String(listen) == "" && d.Address != config.Listen:
		return fmt.Sprintf("the daemon's API is at %s, because another program has %s", d.Address, config.Listen)
	}
	return ""
}
