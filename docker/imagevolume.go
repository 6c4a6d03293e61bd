package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"golang.org/x/sync/errgroup"
)

// EnsureImageVolume makes a named volume of this instance that holds the files of an image, and gives
// its directory on the engine's machine. The engine copies the files itself: they keep their owners
// and modes, wherever it runs. A volume that is there already is left as it is. Errors:
// ErrImageNotFound; ErrConflict when the volume is not the instance's.
func (e *Engine) EnsureImageVolume(ctx context.Context, name string, labels map[string]string, image string) (path string, err error) {
	found, err := e.volume(ctx, name)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return "", err
	}
	if err == nil {
		// As long as the container by which it is filled is there, a volume is not complete.
		if _, err := e.Inspect(ctx, opener(name)); errors.Is(err, ErrNotFound) {
			return found.Mountpoint, nil
		}
	}
	if err := e.fill(ctx, name, labels, image); err != nil {
		return "", err
	}
	found, err = e.volume(ctx, name)
	return found.Mountpoint, err
}

// sourceLabel is on the container by which a volume is filled, and names the one from which.
const sourceLabel = "skiff/source"

// fill copies the files of an image into a volume, through two containers that are never started: one
// made from the image, and one that has the volume mounted. The latter is created first and removed
// last, so that what a daemon leaves that dies in between is found again.
func (e *Engine) fill(ctx context.Context, volume string, labels map[string]string, image string) error {
	pause, err := e.PauseImage(ctx)
	if err != nil {
		return fmt.Errorf("filling volume %s: %w", volume, err)
	}
	source := volume + "_source"
	target := mounts([]Mount{{Type: "volume", Source: volume, Target: "/data"}})
	target[0].VolumeOptions.Labels = e.labels(labels)
	return e.stream(ctx, "volume_fill", volume, func(ctx context.Context, c *client.Client) error {
		for _, one := range []struct {
			name   string
			config *container.Config
			host   *container.HostConfig
		}{
			{opener(volume), &container.Config{Image: pause, Labels: e.labels(map[string]string{sourceLabel: source})}, &container.HostConfig{Mounts: target}},
			{source, &container.Config{Image: image, Cmd: []string{"-"}, Labels: e.labels(nil)}, &container.HostConfig{}},
		} {
			one.host.NetworkMode = "none"
			_, err := c.ContainerCreate(ctx, one.config, one.host, nil, nil, one.name)
			if err != nil && !errors.Is(fail("create", one.name, e.at.Host, err), ErrConflict) { // a predecessor's will do
				return err
			}
		}
		if err := copyFiles(ctx, c, source, opener(volume)); err != nil {
			return err
		}
		for _, name := range []string{source, opener(volume)} {
			if err := c.ContainerRemove(ctx, name, container.RemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
				return err
			}
		}
		return nil
	})
}

// copyFiles copies the files of a container that was never started into /data of another.
func copyFiles(ctx context.Context, c *client.Client, from, to string) error {
	found, err := c.ContainerInspect(ctx, from)
	if err != nil {
		return err
	}
	created, err := time.Parse(time.RFC3339Nano, found.Created)
	if err != nil {
		return fmt.Errorf("read the time at which %s was created: %w", from, err)
	}
	files, err := c.ContainerExport(ctx, from)
	if err != nil {
		return err
	}
	defer func() { _ = files.Close() }() // only read from
	read, write := io.Pipe()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		err := imageFiles(files, write, created)
		write.CloseWithError(err) // never fails
		return err
	})
	group.Go(func() error {
		err := c.CopyToContainer(ctx, to, "/", read, container.CopyToContainerOptions{})
		read.CloseWithError(errors.Join(err, io.ErrClosedPipe)) // never fails
		return err
	})
	return group.Wait()
}
