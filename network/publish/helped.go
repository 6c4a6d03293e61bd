package publish

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// closeTimeout is how long the helper may take to close what is open when the publisher ends.
const closeTimeout = 10 * time.Second

// owned is a port of the helper's and whose it is.
type owned struct {
	owner string
	port  Port
}

// helped are the ports that a helper holds. Without a helper it is nil, and does nothing.
type helped struct {
	helper Helper

	mu   sync.Mutex // also over calls of the helper: one port after another
	open map[place]owned
	// closed says that the publisher has ended.
	closed bool
}

// set opens by way of the helper what this process was not permitted to open, and closes what the owner had
// so and does not want any more, or has by itself. The error is of the latter.
func (h *helped) set(ctx context.Context, owner string, results []Result) error {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil
	}
	wanted := map[place]bool{}
	for i := range results {
		r := &results[i]
		if !forbidden(r.Err) || r.Proxy { // a helper can't say who calls
			continue
		}
		at := place{r.Protocol, r.At}
		wanted[at] = true
		if has, ok := h.open[at]; ok && has.owner != owner {
			r.Err = fmt.Errorf("%w by %s", ErrTaken, has.owner)
			continue
		}
		// Also if it is open already: somebody may have taken it away.
		if r.Err = h.helper.Open(ctx, r.Port); r.Err == nil {
			h.open[at] = owned{owner, r.Port}
		}
	}
	var errs []error
	for at, has := range h.open {
		if has.owner == owner && !wanted[at] {
			errs = append(errs, h.close(ctx, at, has))
		}
	}
	return errors.Join(errs...)
}

// end closes everything.
func (h *helped) end(ctx context.Context) error {
	if h == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	clear(h.open)
	return h.helper.CloseAll(ctx)
}

// close closes a port. One that could not be closed is tried again with the next change. h.mu is held.
func (h *helped) close(ctx context.Context, at place, has owned) error {
	if err := h.helper.Close(ctx, has.port); err != nil {
		return fmt.Errorf("closing %s: %w", has.port, err)
	}
	delete(h.open, at)
	return nil
}
