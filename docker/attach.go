package docker

import (
	"context"
	"net/url"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
)

// Attach connects the streams with a container's main process until that ends, or ctx does (then
// its error is returned). What the process wrote earlier is not repeated. Whether there is a
// terminal is the container's matter, whatever Streams.TTY says. Errors: ErrNotRunning,
// ErrNotFound. As with Exec, the caller closes In.
func (e *Engine) Attach(ctx context.Context, id string, streams Streams) error {
	found, err := e.inspect(ctx, id)
	if err != nil {
		return err
	}
	if found.State == nil || !found.State.Running { // the engine would wait for the next start
		return &Error{Op: "attach", Name: id, Kind: ErrNotRunning, Err: ErrNotRunning}
	}
	streams.TTY = found.Config != nil && found.Config.Tty
	return e.stream(ctx, "attach", id, func(ctx context.Context, c *client.Client) error {
		s, err := e.hijack(ctx, c, "/containers/"+id+"/attach", attachQuery(streams), nil)
		if err != nil {
			return err
		}
		defer s.close()
		return s.serve(ctx, streams, func(ctx context.Context, size Size) error {
			return c.ContainerResize(ctx, id, container.ResizeOptions{Height: uint(size.Height), Width: uint(size.Width)})
		})
	})
}

func attachQuery(s Streams) url.Values {
	query := url.Values{"stream": {"1"}}
	for name, wanted := range map[string]bool{"stdin": s.In != nil, "stdout": s.Out != nil, "stderr": s.Err != nil} {
		if wanted {
			query.Set(name, "1")
		}
	}
	if keys := detachKeysFor(s); keys != "" {
		query.Set("detachKeys", keys)
	}
	return query
}
