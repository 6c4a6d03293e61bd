package memory

import (
	"context"
	"fmt"
	"io"
	"time"

	"skiff/docker"
)

// Logs writes what was printed. A log that is followed ends with the container, or with ctx.
func (r *Runtime) Logs(ctx context.Context, id string, o docker.LogOptions, stdout, _ io.Writer) error {
	if err := r.enter(ctx, "logs"); err != nil {
		return err
	}
	c, err := r.find(id)
	if err != nil {
		r.mu.Unlock()
		return err
	}
	lines, dead := chosen(c.log, o), c.dead
	running := c.State == docker.Running
	r.mu.Unlock()
	for _, l := range lines {
		if o.Timestamps {
			l.text = l.at.UTC().Format(time.RFC3339Nano) + " " + l.text
		}
		if _, err := fmt.Fprintln(stdout, l.text); err != nil {
			return err
		}
	}
	if !o.Follow || !running {
		return nil
	}
	select {
	case <-dead:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func chosen(log []line, o docker.LogOptions) []line {
	var out []line
	for _, l := range log {
		if !l.at.Before(o.Since) {
			out = append(out, l)
		}
	}
	if o.Tail >= 0 && int(o.Tail) < len(out) {
		out = out[len(out)-int(o.Tail):]
	}
	return out
}

// Exec returns what the test has set with Answer.
func (r *Runtime) Exec(ctx context.Context, id string, x docker.ExecSpec) (int, error) {
	if err := r.enter(ctx, "exec"); err != nil {
		return 0, err
	}
	c, err := r.find(id)
	if err == nil && c.State != docker.Running {
		err = fmt.Errorf("container %s: %w", id, docker.ErrNotRunning)
	}
	if err != nil {
		r.mu.Unlock()
		return 0, err
	}
	state, exec := c.Container, r.exec
	r.mu.Unlock()
	if exec == nil {
		return 0, nil
	}
	code, said := exec(state, x.Cmd)
	if x.Streams.Out != nil {
		if _, err := io.WriteString(x.Streams.Out, said); err != nil {
			return 0, err
		}
	}
	return code, nil
}

// Attach returns when the container ends. It neither reads nor writes anything.
func (r *Runtime) Attach(ctx context.Context, id string, _ docker.Streams) error {
	if err := r.enter(ctx, "attach"); err != nil {
		return err
	}
	c, err := r.find(id)
	if err == nil && c.State != docker.Running {
		err = fmt.Errorf("container %s: %w", id, docker.ErrNotRunning)
	}
	if err != nil {
		r.mu.Unlock()
		return err
	}
	dead := c.dead
	r.mu.Unlock()
	select {
	case <-dead:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
