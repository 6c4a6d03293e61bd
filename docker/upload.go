package docker

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
)

// upload unpacks an archive in tar's format into a directory of a container. Each header passes through
// change, which may refuse it; what comes before it in the archive may have been unpacked then.
func upload(ctx context.Context, c *client.Client, id, dir string, archive io.Reader, change func(*tar.Header) error) error {
	changed, done := piped(func(to io.Writer) error { return rewrite(archive, to, change) })
	err := c.CopyToContainer(ctx, id, dir, changed, container.CopyToContainerOptions{})
	if err = cmp.Or(done(), err); err != nil {
		return orContext(ctx, err)
	}
	return nil
}

// piped is what write writes, for the engine to read: when that fails, the client takes it for a lost
// engine. So done, which ends the reading and waits until nothing is written any more, returns write's
// own error. It is nil if the engine wanted no more: then the engine has said why.
func piped(write func(io.Writer) error) (written io.Reader, done func() error) {
	read, to := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := write(to)
		to.CloseWithError(err) //nolint:errcheck // it always returns nil
		ended <- err
	}()
	return read, func() error {
		read.CloseWithError(io.ErrClosedPipe) //nolint:errcheck // it always returns nil
		if err := <-ended; !errors.Is(err, io.ErrClosedPipe) {
			return err
		}
		return nil
	}
}

// rewrite copies an archive, with its headers changed. All that goes wrong is the archive's fault, but for
// io.ErrClosedPipe, which says that the reader wants no more.
func rewrite(archive io.Reader, to io.Writer, change func(*tar.Header) error) error {
	in, out := tar.NewReader(archive), tar.NewWriter(to)
	for {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			// Archives are padded, and whoever writes one may wait until all of that is read.
			_, _ = io.Copy(io.Discard, archive)
			return out.Close()
		}
		if err == nil && header.Typeflag == tar.TypeXGlobalHeader {
			continue // the engine takes no notice of it
		}
		if err == nil {
			err = change(header)
		}
		if err == nil {
			err = writeEntry(out, header, in)
		}
		if err != nil {
			return archiveError(err)
		}
	}
}

func writeEntry(out *tar.Writer, header *tar.Header, content io.Reader) error {
	if header.Typeflag == tar.TypeGNUSparse {
		header.Typeflag = tar.TypeReg // it is read with its holes filled
	}
	if err := out.WriteHeader(header); err != nil {
		return err
	}
	_, err := io.Copy(out, content)
	return err
}

// archiveError says that an archive is broken, unless err says more.
func archiveError(err error) error {
	var known *Error
	if errors.As(err, &known) || errors.Is(err, io.ErrClosedPipe) {
		return err
	}
	return &Error{Op: "copy", Kind: ErrInvalid, Err: fmt.Errorf("reading the archive: %w", err)}
}
