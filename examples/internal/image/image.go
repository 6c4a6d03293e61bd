// Package image makes the images of the examples on the local engine, out of nothing but a program of
// the example's own: no registry, no Dockerfile, no base image.
package image

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
)

// Spec is one image: a name and how the program is called in it.
type Spec struct {
	Name       string
	Entrypoint []string
}

// Program is what images are made of: one Go program, which is static.
type Program struct {
	// Package is its import path, and Path where it is in the images: "/kubia".
	Package, Path string
}

// pause is the image that skiff makes itself for pods of several containers.
const pause = "skiff/pause:1"

// Missing returns which of the images, and of skiff's own, the engine does not have.
func Missing(ctx context.Context, engine client.APIClient, specs []Spec) []string {
	var missing []string
	for _, s := range append([]Spec{{Name: pause}}, specs...) {
		if _, err := engine.ImageInspect(ctx, s.Name); err != nil {
			missing = append(missing, s.Name)
		}
	}
	return missing
}

// Remove takes images away again. One that is not there is no error, nor is one that somebody else
// uses by now.
func Remove(ctx context.Context, engine client.APIClient, names []string) error {
	var errs []error
	for _, name := range names {
		if _, err := engine.ImageRemove(ctx, name, image.RemoveOptions{}); err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) {
			errs = append(errs, fmt.Errorf("removing the image %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// sourceLabel holds a hash of what an image was made from, so that an unchanged one is not made
// again.
const sourceLabel = "skiff/example-source"

// Build makes the images that are missing or out of date. It needs the go command and runs inside
// the skiff module.
func (p Program) Build(ctx context.Context, engine client.APIClient, specs []Spec) error {
	dir, err := os.MkdirTemp("", "skiff-example-")
	if err != nil {
		return fmt.Errorf("making a place to build in: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a leftover in the temporary directory harms nobody
	bin := filepath.Join(dir, "program")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", bin, p.Package)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", p.Package, err, out)
	}
	program, err := os.ReadFile(bin)
	if err != nil {
		return err
	}
	for _, s := range specs {
		if err := p.image(ctx, engine, s, program); err != nil {
			return fmt.Errorf("making the image %s: %w", s.Name, err)
		}
	}
	return nil
}

func (p Program) image(ctx context.Context, engine client.APIClient, s Spec, program []byte) error {
	sum := sha256.New()
	sum.Write(program)
	entrypoint, err := json.Marshal(s.Entrypoint)
	if err != nil {
		return err
	}
	sum.Write(entrypoint)
	source := hex.EncodeToString(sum.Sum(nil))
	have, err := engine.ImageInspect(ctx, s.Name)
	if err == nil && have.Config != nil && have.Config.Labels[sourceLabel] == source {
		return nil
	}
	layer, err := rootFS(p.Path, program)
	if err != nil {
		return err
	}
	answer, err := engine.ImageImport(ctx, image.ImportSource{Source: layer, SourceName: "-"}, s.Name, image.ImportOptions{
		Changes: []string{"ENTRYPOINT " + string(entrypoint), "EXPOSE 8080", "LABEL " + sourceLabel + "=" + source},
	})
	if err != nil {
		return err
	}
	defer answer.Close()
	if err := readAnswer(answer); err != nil || have.ID == "" {
		return err
	}
	return Remove(ctx, engine, []string{have.ID}) // it has lost its name to the new one
}

// rootFS is a file system that holds the program and /tmp.
func rootFS(path string, program []byte) (io.Reader, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	made := time.Unix(1700000000, 0)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777, ModTime: made}); err != nil {
		return nil, err
	}
	if err := w.WriteHeader(&tar.Header{Name: strings.TrimPrefix(path, "/"), Mode: 0o755, Size: int64(len(program)), ModTime: made}); err != nil {
		return nil, err
	}
	if _, err := w.Write(program); err != nil {
		return nil, err
	}
	return &buf, w.Close()
}

// readAnswer reads the engine's stream of messages to its end and returns the error in it, if there
// is one.
func readAnswer(r io.Reader) error {
	for dec := json.NewDecoder(r); ; {
		var m struct {
			Error string `json:"error"`
		}
		if err := dec.Decode(&m); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading the engine's answer: %w", err)
		}
		if m.Error != "" {
			return fmt.Errorf("the engine says: %s", m.Error)
		}
	}
}
