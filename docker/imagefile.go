package docker

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
)

// ImageFile reads at most limit bytes of a regular file of an image: of etc/passwd, for example. The
// name is that of a container that is created for it and removed again; one that a daemon left is
// used. Errors: ErrNotFound when the image has no such file, ErrInvalid when it is not a regular one,
// ErrImageNotFound.
func (e *Engine) ImageFile(ctx context.Context, image, path, name string, limit int64) (data []byte, err error) {
	err = e.change(ctx, "image_file", image, func(ctx context.Context, c *client.Client) error {
		_, err := c.ContainerCreate(ctx, &container.Config{Image: image, Cmd: []string{"-"}, Labels: e.labels(nil)},
			&container.HostConfig{NetworkMode: "none"}, nil, nil, name)
		if err != nil && !errors.Is(fail("create", name, e.at.Host, err), ErrConflict) {
			return err
		}
		data, err = readFile(ctx, c, name, path, limit)
		if removed := c.ContainerRemove(ctx, name, container.RemoveOptions{Force: true, RemoveVolumes: true}); removed != nil {
			e.log.Warn("a container that was to read a file of an image stays behind", "container", name, "error", removed)
		}
		return err
	})
	return data, err
}

func readFile(ctx context.Context, c *client.Client, id, path string, limit int64) ([]byte, error) {
	archive, _, err := c.CopyFromContainer(ctx, id, path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = archive.Close() }() // only read from
	files := tar.NewReader(archive)
	header, err := files.Next()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if header.Typeflag != tar.TypeReg {
		return nil, &Error{Op: "read", Name: path, Kind: ErrInvalid, Err: errors.New("not a regular file")}
	}
	data, err := io.ReadAll(io.LimitReader(files, limit))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return data, nil
}
