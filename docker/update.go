package docker

import (
	"context"
	"encoding/json"
	"fmt"

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

// MemoryUsage is how much memory a running container uses, in bytes, without file pages that the
// kernel can drop. ErrNotFound where there is no such container; one that does not run uses none.
func (e *Engine) MemoryUsage(ctx context.Context, id string) (bytes int64, err error) {
	err = e.call(ctx, "stats", id, func(ctx context.Context, c *client.Client) error {
		answer, err := c.ContainerStatsOneShot(ctx, id)
		if err != nil {
			return err
		}
		defer func() { _ = answer.Body.Close() }() // only read from
		var told container.StatsResponse
		if err := json.NewDecoder(answer.Body).Decode(&told); err != nil {
			return fmt.Errorf("read statistics: %w", err)
		}
		bytes = int64(told.MemoryStats.Usage)
		// The key differs between versions 1 and 2 of cgroups; the first wins where both are there.
		for _, key := range []string{"total_inactive_file", "inactive_file"} {
			if cached, ok := told.MemoryStats.Stats[key]; ok {
				bytes -= min(bytes, int64(cached))
				break
			}
		}
		return nil
	})
	return bytes, err
}
