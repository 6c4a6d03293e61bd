package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/docker/docker/api/types/image"
)

// toolbox is the image of busybox that the scenarios with a shell run.
const toolbox = "skiff-bench/toolbox"

// makeToolbox makes an image of this machine's busybox, a static one. remove takes it away again.
func (b *bench) makeToolbox(ctx context.Context) (remove func() error, err error) {
	program, err := exec.LookPath("busybox")
	if err != nil {
		return nil, fmt.Errorf("install busybox-static: %w", err)
	}
	binary, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	applets, err := exec.CommandContext(ctx, program, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("busybox --list: %w", err)
	}
	var root bytes.Buffer
	w := tar.NewWriter(&root)
	err = errors.Join(addFile(w, "bin/busybox", 0o755, binary), addFile(w, "www/index.html", 0o644, []byte("ok\n")))
	for _, applet := range strings.Fields(string(applets)) {
		if applet != "busybox" {
			err = errors.Join(err, w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + applet, Linkname: "busybox"}))
		}
	}
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, err
	}
	answer, err := b.engine.ImageImport(ctx, image.ImportSource{Source: &root, SourceName: "-"}, toolbox, image.ImportOptions{})
	if err != nil {
		return nil, fmt.Errorf("importing the image %s: %w", toolbox, err)
	}
	defer answer.Close()
	if said, err := io.ReadAll(answer); err != nil || bytes.Contains(said, []byte(`"error"`)) {
		return nil, fmt.Errorf("importing the image %s: %w: %s", toolbox, err, said)
	}
	return func() error {
		_, err := b.engine.ImageRemove(context.WithoutCancel(ctx), toolbox, image.RemoveOptions{})
		return err
	}, nil
}

func addFile(w *tar.Writer, name string, mode int64, content []byte) error {
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := w.Write(content)
	return err
}
