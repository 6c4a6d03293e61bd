package cronjob

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"skiff/orchestrator/controller"
)

// The queue's timers measure elapsed time, schedules speak of the time of day. The two differ after
// the clock was set or the machine has slept.
const (
	// lookout is the time between two looks at the time of day.
	lookout = 10 * time.Second
	// tolerance is how late a busy machine may be for such a look.
	tolerance = 2 * time.Second
)

// clockJumps queues all CronJobs when the time of day has moved by another amount than time has
// passed.
func (c *Controller) clockJumps(ctx context.Context, queue controller.Queue[types.NamespacedName]) (func(), error) {
	ctx, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { c.watchClock(ctx, queue) })
	return func() { cancel(); watch.Wait() }, nil
}

func (c *Controller) watchClock(ctx context.Context, queue controller.Queue[types.NamespacedName]) {
	ticker := c.options.Clock.NewTicker(lookout)
	defer ticker.Stop()
	// Round drops the reading of time that passes.
	last := c.options.Clock.Now().Round(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
		}
		now := c.options.Clock.Now().Round(0)
		if off := now.Sub(last) - lookout; off.Abs() > tolerance {
			c.logger.Info("the time of day has jumped, looking at all schedules", "by", off)
			for _, cron := range c.options.CronJobs.List("", nil) {
				queue.Add(controller.NameOf(cron))
			}
		}
		last = now
	}
}
