package docker

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/docker/docker/client"
)

// CopyFrom reads at most max bytes from the start of a regular file in a container, running or not.
// ErrNotFound where there is no such file or container, ErrInvalid where it is no regular file (a symbolic link, which
// would lead out of what is asked for, is not followed).
func (e *Engine) CopyFrom(ctx context.Context, id, path string, max int64) (data []byte, err error) {
	err = e.call(ctx, "copy", id, func(ctx context.Context, c *client.Client) error {
		archive, _, err := c.CopyFromContainer(ctx, id, path)
		if err != nil {
			return err
		}
		defer func() { _ = archive.Close() }() // only read from
		data, err = firstFile(archive, max)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	})
	return data, err
}

func firstFile(archive io.Reader, max int64) ([]byte, error) {
	files := tar.NewReader(archive)
	header, err := files.Next()
	if errors.Is(err, io.EOF) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read archive: %w", err)
	}
	if header.Typeflag != tar.TypeReg {
		return nil, fmt.Errorf("%w: not a regular file", ErrInvalid)
	}
	data, err := io.ReadAll(io.LimitReader(files, max))
	if err != nil {
		return nil, fmt.Errorf("read archive: %w", err)
	}
	return data, nil
}
