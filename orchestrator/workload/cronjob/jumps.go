package cronjob

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"skiff/orchestrator/controller"
)

// The queue's timers measure time that passes, and schedules speak of the time of
// day. When that is set, or the machine has slept, the two part.
const (
	// lookout is the time between two looks at the time of day.
	lookout = 10 * time.Second
	// tolerance is how late a busy machine may be for such a look.
	tolerance = 2 * time.Second
)

// clockJumps puts in all CronJobs when the time of day has gone another way than
// time has.
func (c *Controller) clockJumps(ctx context.Context, queue controller.Queue[types.NamespacedName]) (func(), error) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.watchClock(ctx, queue)
	}()
	return func() { cancel(); <-ended }, nil
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
