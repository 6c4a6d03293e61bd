package wait

import (
	"context"
	"fmt"
	"sync"

	"skiff/cli/command"
	"skiff/cli/resource"
)

// first waits until the first of several conditions holds, and ends with an exit code that says which.
// Those that never can, as the completion of a job that has failed, do not end the wait as long as another
// one may.
func first(ctx context.Context, all []*waiter, f resource.Finder, targets []resource.Target, env *command.Env) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type outcome struct {
		at  int
		err error
	}
	ended := make(chan outcome, len(all))
	var waiting sync.WaitGroup
	for i, w := range all {
		waiting.Go(func() { ended <- outcome{i, w.all(ctx, f, targets)} })
	}
	errs := make([]error, len(all))
	for range all {
		o := <-ended
		if o.err != nil {
			errs[o.at] = o.err
			continue
		}
		cancel()
		waiting.Wait()
		fmt.Fprint(env.Out, all[o.at].said.String())
		if o.at == 0 {
			return nil
		}
		return command.Exit{Code: o.at + 1}
	}
	waiting.Wait()
	return command.Join(errs...)
}
