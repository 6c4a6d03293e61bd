package cp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/exec"
	"skiff/manifests/podfacts"
)

// files are those of a container. Archives are in tar's format.
type files interface {
	// isDir reports whether there is a directory, or a link to one, at a path.
	isDir(ctx context.Context, path string) (bool, error)
	// read writes an archive of what is at a path; that comes first, and what is below it has names that
	// begin with its own.
	read(ctx context.Context, path string, to io.Writer) error
	// write unpacks an archive into a directory.
	write(ctx context.Context, dir string, archive io.Reader) error
}

// byEngine has skiff's daemon copy, through the engine.
type byEngine struct {
	client    *client.Client
	ref       client.Ref
	container string
	// otherwise is for what is in memory, where the engine can not look.
	otherwise files
}

// useOther reports whether the engine can not reach a path that a program in the container can.
func useOther(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Code == http.StatusNotImplemented
}

func (f *byEngine) stat(ctx context.Context, path string) (podfacts.File, error) {
	file := podfacts.File{}
	answer := f.client.Request("GET", f.ref).Param("container", f.container).Param("path", path).Param("stat", "true").Do(ctx)
	if err := answer.Error(); err != nil { // of which Raw knows the code alone
		return file, err
	}
	text, err := answer.Raw()
	if err != nil {
		return file, err
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return file, fmt.Errorf("reading what the server says of %s: %w", path, err)
	}
	return file, nil
}

func (f *byEngine) isDir(ctx context.Context, name string) (bool, error) {
	file, err := f.stat(ctx, name)
	switch {
	case useOther(err):
		return f.otherwise.isDir(ctx, name)
	case apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, err
	}
	// The engine tells where a link leads in the end, as a path of the container.
	if file.Mode&os.ModeSymlink != 0 && file.LinkTarget != "" && file.LinkTarget != name {
		file, err = f.stat(ctx, file.LinkTarget)
		if apierrors.IsNotFound(err) {
			return false, nil
		}
	}
	return file.Mode.IsDir(), err
}

func (f *byEngine) read(ctx context.Context, name string, to io.Writer) error {
	body, err := f.client.Request("GET", f.ref).Param("container", f.container).Param("path", name).Stream(ctx)
	if useOther(err) {
		return f.otherwise.read(ctx, name, to)
	}
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.Copy(to, body)
	return err
}

func (f *byEngine) write(ctx context.Context, dir string, archive io.Reader) error {
	// Nothing of the archive may be read before it is known who unpacks it.
	if _, err := f.stat(ctx, dir); useOther(err) {
		return f.otherwise.write(ctx, dir, archive)
	}
	return f.client.Request("PUT", f.ref).Param("container", f.container).Param("path", dir).
		SetHeader("Content-Type", "application/x-tar").Body(archive).Do(ctx).Error()
}

// byTar runs tar in the container.
type byTar struct {
	client     *client.Client
	pod        *corev1.Pod
	container  string
	err        io.Writer
	noPreserve bool
	retries    int
}

func (f *byTar) run(ctx context.Context, in io.Reader, out io.Writer, words ...string) error {
	return exec.Remote{Client: f.client, Pod: f.pod, Container: f.container, Command: words, In: in, Out: out, Err: f.err}.Run(ctx)
}

func (f *byTar) isDir(ctx context.Context, name string) (bool, error) {
	quiet := *f
	quiet.err = io.Discard
	return quiet.run(ctx, nil, io.Discard, "test", "-d", name) == nil, nil
}

// read goes on after a break where the first try got to, as kubectl does.
func (f *byTar) read(ctx context.Context, name string, to io.Writer) error {
	counted := &counter{to: to}
	for try := 0; ; try++ {
		words := []string{"tar", "cf", "-", name}
		if counted.n > 0 {
			words = []string{"sh", "-c", fmt.Sprintf("tar cf - %s | tail -c+%d", command.Quoted(name), counted.n+1)}
		}
		err := f.run(ctx, nil, counted, words...)
		if err == nil || ctx.Err() != nil || try == f.retries {
			return err
		}
		fmt.Fprintf(f.err, "Resuming copy at %d bytes, retry %d/%d\n", counted.n, try+1, f.retries)
	}
}

func (f *byTar) write(ctx context.Context, dir string, archive io.Reader) error {
	words := []string{"tar", "-xmf", "-"}
	if f.noPreserve {
		words = []string{"tar", "--no-same-permissions", "--no-same-owner", "-xmf", "-"}
	}
	return f.run(ctx, archive, f.err, append(words, "-C", dir)...)
}

// counter counts what it passes on.
type counter struct {
	to io.Writer
	n  int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.n += int64(n)
	return n, err
}
