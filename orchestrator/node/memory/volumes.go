package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"skiff/docker"
)

// EnsureVolume makes a volume that holds nothing.
func (r *Runtime) EnsureVolume(ctx context.Context, name string, labels map[string]string) (string, error) {
	if err := r.enter(ctx, "volume"); err != nil {
		return "", err
	}
	defer r.mu.Unlock()
	return r.addVolume(name, labels), nil
}

// EnsureTmpfs does the same.
func (r *Runtime) EnsureTmpfs(ctx context.Context, name string, labels map[string]string, _ docker.Tmpfs) (string, error) {
	return r.EnsureVolume(ctx, name, labels)
}

// EnsureImageVolume does the same, if the image is present.
func (r *Runtime) EnsureImageVolume(ctx context.Context, name string, labels map[string]string, image string) (string, error) {
	if err := r.enter(ctx, "image volume"); err != nil {
		return "", err
	}
	defer r.mu.Unlock()
	if _, ok := r.image(image); !ok {
		return "", fmt.Errorf("no such image %q: %w", image, docker.ErrImageNotFound)
	}
	return r.addVolume(name, labels), nil
}

// addVolume returns the directory of a volume. r.mu is held.
func (r *Runtime) addVolume(name string, labels map[string]string) string {
	if _, ok := r.volumes[name]; !ok {
		r.volumes[name] = labels
	}
	return "/volumes/" + name
}

// Volumes lists the volumes that have a label, by name.
func (r *Runtime) Volumes(ctx context.Context, label string) ([]docker.Volume, error) {
	if err := r.enter(ctx, "volumes"); err != nil {
		return nil, err
	}
	defer r.mu.Unlock()
	var out []docker.Volume
	for _, name := range slices.Sorted(maps.Keys(r.volumes)) {
		if _, ok := r.volumes[name][label]; ok || label == "" {
			out = append(out, docker.Volume{Name: name, Labels: r.volumes[name]})
		}
	}
	return out, nil
}

// RemoveVolume forgets a volume.
func (r *Runtime) RemoveVolume(ctx context.Context, name string) error {
	if err := r.enter(ctx, "remove volume"); err != nil {
		return err
	}
	defer r.mu.Unlock()
	delete(r.volumes, name)
	return nil
}

// ImageFile finds no file: the images are empty.
func (r *Runtime) ImageFile(ctx context.Context, image, path, _ string, _ int64) ([]byte, error) {
	if err := r.enter(ctx, "image file"); err != nil {
		return nil, err
	}
	defer r.mu.Unlock()
	if _, ok := r.image(image); !ok {
		return nil, fmt.Errorf("no such image %q: %w", image, docker.ErrImageNotFound)
	}
	return nil, fmt.Errorf("no file %s in image %q: %w", path, image, docker.ErrNotFound)
}
