package up

import (
	"context"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/sync/errgroup"
	"k8s.io/utils/clock"

	"skiff/cli/client"
	"skiff/cli/logs"
)

// tails are the ends of logs that the tree shows. They are read beside the view, which does not wait for
// them.
type tails struct {
	client *client.Client
	clock  clock.PassiveClock
	group  *errgroup.Group
	// changed is called when one has been read.
	changed func()

	mu  sync.Mutex
	all map[instance]tail
}

// tail is the end of a log, and when it was asked for.
type tail struct {
	lines []string
	asked time.Time
}

// tailAge is how old the end of a log may be that is still being written.
const tailAge = 2 * time.Second

func newTails(c *client.Client, clk clock.PassiveClock, group *errgroup.Group, changed func()) *tails {
	return &tails{client: c, clock: clk, group: group, changed: changed, all: map[instance]tail{}}
}

// get returns what is known of a log's end and has it read where that is nothing, or old. over means that
// the container has ended and was restarted: its log is the previous one, and stays as it is.
func (t *tails) get(ctx context.Context, i instance, over bool) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	known, ok := t.all[i]
	if now := t.clock.Now(); !ok || !over && now.Sub(known.asked) >= tailAge {
		known.asked = now
		t.all[i] = known
		t.group.Go(func() error {
			t.read(ctx, i, over)
			return nil
		})
	}
	return known.lines
}

func (t *tails) read(ctx context.Context, i instance, over bool) {
	text := strings.TrimSpace(logs.Tail(ctx, t.client, i.source, tailShown, over))
	if text == "" {
		return
	}
	t.mu.Lock()
	known := t.all[i]
	known.lines = strings.Split(text, "\n")
	for n, l := range known.lines {
		known.lines[n] = printable(l)
	}
	t.all[i] = known
	t.mu.Unlock()
	t.changed()
}

// printable is a line of a log without what would move the cursor.
func printable(l string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, l)
}
