package docker

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
)

// PathStat is what is at a path in a container.
type PathStat struct {
	Name string
	// Size is in bytes.
	Size    int64
	Mode    os.FileMode
	ModTime time.Time
	// LinkTarget is where a symbolic link leads.
	LinkTarget string
}

// StatPath looks at a path of a container, running or not, absolute or relative to its working
// directory; a symbolic link at its end is not followed.
// Errors: ErrNotFound; ErrInMemory.
func (e *Engine) StatPath(ctx context.Context, id, name string) (stat PathStat, err error) {
	err = e.call(ctx, "copy_stat", id, func(ctx context.Context, c *client.Client) error {
		_, name, err := copyable(ctx, c, id, name, false)
		if err != nil {
			return err
		}
		found, err := c.ContainerStatPath(ctx, id, name)
		stat = PathStat{Name: found.Name, Size: found.Size, Mode: found.Mode, ModTime: found.Mtime, LinkTarget: found.LinkTarget}
		return err
	})
	return stat, err
}

// CopyTo unpacks an archive in tar's format into a directory of a container, which may be stopped, and
// whose image need not have tar. The files belong to whom the archive says, or to the container's user
// if that is not root, as if tar had run in the container. Reading from archive must end when ctx does.
// Errors: ErrNotFound if there is no such directory; ErrInMemory, also for a file of the archive;
// ErrInvalid, for a broken archive too.
func (e *Engine) CopyTo(ctx context.Context, id, dir string, archive io.Reader) error {
	return e.stream(ctx, "copy_to", id, func(ctx context.Context, c *client.Client) error {
		to, dir, err := copyable(ctx, c, id, dir, true)
		if err != nil {
			return err
		}
		who, err := ownerIn(ctx, c, to)
		if err != nil {
			return err
		}
		return upload(ctx, c, id, dir, archive, func(header *tar.Header) error {
			if who != nil {
				header.Uid, header.Gid, header.Uname, header.Gname = who.uid, who.gid, "", ""
			}
			name := path.Join(dir, header.Name)
			if at := inMemory(&to, name); at == name && header.Typeflag == tar.TypeDir {
				return nil // the directory on which it is mounted, and that is there
			}
			return refuseMemory(&to, name)
		})
	})
}

// CopyFrom writes a file or directory of a container, running or not, as an archive in tar's format,
// whose names begin with the last part of the path. Errors: ErrNotFound; ErrInMemory.
func (e *Engine) CopyFrom(ctx context.Context, id, name string, to io.Writer) error {
	return e.stream(ctx, "copy_from", id, func(ctx context.Context, c *client.Client) error {
		_, name, err := copyable(ctx, c, id, name, false)
		if err != nil {
			return err
		}
		archive, _, err := c.CopyFromContainer(ctx, id, name)
		if err != nil {
			return err
		}
		out := sink{to: to}
		_, err = io.Copy(&out, archive)
		return errors.Join(cmp.Or(out.err, err), archive.Close())
	})
}

// copyable finds a container and a path in it, which may be relative to its working directory, and follows
// the links among its parents, and at its end if asked to. It fails for what the engine cannot copy: that
// looks at the container's files from outside, where a file system in memory is not mounted, and what it
// copied there would be seen by nobody.
func copyable(ctx context.Context, c *client.Client, id, name string, end bool) (container.InspectResponse, string, error) {
	found, err := c.ContainerInspect(ctx, id)
	if err != nil {
		return found, "", err
	}
	if !path.IsAbs(name) && found.Config != nil {
		name = path.Join(found.Config.WorkingDir, name)
	}
	name = path.Join("/", name)
	if err := refuseMemory(&found, name); err != nil {
		return found, "", err
	}
	if end {
		name, err = followed(ctx, c, id, name)
	} else if dir, base := path.Split(name); base != "" {
		dir, err = followed(ctx, c, id, path.Clean(dir))
		name = path.Join(dir, base)
	}
	if err != nil {
		return found, "", err
	}
	return found, name, refuseMemory(&found, name)
}

// followed is a path with all links in it followed, as far as it exists: /var/run may lead to /run.
func followed(ctx context.Context, c *client.Client, id, name string) (string, error) {
	at := "/"
	for part := range strings.SplitSeq(strings.Trim(name, "/"), "/") {
		if at = path.Join(at, part); at == "/" {
			continue
		}
		stat, err := c.ContainerStatPath(ctx, id, at)
		if cerrdefs.IsNotFound(err) {
			return name, nil // the engine says so when it is asked for all of it
		}
		if err != nil {
			return "", err
		}
		if stat.LinkTarget != "" {
			at = path.Join("/", stat.LinkTarget) // the engine has followed it to its end
		}
	}
	return at, nil
}

// refuseMemory is ErrInMemory for a path that lies in memory.
func refuseMemory(c *container.InspectResponse, name string) error {
	at := inMemory(c, name)
	if at == "" {
		return nil
	}
	return &Error{Op: "copy", Name: c.ID, Kind: ErrInMemory, Err: fmt.Errorf("%s is in memory (%s), where the engine cannot look", name, at)}
}

// inMemory is the innermost mount on which a path lies if that is one in memory, "" otherwise. It goes by the
// path's text: links in it are for the caller to follow. Those on the way to a file of an archive are not, as
// it would take a request for each of its directories.
func inMemory(c *container.InspectResponse, name string) string {
	memory := map[string]bool{"/proc": true, "/sys": true, "/dev": true}
	if c.HostConfig != nil {
		for at := range c.HostConfig.Tmpfs {
			memory[path.Clean(at)] = true
		}
	}
	for _, m := range c.Mounts {
		memory[path.Clean(m.Destination)] = m.Type == "tmpfs"
	}
	for at := name; at != "/"; at = path.Dir(at) {
		if in, known := memory[at]; known {
			if in {
				return at
			}
			return ""
		}
	}
	return ""
}
