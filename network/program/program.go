// Package program holds the router's program for the machines that engines run on. It is built beside
// skiff (go generate ./network/...) and is part of it, so that no registry is needed.
package program

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

//go:generate go run ./generate

// ErrNotBuilt is of a skiff that was built without the router's program.
var ErrNotBuilt = errors.New("this skiff was built without the router's program: run `go generate ./network/...` and build it again")

// built has router-<arch>.gz for each architecture, and nothing in a bare clone.
//
//go:embed built
var built embed.FS

// Program finds the router's program for an architecture, by Go's name of it. digest tells it from
// others ("sha256:…"); unpack gives it, a static ELF file for Linux. That takes a while, and a router
// that runs already does not need it. ErrNotBuilt if there is none.
func Program(arch string) (digest string, unpack func() ([]byte, error), err error) {
	packed, err := built.ReadFile("built/" + FileName(arch))
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrNotBuilt
	}
	if err != nil {
		return "", nil, fmt.Errorf("router for %s: %w", arch, err)
	}
	unpack = func() ([]byte, error) {
		r, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			return nil, fmt.Errorf("router for %s: %w", arch, err)
		}
		program, err := io.ReadAll(r)
		if err != nil {
			return nil, fmt.Errorf("router for %s: %w", arch, err)
		}
		return program, nil
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(packed)), unpack, nil
}

// Built reports whether this skiff was built with the router's program.
func Built() bool {
	found, err := fs.Glob(built, "built/*.gz")
	return err == nil && len(found) > 0
}

// FileName is the name of an architecture's file.
func FileName(arch string) string { return "router-" + arch + ".gz" }

// Architectures are those that the program is built for.
func Architectures() []string { return []string{"amd64", "arm64"} }
