package docker

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// prunesAtOnce bounds the removals that go on side by side.
const prunesAtOnce = 4

// PruneInstance removes all containers of this instance, running or not, its router, its publishers and
// its network. Named volumes of pods stay: they hold data. It ends what a daemon has left behind; nothing
// may be starting containers meanwhile.
func (e *Engine) PruneInstance(ctx context.Context) error {
	containers, err := e.List(ctx)
	if err != nil {
		return fmt.Errorf("prune instance %s: %w", e.instance, err)
	}
	removals, removing := errgroup.WithContext(ctx)
	removals.SetLimit(prunesAtOnce)
	for _, c := range containers {
		removals.Go(func() error {
			if c.State == Running {
				if err := e.end(removing, c.ID); err != nil {
					return err
				}
			}
			return e.Remove(removing, c.ID)
		})
	}
	err = removals.Wait()
	if err == nil {
		err = e.RemovePublishers(ctx)
	}
	if err == nil {
		err = e.RemoveRouter(ctx)
	}
	if err == nil {
		err = e.RemoveNetwork(ctx)
	}
	if err != nil {
		return fmt.Errorf("prune instance %s: %w", e.instance, err)
	}
	return nil
}
