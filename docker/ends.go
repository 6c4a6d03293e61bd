package docker

import (
	"context"
	"sync"
	"time"

	"github.com/docker/docker/api/types/versions"
)

// sideBySideAPI is the first API version of engines on which containers may end at the same time.
// When two leave a network at once, older engines now and then deadlock and answer nothing more
// until they are restarted (moby/moby#42545: getSvcRecords and processEndpointDelete take their
// locks in opposite orders). On those, containers take turns.
const sideBySideAPI = "1.42"

// A turn ends when the container is dead, or else after this time: a container that does not react
// to its signal, or can't be killed, does not keep the others waiting.
const (
	signalTurn = 100 * time.Millisecond
	killTurn   = time.Second
)

// turn waits until no other container of this daemon is about to end, where the engine needs that.
// The caller's turn lasts until it calls done, and no longer than limit.
func (e *Engine) turn(ctx context.Context, limit time.Duration) (done func(), err error) {
	c, err := e.client(ctx)
	if err != nil || versions.GreaterThanOrEqualTo(c.ClientVersion(), sideBySideAPI) {
		return func() {}, nil // the call that follows reports an engine that is away
	}
	if err := e.ends.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	over, timer := make(chan struct{}), e.clock.NewTimer(limit)
	var watch sync.WaitGroup
	watch.Go(func() {
		defer timer.Stop()
		select {
		case <-timer.C():
		case <-over:
		}
		e.ends.Release(1)
	})
	return sync.OnceFunc(func() { close(over); watch.Wait() }), nil
}
