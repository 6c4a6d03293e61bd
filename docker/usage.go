package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
)

// Usage is what a container, or a whole machine, has used by a moment.
type Usage struct {
	At time.Time
	// CPU is processor time, a counter: two readings make a rate.
	CPU time.Duration
	// Memory is the working set in bytes: what is in use, without file pages that the kernel can
	// drop.
	Memory int64
}

// usagePatience is how long a first reading is waited for.
const usagePatience = 5 * time.Second

// Usage reads the counters of containers, named by ID. Those that do not run are left out. Where
// the containers' cgroups are files of this machine they are read there, in some 50 µs a container;
// elsewhere they are told by streams, which have a first reading after a second and then one each
// second.
func (e *Engine) Usage(ctx context.Context, ids []string) (map[string]Usage, error) {
	found := make(map[string]Usage, len(ids))
	var elsewhere []string
	for _, id := range ids {
		if u, ok := e.cgroups.container(id); ok {
			u.At = e.clock.Now()
			found[id] = u
		} else {
			elsewhere = append(elsewhere, id)
		}
	}
	for _, id := range elsewhere {
		e.followed(id) // all at once
	}
	bounded, cancel := context.WithTimeout(ctx, usagePatience)
	defer cancel()
	for _, id := range elsewhere {
		u, ok, err := e.streamed(bounded, id)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			continue // it may be paused: nothing is known of it
		}
		if err != nil {
			return found, err
		}
		if ok {
			found[id] = u
		}
	}
	return found, nil
}

// MachineUsage reads the counters of the engine's whole machine. ok is false where that is not this
// machine, or does not tell.
func (e *Engine) MachineUsage(ctx context.Context) (u Usage, ok bool) {
	if !strings.HasPrefix(e.at.Host, "unix://") {
		return Usage{}, false
	}
	u, total, ok := e.cgroups.machine()
	if !ok || total != e.machineMemory(ctx) {
		return Usage{}, false
	}
	u.At = e.clock.Now()
	return u, true
}

// machineMemory is the memory of the engine's machine in bytes, 0 while it does not tell. An engine
// behind a socket of this machine may run in a virtual one.
func (e *Engine) machineMemory(ctx context.Context) int64 {
	if known := e.memory.Load(); known != 0 {
		return known
	}
	_ = e.call(ctx, "info", "", func(ctx context.Context, c *client.Client) error {
		info, err := c.Info(ctx)
		e.memory.Store(info.MemTotal)
		return err
	})
	return e.memory.Load()
}

// usageOf are the counters of statistics. A container that does not run has none.
func usageOf(told *container.StatsResponse) Usage {
	u := Usage{At: told.Read, CPU: time.Duration(told.CPUStats.CPUUsage.TotalUsage), Memory: int64(told.MemoryStats.Usage)}
	// The key differs between versions 1 and 2 of cgroups; the first wins where both are there.
	for _, key := range []string{"total_inactive_file", "inactive_file"} {
		if cached, ok := told.MemoryStats.Stats[key]; ok {
			u.Memory -= min(u.Memory, int64(cached))
			break
		}
	}
	return u
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
		bytes = usageOf(&told).Memory
		return nil
	})
	return bytes, err
}
