package docker

import (
	"context"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
)

// Update changes what a container may use, while it runs: CPU and memory. What is zero stays as it is,
// and so does OOMScoreAdj. Errors: ErrNotFound, ErrConflict (the container is being removed).
func (e *Engine) Update(ctx context.Context, id string, r Resources) error {
	if r.Memory > 0 && r.MemoryReservation == 0 {
		r.MemoryReservation = r.Memory // the engine can't take a reservation back, and wants none above the limit
	}
	r.PidsLimit = 0
	return e.call(ctx, "update", id, func(ctx context.Context, c *client.Client) error {
		_, err := c.ContainerUpdate(ctx, id, container.UpdateConfig{Resources: r.limits()})
		return err
	})
}
