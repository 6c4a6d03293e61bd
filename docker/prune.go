package docker

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// prunesAtOnce bounds the removals that go on side by side.
const prunesAtOnce = 4

// PruneInstance removes all containers of this instance, running or not, and its network. Named volumes stay: they hold
// data. It ends what a daemon has left behind; nothing may be starting containers meanwhile.
func (e *Engine) PruneInstance(ctx context.Context) error {
	containers, err := e.List(ctx)
	if err != nil {
		return fmt.Errorf("prune instance %s: %w", e.instance, err)
	}
	removals, removing := errgroup.WithContext(ctx)
	removals.SetLimit(prunesAtOnce)
	for i := range containers {
		removals.Go(func() error { return e.Remove(removing, containers[i].ID) })
	}
	if err := removals.Wait(); err != nil {
		return fmt.Errorf("prune instance %s: %w", e.instance, err)
	}
	if err := e.RemoveNetwork(ctx); err != nil {
		return fmt.Errorf("prune instance %s: %w", e.instance, err)
	}
	return nil
}
