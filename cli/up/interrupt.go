package up

import (
	"context"
	"os"
	"sync"
	"time"

	"skiff/cli/command"
)

// interrupts cancels one context on the first Ctrl-C and another on the second.
type interrupts struct {
	first, second context.Context
	end           func()
}

// same is how close together two notices of a single Ctrl-C may be: it ends the caller's context
// too.
const same = 300 * time.Millisecond

// watchInterrupts begins to listen. The end of parent counts as a first interrupt; otherwise
// neither context ends with it.
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
