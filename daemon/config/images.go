package config

import (
	"context"
	"io"

	"skiff/docker/buildcontext"
)

// Images is what commands ask of the engine itself, where an application's images are built and kept.
type Images interface {
	// Find returns the names by which the status of a container may call the image that a reference
	// stands for now: its ID and its digests. None means that the engine does not have it.
	Find(ctx context.Context, ref string) ([]string, error)
	// Describe says what the engine has under a reference; ok is false if there is nothing.
	Describe(ctx context.Context, ref string) (image Image, ok bool, err error)
	// Pull fetches an image from its registry. progress, which may be nil, is told what is going on and,
	// while layers are fetched, the bytes fetched and to fetch.
	Pull(ctx context.Context, ref string, progress func(status string, current, total int64)) error
	// Build makes an image and writes what the builder says to progress.
	Build(ctx context.Context, b buildcontext.Spec, progress io.Writer) error
	// CopyTo unpacks an archive in tar's format into a directory of a container.
	CopyTo(ctx context.Context, container, dir string, archive io.Reader) error
	// AddFiles gives a name to a new image: another one with the files of an archive in tar's format, from
	// the root, added.
	AddFiles(ctx context.Context, image, name string, archive io.Reader) error
	Close() error
}

// Image is an image on the engine.
type Image struct {
	ID string
	// Size is in bytes.
	Size int64
}
