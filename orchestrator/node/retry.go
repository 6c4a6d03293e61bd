package node

import (
	"context"
	"sync"
	"time"
)

// retryDelay is the wait before something that should have worked is tried again.
const retryDelay = time.Second

// pause waits for d, or until ctx ends.
func (a *Agent) pause(ctx context.Context, d time.Duration) {
	timer := a.Clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C():
	case <-ctx.Done():
	}
}

// withTimeout is context.WithTimeout by the agent's clock. The context's goroutine has ended when
// cancel returns.
func (a *Agent) withTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	timer := a.Clock.NewTimer(d)
	var timing sync.WaitGroup
	timing.Go(func() {
		defer timer.Stop()
		select {
		case <-timer.C():
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, func() { cancel(); timing.Wait() }
}
