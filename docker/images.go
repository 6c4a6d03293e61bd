package docker

import (
	"context"
	"maps"
	"slices"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
)

// Image tells of one image, by reference or ID. ErrImageNotFound where the engine does not have it.
func (e *Engine) Image(ctx context.Context, ref string) (Image, error) {
	var found image.InspectResponse
	err := e.call(ctx, "image_inspect", ref, func(ctx context.Context, c *client.Client) (err error) {
		found, err = c.ImageInspect(ctx, ref)
		return err
	})
	if err != nil {
		return Image{}, err
	}
	i := Image{ID: found.ID, RepoTags: found.RepoTags, RepoDigests: found.RepoDigests, Size: found.Size}
	if config := found.Config; config != nil {
		i.User, i.Entrypoint, i.Cmd, i.Env = config.User, config.Entrypoint, config.Cmd, config.Env
		i.WorkingDir, i.StopSignal, i.Labels = config.WorkingDir, config.StopSignal, config.Labels
		i.Volumes = slices.Sorted(maps.Keys(config.Volumes))
	}
	return i, nil
}

// Images lists the engine's images, whoever brought them there.
func (e *Engine) Images(ctx context.Context) ([]Image, error) {
	var found []image.Summary
	err := e.call(ctx, "image_list", "", func(ctx context.Context, c *client.Client) (err error) {
		found, err = c.ImageList(ctx, image.ListOptions{})
		return err
	})
	if err != nil {
		return nil, err
	}
	list := make([]Image, 0, len(found))
	for _, one := range found {
		list = append(list, Image{
			ID: one.ID, RepoTags: named(one.RepoTags, "<none>:<none>"),
			RepoDigests: named(one.RepoDigests, "<none>@<none>"), Size: one.Size,
		})
	}
	return list, nil
}

// named leaves out what older engines write for an image without a name.
func named(refs []string, none string) []string {
	return slices.DeleteFunc(refs, func(ref string) bool { return ref == none })
}
