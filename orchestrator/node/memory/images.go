package memory

import (
	"context"
	"fmt"

	"skiff/docker"
)

// PauseRef is the image of sandboxes.
const PauseRef = "skiff/pause:memory"

// image finds an image. r.mu is held.
func (r *Runtime) image(ref string) (docker.Image, bool) {
	if i, ok := r.images[ref]; ok {
		return i, true
	}
	if r.o.AnyImage || ref == PauseRef {
		return docker.Image{ID: "sha256:" + newID(0, ref), RepoTags: []string{ref}}, true
	}
	return docker.Image{}, false
}

// Image finds an image by reference.
func (r *Runtime) Image(ctx context.Context, ref string) (docker.Image, error) {
	if err := r.enter(ctx, "image"); err != nil {
		return docker.Image{}, err
	}
	defer r.mu.Unlock()
	i, ok := r.image(ref)
	if !ok {
		return docker.Image{}, fmt.Errorf("no such image %q: %w", ref, docker.ErrImageNotFound)
	}
	return i, nil
}

// Images returns the images that tests have put on the engine or that were pulled.
func (r *Runtime) Images(ctx context.Context) ([]docker.Image, error) {
	if err := r.enter(ctx, "images"); err != nil {
		return nil, err
	}
	defer r.mu.Unlock()
	var out []docker.Image
	for _, i := range r.images {
		out = append(out, i)
	}
	return out, nil
}

// Pull gets an image from the registry that tests fill.
func (r *Runtime) Pull(ctx context.Context, ref string, _ docker.PullOptions) error {
	if err := r.enter(ctx, "pull"); err != nil {
		return err
	}
	defer r.mu.Unlock()
	i, ok := r.registry[ref]
	if !ok {
		return fmt.Errorf("pull access denied for %s, repository does not exist or may require 'docker login': %w", ref, docker.ErrPull)
	}
	r.images[ref] = i
	return nil
}

// PauseImage always exists.
func (r *Runtime) PauseImage(ctx context.Context) (string, error) {
	if err := r.enter(ctx, "pause image"); err != nil {
		return "", err
	}
	defer r.mu.Unlock()
	return PauseRef, nil
}

// Build puts an image on the engine that was never in a registry.
func (r *Runtime) Build(ref string) {
	r.Load(ref, docker.Image{ID: "sha256:" + newID(0, ref), RepoTags: []string{ref}})
}

// Load puts an image on the engine.
func (r *Runtime) Load(ref string, i docker.Image) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.images[ref] = i
}

// Unload removes an image.
func (r *Runtime) Unload(ref string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.images, ref)
}

// Publish puts an image in the registry; without a digest it gets one.
func (r *Runtime) Publish(ref string, i docker.Image) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i.ID == "" {
		i.ID = "sha256:" + newID(0, ref)
	}
	if len(i.RepoDigests) == 0 {
		i.RepoDigests = []string{ref + "@sha256:" + newID(1, ref)}
	}
	r.registry[ref] = i
}
