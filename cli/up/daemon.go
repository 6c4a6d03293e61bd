package up

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"skiff/cli/command"
)

// ensureDaemon starts skiff's daemon if none runs. It reports false, and starts nothing, where the
// command is for another cluster.
func ensureDaemon(ctx context.Context, c *cli.Context, env *command.Env) (bool, error) {
	if !env.OwnCluster(c) || env.EnsureDaemon == nil {
		if slices.Contains(c.LocalFlagNames(), "listen") {
			return false, errors.New("--listen is for skiff's own daemon, not for another cluster")
		}
		return false, nil
	}
	dir, err := env.DataDir(c)
	if err != nil {
		return false, err
	}
	d, err := env.EnsureDaemon(ctx, dir, c.String("listen"))
	if err != nil {
		return false, fmt.Errorf("starting the skiff daemon: %w", err)
	}
	if d.Started {
		fmt.Fprintln(env.Err, "skiff daemon started")
	}
	if note := command.ListenNote(c, d); note != "" {
		fmt.Fprintln(env.Err, note)
	}
	return true, nil
}

// ensureDaemon starts the daemon unless nothing is to be changed: a simulation asks the one that runs.
func (r *runner) ensureDaemon(ctx context.Context, c *cli.Context) (bool, error) {
	if r.simulates() {
		return r.env.OwnCluster(c) && r.env.EnsureDaemon != nil, nil
	}
	return ensureDaemon(ctx, c, r.env)
}
