package docker

import (
	"archive/tar"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
)

// AddFiles makes an image of another one and of the files in an archive in tar's format, which is unpacked
// at the root, and gives it a name. No builder is needed: the files are copied into a container that is
// never started. Reading from archive must end when ctx does. Errors: ErrImageNotFound; ErrInvalid, for a
// broken archive, and for a file in a volume of the image, which is no part of it.
func (e *Engine) AddFiles(ctx context.Context, image, name string, archive io.Reader) error {
	return e.stream(ctx, "image_add", name, func(ctx context.Context, c *client.Client) (err error) {
		base, err := c.ImageInspect(ctx, image)
		if err != nil {
			return err
		}
		id, err := e.createForFiles(ctx, c, image)
		if err != nil {
			return err
		}
		defer func() {
			bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.timeout)
			defer cancel()
			err = errors.Join(err, c.ContainerRemove(bounded, id, container.RemoveOptions{Force: true, RemoveVolumes: true}))
		}()
		config := configOf(base)
		err = upload(ctx, c, id, "/", archive, func(header *tar.Header) error { return outsideVolumes(config, header) })
		if err != nil {
			return err
		}
		_, err = c.ContainerCommit(ctx, id, container.CommitOptions{Reference: name, Config: config})
		return err
	})
}

// createForFiles creates the container. It has no labels, because the image would get them. The engine goes on
// with it when its client hangs up: see [Engine.change].
func (e *Engine) createForFiles(ctx context.Context, c *client.Client, image string) (id string, err error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.timeout)
	defer cancel()
	made, err := c.ContainerCreate(bounded, &container.Config{Image: image, Cmd: []string{"-"}},
		&container.HostConfig{NetworkMode: "none"}, nil, nil, "skiff_files_"+rand.Text())
	if errors.Is(err, context.DeadlineExceeded) {
		return "", e.hung("create", image)
	}
	return made.ID, err
}

// configOf is the configuration of an image, for one that is committed from a container of it: the container's
// own command would become the image's otherwise. To the engine an entrypoint that is an empty word is none.
func configOf(base image.InspectResponse) *container.Config {
	config := &container.Config{Labels: map[string]string{}}
	if b := base.Config; b != nil {
		config = &container.Config{
			User: b.User, Env: b.Env, Entrypoint: b.Entrypoint, Cmd: b.Cmd, WorkingDir: b.WorkingDir, Labels: b.Labels,
			StopSignal: b.StopSignal, Volumes: b.Volumes, Shell: b.Shell,
		}
	}
	if len(config.Entrypoint) == 0 && len(config.Cmd) == 0 {
		config.Entrypoint = []string{""}
	}
	return config
}

// outsideVolumes is ErrInvalid for a file in a volume that a container of the image gets: the file would be the
// volume's, and gone with it.
func outsideVolumes(config *container.Config, header *tar.Header) error {
	name := path.Join("/", header.Name)
	for volume := range config.Volumes {
		at := path.Join("/", volume)
		if name == at && header.Typeflag == tar.TypeDir {
			continue
		}
		if name == at || strings.HasPrefix(name, strings.TrimSuffix(at, "/")+"/") {
			return &Error{Op: "image_add", Kind: ErrInvalid, Err: fmt.Errorf("%s lies in %s, a volume of the image, whose files are not the image's", name, volume)}
		}
	}
	return nil
}
