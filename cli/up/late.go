package up

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/utils/clock"

	"skiff/cli/command"
)

// errLate is the cause of the end of a context whose time is up.
var errLate = errors.New("the time is up")

// bounded returns a context that ends after d, by clk, or never for 0. What waits for it belongs to
// group and ends with the context, which stop ends early.
func bounded(ctx context.Context, group *errgroup.Group, clk clock.Clock, d time.Duration) (timely context.Context, stop func()) {
	timely, end := context.WithCancelCause(ctx)
	stop = func() { end(nil) }
	if d <= 0 {
		return timely, stop
	}
	timer := clk.NewTimer(d)
	group.Go(func() error {
		defer timer.Stop()
		select {
		case <-timely.Done():
		case <-timer.C():
			end(errLate)
		}
		return nil
	})
	return timely, stop
}

// late reports whether a context has ended because its time was up.
func late(ctx context.Context) bool { return errors.Is(context.Cause(ctx), errLate) }

// inTime is the error of applying, which says what was waited for when the time was up, after
// whatever had been refused by then.
func (r *runner) inTime(timely context.Context, err error) error {
	if err == nil || !late(timely) || !errors.Is(err, context.Canceled) {
		return err
	}
	var refused error
	var all utilerrors.Aggregate
	if errors.As(err, &all) {
		refused = utilerrors.FilterOut(all, func(err error) bool { return errors.Is(err, context.Canceled) })
	}
	return command.Join(refused, fmt.Errorf("timed out after %s waiting for %s", r.timeout, r.waiting))
}
