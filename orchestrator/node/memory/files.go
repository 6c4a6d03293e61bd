package memory

import (
	"context"
	"fmt"
	"io"

	"skiff/docker"
)

// StatPath, CopyTo and CopyFrom fail: a container in memory has no files.

// StatPath implements node.Runtime.
func (r *Runtime) StatPath(_ context.Context, id, name string) (docker.PathStat, error) {
	return docker.PathStat{}, noFiles(id, name)
}

// CopyTo implements node.Runtime.
func (r *Runtime) CopyTo(_ context.Context, id, dir string, _ io.Reader) error {
	return noFiles(id, dir)
}

// CopyFrom implements node.Runtime.
func (r *Runtime) CopyFrom(_ context.Context, id, name string, _ io.Writer) error {
	return noFiles(id, name)
}

func noFiles(id, name string) error {
	return fmt.Errorf("%s of container %s, which is simulated: %w", name, id, docker.ErrNotFound)
}
