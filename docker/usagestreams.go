package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
)

// usageLinger is how long a stream is held open after somebody has asked for what it tells: longer
// than autoscalers take between two looks.
const usageLinger = 40 * time.Second

// usageStreams are the engine's streams of statistics, one a container. A single reading takes the
// engine up to a second, whereas a stream has one each second for everybody. There are none, and
// nothing runs, while nobody asks.
type usageStreams struct {
	mu      sync.Mutex
	open    map[string]*usageStream
	running sync.WaitGroup
	// ctx is that of all streams, made with the first of them and ended by close.
	ctx    context.Context
	cancel context.CancelFunc
}

// usageStream is what one container's stream has told. The lock of all guards it.
type usageStream struct {
	asked time.Time
	last  Usage
	err   error
	// told is closed when there is a first reading, or never will be.
	told chan struct{}
	once sync.Once
}

// streamed is the latest reading of a container. ok is false for one that does not run.
func (e *Engine) streamed(ctx context.Context, id string) (u Usage, ok bool, err error) {
	s := e.followed(id)
	select {
	case <-s.told:
	case <-ctx.Done():
		return Usage{}, false, ctx.Err()
	}
	e.streams.mu.Lock()
	defer e.streams.mu.Unlock()
	if errors.Is(s.err, ErrNotFound) {
		return Usage{}, false, nil
	}
	return s.last, s.last.CPU != 0 || s.last.Memory != 0, s.err
}

// followed is the stream of a container, opened unless it is open.
func (e *Engine) followed(id string) *usageStream {
	all := &e.streams
	all.mu.Lock()
	defer all.mu.Unlock()
	if s, ok := all.open[id]; ok {
		s.asked = e.clock.Now()
		return s
	}
	if all.ctx == nil {
		all.ctx, all.cancel = context.WithCancel(context.Background()) //nolint:forbidigo // streams outlive who asks for them; close ends them
		all.open = map[string]*usageStream{}
	}
	s, ctx := &usageStream{asked: e.clock.Now(), told: make(chan struct{})}, all.ctx
	all.open[id] = s
	all.running.Go(func() { e.followUsage(ctx, id, s) })
	return s
}

// followUsage reads a stream until nobody has asked for a while, or until it ends.
func (e *Engine) followUsage(ctx context.Context, id string, s *usageStream) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var reader sync.WaitGroup
	reader.Go(func() {
		defer cancel()
		err := e.stream(ctx, "stats", id, func(ctx context.Context, c *client.Client) error { return e.readUsage(ctx, c, id, s) })
		e.streams.end(id, s, err)
	})
	defer reader.Wait()
	timer := e.clock.NewTimer(usageLinger)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C():
			idle := e.streams.idle(s, e.clock.Now())
			if idle >= usageLinger {
				cancel()
				return
			}
			timer.Reset(usageLinger - idle)
		}
	}
}

// readUsage notes what a stream tells until it ends. The engine's clock may differ from this
// machine's, by which readings are told to be from: only differences of the engine's are used.
func (e *Engine) readUsage(ctx context.Context, c *client.Client, id string, s *usageStream) error {
	answer, err := c.ContainerStats(ctx, id, true)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }() // only read from
	var ahead time.Duration
	for decoder := json.NewDecoder(answer.Body); ; {
		var told container.StatsResponse
		if err := decoder.Decode(&told); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read statistics: %w", err)
		}
		u := usageOf(&told)
		if u.CPU == 0 && u.Memory == 0 {
			return nil // it does not run any more, or not yet
		}
		if ahead == 0 {
			ahead = e.clock.Now().Sub(told.Read)
		}
		u.At = told.Read.Add(ahead)
		e.streams.note(s, u)
	}
}

func (a *usageStreams) note(s *usageStream, u Usage) {
	a.mu.Lock()
	s.last = u
	a.mu.Unlock()
	s.once.Do(func() { close(s.told) })
}

// end forgets a stream: who asks next opens another.
func (a *usageStreams) end(id string, s *usageStream, err error) {
	a.mu.Lock()
	s.last, s.err = Usage{}, err
	if a.open[id] == s {
		delete(a.open, id)
	}
	a.mu.Unlock()
	s.once.Do(func() { close(s.told) })
}

func (a *usageStreams) idle(s *usageStream, now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return now.Sub(s.asked)
}

// close ends all streams.
func (a *usageStreams) close() {
	a.mu.Lock()
	if a.cancel != nil {
		a.cancel()
		a.ctx, a.cancel = nil, nil
	}
	a.mu.Unlock()
	a.running.Wait()
}
