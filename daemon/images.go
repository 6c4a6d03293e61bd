package daemon

import (
	"context"
	"errors"
	"log/slog"

	"skiff/daemon/config"
	"skiff/docker"
)

// Images connects to the engine that a daemon started with the same variables would use.
func Images(ctx context.Context) (config.Images, error) {
	engine, err := docker.Connect(ctx, docker.Options{Instance: "images", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	return images{engine}, nil
}

type images struct{ *docker.Engine }

func (i images) Find(ctx context.Context, ref string) ([]string, error) {
	found, err := i.Image(ctx, ref)
	if errors.Is(err, docker.ErrImageNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return append(found.RepoDigests, found.ID), nil
}

func (i images) Describe(ctx context.Context, ref string) (config.Image, bool, error) {
	found, err := i.Image(ctx, ref)
	if errors.Is(err, docker.ErrImageNotFound) {
		return config.Image{}, false, nil
	}
	return config.Image{ID: found.ID, Size: found.Size}, err == nil, err
}

func (i images) Pull(ctx context.Context, ref string, progress func(status string, current, total int64)) error {
	return i.Engine.Pull(ctx, ref, docker.PullOptions{Progress: progress})
}
