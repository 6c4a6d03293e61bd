package docker

import (
	"context"
	"errors"

	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
)

// EnsureVolume makes a named volume of this instance, with labels besides its own. One that is there already is left as
// it is; ErrConflict when that one is not the instance's.
func (e *Engine) EnsureVolume(ctx context.Context, name string, labels map[string]string) error {
	return e.call(ctx, "volume_create", name, func(ctx context.Context, c *client.Client) error {
		made, err := c.VolumeCreate(ctx, volume.CreateOptions{Name: name, Labels: e.labels(labels)})
		if err != nil {
			return err
		}
		if made.Labels[InstanceLabel] != e.instance {
			return &Error{Op: "create volume", Name: name, Kind: ErrConflict,
				Err: errors.New("a volume of that name exists and is not this instance's")}
		}
		return nil
	})
}

// RemoveVolume removes a volume and what is in it; none is no error. ErrConflict while a container has it mounted.
func (e *Engine) RemoveVolume(ctx context.Context, name string) error {
	err := e.call(ctx, "volume_remove", name, func(ctx context.Context, c *client.Client) error {
		return c.VolumeRemove(ctx, name, false)
	})
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
