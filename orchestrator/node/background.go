package node

import (
	"context"
	"sync"
)

// background runs the goroutines of what takes time.
type background struct {
	ctx   context.Context
	group sync.WaitGroup
}

// open sets the context in which goroutines run.
func (b *background) open(ctx context.Context) { b.ctx = ctx }

// start runs a function in a goroutine. Its context ends with that of open, or when cancel is
// called.
func (b *background) start(run func(ctx context.Context)) (cancel context.CancelFunc) {
	ctx, cancel := context.WithCancel(b.ctx)
	b.group.Go(func() {
		defer cancel()
		run(ctx)
	})
	return cancel
}

// wait returns when all goroutines have ended.
func (b *background) wait() { b.group.Wait() }
