package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/urfave/cli/v2"
	"k8s.io/utils/clock"

	"skiff/cli/command"
	"skiff/daemon/datadir"
)

func logsCommand(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "logs", Usage: "Print the log of the daemon that runs in the background",
		Flags: []cli.Flag{dataDirFlag(), &cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on printing as the log grows"}},
		Action: withDir(env, func(c *cli.Context, dir datadir.Dir) error {
			return printLog(c.Context, dir, env.Out, c.Bool("follow"), env.Clock)
		}),
	}, "skiff daemon logs -f")
}

// printLog copies the log and, when it follows, looks for more several times a second: a file does
// not say when it grows.
func printLog(ctx context.Context, dir datadir.Dir, out io.Writer, follow bool, clk clock.WithTicker) error {
	f, err := os.Open(dir.LogFile())
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is no log %s: no daemon was started in the background for this data directory", dir.LogFile())
	}
	if err != nil {
		return fmt.Errorf("opening the daemon's log: %w", err)
	}
	defer func() { f.Close() }()
	tick := clk.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := io.Copy(out, f); err != nil || !follow {
			return err
		}
		if fresh := reopened(dir, f); fresh != nil {
			_, err := io.Copy(out, f) // what was written before it was rotated
			f.Close()
			if f = fresh; err != nil {
				return err
			}
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C():
		}
	}
}

// reopened is the log that is written now, if f is no longer it: f has been rotated.
func reopened(dir datadir.Dir, f *os.File) *os.File {
	fresh, err := os.Open(dir.LogFile())
	if err != nil {
		return nil
	}
	is, err := fresh.Stat()
	was, oldErr := f.Stat()
	if err != nil || oldErr != nil || os.SameFile(is, was) {
		fresh.Close()
		return nil
	}
	return fresh
}
