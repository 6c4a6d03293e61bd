// Package images makes the images of the kubia example on the local engine, out of nothing but the app in ../app: no
// registry, no Dockerfile, no base image.
package images

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
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
)

// Spec is one image: a name and how the app is called in it.
type Spec struct {
	Name       string
	Entrypoint []string
}

// Kubia are the images that the tutorial's manifests name.
var Kubia = []Spec{
	{Name: "ksfzhaohui/kubia", Entrypoint: []string{"/kubia"}},
	{Name: "ksfzhaohui/kubia-unhealthy", Entrypoint: []string{"/kubia", "-unhealthy-after=5"}},
	{Name: "ksfzhaohui/batch-job", Entrypoint: []string{"/kubia", "-batch=120s"}},
}

// pause is the image that skiff makes itself for pods of several containers.
const pause = "skiff/pause:1"

// Missing returns the names of the example's images, and of skiff's own, that the engine does not have.
func Missing(ctx context.Context, engine client.APIClient) []string {
	var missing []string
	for _, name := range append([]string{pause}, names()...) {
		if _, err := engine.ImageInspect(ctx, name); err != nil {
			missing = append(missing, name)
		}
	}
	return missing
}

func names() []string {
	var out []string
	for _, s := range Kubia {
		out = append(out, s.Name)
	}
	return out
}

// Remove takes images away again. One that is not there is no error, nor is one that somebody else uses by now.
func Remove(ctx context.Context, engine client.APIClient, names []string) error {
	var errs []error
	for _, name := range names {
		if _, err := engine.ImageRemove(ctx, name, image.RemoveOptions{}); err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) {
			errs = append(errs, fmt.Errorf("removing the image %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// sourceLabel holds a hash of what an image was made from, so that an unchanged one is not made again.
const sourceLabel = "skiff/example-source"

// Build makes the images that are missing or out of date. It needs the go command and runs inside the skiff module.
func Build(ctx context.Context, engine client.APIClient, specs []Spec) error {
	dir, err := os.MkdirTemp("", "kubia-")
	if err != nil {
		return fmt.Errorf("making a place to build in: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a leftover in the temporary directory harms nobody
	bin := filepath.Join(dir, "kubia")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", bin, "skiff/examples/kubia/app")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the kubia app: %w\n%s", err, out)
	}
	program, err := os.ReadFile(bin)
	if err != nil {
		return err
	}
	for _, s := range specs {
		if err := s.build(ctx, engine, program); err != nil {
			return fmt.Errorf("making the image %s: %w", s.Name, err)
		}
	}
	return nil
}

func (s Spec) build(ctx context.Context, engine client.APIClient, program []byte) error {
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
	layer, err := rootFS(program)
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

// rootFS is a file system that holds the app and /tmp.
func rootFS(program []byte) (io.Reader, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	made := time.Unix(1700000000, 0)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777, ModTime: made}); err != nil {
		return nil, err
	}
	if err := w.WriteHeader(&tar.Header{Name: "kubia", Mode: 0o755, Size: int64(len(program)), ModTime: made}); err != nil {
		return nil, err
	}
	if _, err := w.Write(program); err != nil {
		return nil, err
	}
	return &buf, w.Close()
}

// readAnswer reads the engine's stream of messages to its end and returns the error in it, if there is one.
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
