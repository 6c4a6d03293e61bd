package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
)

// EnsureVolume makes a named volume of this instance, with labels besides its own, that any user
// may write to, and gives the directory in which the engine keeps it, on the engine's machine. One
// that is there already is left as it is; ErrConflict when that one is not the instance's.
func (e *Engine) EnsureVolume(ctx context.Context, name string, labels map[string]string) (path string, err error) {
	found, err := e.volume(ctx, name)
	if err == nil {
		return found.Mountpoint, e.open(ctx, name, false)
	}
	if !errors.Is(err, ErrNotFound) {
		return "", err
	}
	err = e.call(ctx, "volume_create", name, func(ctx context.Context, c *client.Client) error {
		made, err := c.VolumeCreate(ctx, volume.CreateOptions{Name: name, Labels: e.labels(labels)})
		path = made.Mountpoint
		return err
	})
	if err == nil {
		err = e.open(ctx, name, true)
	}
	return path, err
}

// volume finds a volume of this instance.
func (e *Engine) volume(ctx context.Context, name string) (found volume.Volume, err error) {
	err = e.call(ctx, "volume_inspect", name, func(ctx context.Context, c *client.Client) (err error) {
		found, err = c.VolumeInspect(ctx, name)
		return err
	})
	if err == nil && found.Labels[InstanceLabel] != e.instance {
		err = errNotOurs(name)
	}
	return found, err
}

// opener is the name of the container by which a new volume's mode is set. As long as it is there,
// the volume is not ready.
func opener(volume string) string { return volume + "_open" }

// open lets every user write to a new volume, as container runtimes' own provisioners do: the
// engine makes it root's. The volume's directory may be on another machine, or root's alone, so
// that the engine has to do it: a directory that is copied into a container gives its mode to the
// one that is there. The container is never started.
func (e *Engine) open(ctx context.Context, volume string, fresh bool) error {
	name := opener(volume)
	if _, err := e.Inspect(ctx, name); errors.Is(err, ErrNotFound) && !fresh {
		return nil
	}
	image, err := e.PauseImage(ctx)
	if err != nil {
		return fmt.Errorf("opening volume %s: %w", volume, err)
	}
	archive, err := openDirectory("data")
	if err != nil {
		return fmt.Errorf("opening volume %s: %w", volume, err)
	}
	return e.call(ctx, "volume_open", volume, func(ctx context.Context, c *client.Client) error {
		_, err := c.ContainerCreate(ctx, &container.Config{Image: image, Labels: e.labels(nil)}, &container.HostConfig{
			NetworkMode: "none", Mounts: mounts([]Mount{{Type: "volume", Source: volume, Target: "/data"}}),
		}, nil, nil, name)
		if err != nil && !errors.Is(fail("create", name, e.at.Host, err), ErrConflict) { // a predecessor's will do
			return err
		}
		if err := c.CopyToContainer(ctx, name, "/", archive, container.CopyToContainerOptions{}); err != nil {
			return err
		}
		return c.ContainerRemove(ctx, name, container.RemoveOptions{Force: true})
	})
}

// openDirectory is an archive of one directory that every user may write to.
func openDirectory(name string) (*bytes.Buffer, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	header := tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o777, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
	if err := w.WriteHeader(&header); err != nil {
		return nil, err
	}
	return &archive, w.Close()
}

// Tmpfs is a volume in memory.
type Tmpfs struct {
	// SizeBytes is the most it holds.
	SizeBytes int64
	// Mode has the permission bits of its root as a file system's option has them: 0o2777 includes the
	// set-group-ID bit.
	Mode uint32
	// Group owns its root; 0 is root's.
	Group int64
}

// EnsureTmpfs makes a named volume of this instance in memory, with labels besides its own, and gives
// its directory on the engine's machine. What is in it lasts as long as any running container has it
// mounted. One that is there already is left as it is; ErrConflict when that one is not the
// instance's.
func (e *Engine) EnsureTmpfs(ctx context.Context, name string, labels map[string]string, t Tmpfs) (path string, err error) {
	var made volume.Volume
	err = e.call(ctx, "volume_create", name, func(ctx context.Context, c *client.Client) (err error) {
		made, err = c.VolumeCreate(ctx, volume.CreateOptions{
			Name: name, Labels: e.labels(labels), Driver: "local",
			DriverOpts: map[string]string{
				"type": "tmpfs", "device": "tmpfs",
				"o": fmt.Sprintf("size=%d,mode=%04o,gid=%d", t.SizeBytes, t.Mode, t.Group),
			},
		})
		return err
	})
	if err == nil && made.Labels[InstanceLabel] != e.instance {
		err = errNotOurs(name)
	}
	return made.Mountpoint, err
}

// errNotOurs says that a volume exists and is not this instance's.
func errNotOurs(volume string) error {
	return &Error{Op: "volume", Name: volume, Kind: ErrConflict, Err: errors.New("a volume of that name exists and is not this instance's")}
}

// Volume is a named volume of the instance.
type Volume struct {
	Name   string
	Labels map[string]string
}

// Volumes lists this instance's volumes that have a label, whatever its value; all of them if the
// label is empty.
func (e *Engine) Volumes(ctx context.Context, label string) ([]Volume, error) {
	wanted := e.own()
	if label != "" {
		wanted.Add("label", label)
	}
	var all volume.ListResponse
	err := e.call(ctx, "volume_list", "", func(ctx context.Context, c *client.Client) (err error) {
		all, err = c.VolumeList(ctx, volume.ListOptions{Filters: wanted})
		return err
	})
	var list []Volume
	for _, v := range all.Volumes {
		list = append(list, Volume{Name: v.Name, Labels: v.Labels})
	}
	return list, err
}

// RemoveVolumes removes all volumes of this instance and what is in them, and returns how many
// there were. Nothing may have them mounted.
func (e *Engine) RemoveVolumes(ctx context.Context) (int, error) {
	all, err := e.Volumes(ctx, "")
	if err != nil {
		return 0, fmt.Errorf("remove volumes of instance %s: %w", e.instance, err)
	}
	for _, v := range all {
		if err := e.RemoveVolume(ctx, v.Name); err != nil {
			return 0, fmt.Errorf("remove volumes of instance %s: %w", e.instance, err)
		}
	}
	return len(all), nil
}

// RemoveVolume removes a volume of this instance and what is in it; none is no error. ErrConflict
// while a container has it mounted, and when it is not the instance's: a manifest may name any
// volume of the engine as its own.
func (e *Engine) RemoveVolume(ctx context.Context, name string) error {
	if _, err := e.volume(ctx, name); errors.Is(err, ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	// A daemon that was killed while it made the volume may have left this behind.
	left, err := e.Inspect(ctx, opener(name))
	if err == nil && left.Labels[InstanceLabel] == e.instance {
		if source := left.Labels[sourceLabel]; source != "" {
			err = e.Remove(ctx, source)
		}
		err = errors.Join(err, e.Remove(ctx, left.ID))
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	err = e.call(ctx, "volume_remove", name, func(ctx context.Context, c *client.Client) error {
		return c.VolumeRemove(ctx, name, false)
	})
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
