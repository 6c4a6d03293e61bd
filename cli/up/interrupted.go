package up

import (
	"context"
	"errors"
	"fmt"

	"skiff/cli/command"
)

// interrupted stops the application, or with --rm deletes what this run has created, unless it was to be
// left running.
func (r *runner) interrupted(stop *interrupts) error {
	var err error
	switch {
	case r.client == nil || len(r.appliedUIDs) == 0 || r.passing:
	case r.detach:
		if len(r.created) > 0 {
			fmt.Fprintf(r.env.Err, "\nCreated, and left: %s\nThe same skiff up goes on, and skiff down with the same files removes it.\n", names(r.created))
		}
	case r.remove:
		err = r.removeCreated(stop.second)
	default:
		fmt.Fprintln(r.env.Err, "\n"+stoppingNotice)
		err = r.stop(stop.second)
	}
	if err != nil {
		return err
	}
	return command.Exit{Code: 130}
}

const stoppingNotice = "Stopping what was started; Ctrl-C once more does not wait."

// removeCreated deletes what this run has created, at once when ctx ends before that is done.
func (r *runner) removeCreated(ctx context.Context) error {
	if len(r.created) == 0 {
		return nil
	}
	fmt.Fprintln(r.env.Err, "\n"+stoppingNotice)
	d := &deleter{client: r.client, env: r.env, grace: -1, decided: r.createdUIDs}
	err := d.delete(ctx, r.created)
	if err == nil {
		err = r.set.recordRest(ctx)
	}
	if ctx.Err() != nil {
		err = d.force(context.WithoutCancel(ctx), r.created)
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
