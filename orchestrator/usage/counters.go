package usage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/utils/clock"

	"skiff/docker"
)

const (
	// fresh is how old a reading may be that answers a question.
	fresh = time.Second
	// window is the time over which rates are taken as soon as there are readings so old, and expiry
	// how old the earlier reading may be. What was not asked about for so long is forgotten.
	window = 15 * time.Second
	expiry = time.Minute
	// shortest is the least time between two readings that make a rate, and pause the time between
	// two that are taken for one question.
	shortest = 250 * time.Millisecond
	pause    = 500 * time.Millisecond
	// tries is how often another reading is waited for: an engine may have one each second only.
	tries = 5
)

// machineKey stands for the whole machine among the containers' IDs.
const machineKey = "machine"

// counters keeps readings of counters, oldest first.
type counters struct {
	source Source
	clock  clock.Clock
	// turn is held by the one who reads: others who ask at that moment find what was read.
	turn     chan struct{}
	readings map[string][]docker.Usage
}

func newCounters(s Source, c clock.Clock) *counters {
	return &counters{source: s, clock: c, turn: make(chan struct{}, 1), readings: map[string][]docker.Usage{}}
}

// rates are the rates of those of the containers that run, and under machineKey that of the machine
// if it is asked for and told.
func (c *counters) rates(ctx context.Context, ids []string, machine bool) (map[string]rate, error) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if machine {
		ids = append(ids, machineKey)
	}
	now := c.clock.Now()
	c.forget(now)
	if err := c.read(ctx, c.those(ids, func(r []docker.Usage) bool { return len(r) == 0 || now.Sub(r[len(r)-1].At) >= fresh })); err != nil {
		return nil, err
	}
	for range tries {
		single := c.those(ids, func(r []docker.Usage) bool { return len(r) == 1 })
		if len(single) == 0 {
			break
		}
		if err := c.wait(ctx); err != nil {
			return nil, err
		}
		if err := c.read(ctx, single); err != nil {
			return nil, err
		}
	}
	out := make(map[string]rate, len(ids))
	for _, id := range ids {
		if r, ok := rateOf(c.readings[id]); ok {
			out[id] = r
		}
	}
	return out, nil
}

func (c *counters) those(ids []string, which func([]docker.Usage) bool) (out []string) {
	for _, id := range ids {
		if which(c.readings[id]) {
			out = append(out, id)
		}
	}
	return out
}

func (c *counters) wait(ctx context.Context) error {
	timer := c.clock.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// read adds a reading of each, and forgets those that do not run.
func (c *counters) read(ctx context.Context, ids []string) error {
	var containers []string
	for _, id := range ids {
		if id != machineKey {
			containers = append(containers, id)
		} else if u, ok := c.source.MachineUsage(ctx); ok {
			c.add(id, u)
		} else {
			delete(c.readings, id)
		}
	}
	if len(containers) == 0 {
		return nil
	}
	found, err := c.source.Usage(ctx, containers)
	for _, id := range containers {
		if u, ok := found[id]; ok {
			c.add(id, u)
		} else if err == nil {
			delete(c.readings, id)
		}
	}
	if err != nil && ctx.Err() == nil && errors.Is(err, docker.ErrUnavailable) {
		return fmt.Errorf("the engine does not tell: %w", err)
	}
	return err
}

// add keeps a reading, and drops those that are older than a rate needs. A counter that runs
// backwards is another's: its container was started anew.
func (c *counters) add(id string, u docker.Usage) {
	r := c.readings[id]
	if n := len(r); n > 0 {
		last := r[n-1]
		if u.CPU < last.CPU {
			r = nil
		} else if u.At.Sub(last.At) < shortest {
			return
		}
	}
	r = append(r, u)
	for len(r) > 2 && u.At.Sub(r[1].At) >= window {
		r = r[1:]
	}
	for len(r) > 1 && u.At.Sub(r[0].At) > expiry {
		r = r[1:]
	}
	c.readings[id] = r
}

// forget drops what nobody has asked about for long.
func (c *counters) forget(now time.Time) {
	for id, r := range c.readings {
		if now.Sub(r[len(r)-1].At) > expiry {
			delete(c.readings, id)
		}
	}
}

// rateOf is the rate between the first and the last of several readings.
func rateOf(r []docker.Usage) (rate, bool) {
	if len(r) < 2 {
		return rate{}, false
	}
	first, last := r[0], r[len(r)-1]
	took := last.At.Sub(first.At)
	return rate{
		at: last.At, window: took, memory: last.Memory,
		cpu: int64(float64(last.CPU-first.CPU) / took.Seconds()),
	}, true
}
