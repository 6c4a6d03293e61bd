package up

import (
	"context"
	"os"
	"sync"
	"time"

	"skiff/cli/command"
)

// interrupts turns the first Ctrl-C and the second into the ends of two contexts.
type interrupts struct {
	first, second context.Context
	end           func()
}

// same is how close together two notices of one Ctrl-C may come: the caller's context ends by it too.
const same = 300 * time.Millisecond

// watchInterrupts begins to listen. Neither context ends by parent's values or deadline alone: parent's end counts as a
// first interrupt.
func watchInterrupts(parent context.Context, env *command.Env) *interrupts {
	base := context.WithoutCancel(parent)
	first, cancelFirst := context.WithCancel(base)
	second, cancelSecond := context.WithCancel(base)
	var signals <-chan os.Signal
	stop := func() {}
	if env.Terminal.Interrupts != nil {
		signals, stop = env.Terminal.Interrupts()
	}
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		select {
		case <-done:
			return
		case <-parent.Done():
		case <-signals:
		}
		began := env.Now()
		cancelFirst()
		for {
			select {
			case <-done:
				return
			case <-signals:
				if env.Clock.Since(began) > same {
					cancelSecond()
					return
				}
			}
		}
	})
	end := func() {
		stop()
		close(done)
		running.Wait()
		cancelFirst()
		cancelSecond()
	}
	return &interrupts{first: first, second: second, end: end}
}
