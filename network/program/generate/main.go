// Generate builds the router's program for each architecture, packed, in the folder that package
// program embeds. The same source makes the same files, and a file that is as it was is left alone.
package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"skiff/network/program"
)

func main() {
	if err := generate("built"); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func generate(folder string) error {
	scratch, err := os.MkdirTemp("", "router-")
	if err != nil {
		return err
	}
	var errs []error
	for _, arch := range program.Architectures() {
		errs = append(errs, build(scratch, filepath.Join(folder, program.FileName(arch)), arch))
	}
	return errors.Join(append(errs, os.RemoveAll(scratch))...)
}

func build(scratch, file, arch string) error {
	out := filepath.Join(scratch, arch)
	// Nothing of this machine gets into the program: neither paths nor the state of the checkout.
	compile := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid=", "-o", out, "skiff/network/router")
	compile.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0", "GOFLAGS=", "GOAMD64=v1", "GOARM64=v8.0")
	if text, err := compile.CombinedOutput(); err != nil {
		return fmt.Errorf("router for %s: %w: %s", arch, err, text)
	}
	code, err := os.ReadFile(out)
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := w.Write(code); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	if have, err := os.ReadFile(file); err == nil && bytes.Equal(have, packed.Bytes()) {
		return nil
	}
	return os.WriteFile(file, packed.Bytes(), 0o644)
}
