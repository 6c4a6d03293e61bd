package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/docker/docker/client"
)

const (
	// PauseRef is the reference of the pause image. Its tag grows with the program.
	PauseRef = "skiff/pause:1"
	// pauseLabel holds the program's digest: an image of that name from elsewhere does not have it.
	pauseLabel = "skiff/pause"
)

// PauseImage sees to it that the engine has the image of the container that holds a pod's
// namespaces, and gives its reference. The image is made here, of one program of 300 bytes
// (pause/*.S), and needs no registry. The same program makes the same image everywhere, so daemons
// that make it at once do not disturb each other. ErrInvalid on a machine that is neither amd64 nor
// arm64.
func (e *Engine) PauseImage(ctx context.Context) (string, error) {
	info, err := e.Info(ctx)
	if err != nil {
		return "", err
	}
	program, err := pauseProgram(info.Arch)
	if err != nil {
		return "", &Error{Op: "make pause image", Name: PauseRef, Kind: ErrInvalid, Err: err}
	}
	have, err := e.Image(ctx, PauseRef)
	if err == nil && have.Labels[pauseLabel] == digest(program) {
		return PauseRef, nil
	}
	if err != nil && !errors.Is(err, ErrImageNotFound) {
		return "", err
	}
	archive, err := pauseArchive(info.Arch, program)
	if err != nil {
		return "", &Error{Op: "make pause image", Name: PauseRef, Err: err}
	}
	return PauseRef, e.load(ctx, PauseRef, archive)
}

// load brings an image archive, as docker save writes it, to the engine.
func (e *Engine) load(ctx context.Context, name string, archive []byte) error {
	return e.call(ctx, "image_load", name, func(ctx context.Context, c *client.Client) error {
		answer, err := c.ImageLoad(ctx, bytes.NewReader(archive), client.ImageLoadWithQuiet(true))
		if err != nil {
			return err
		}
		return errors.Join(readPull(answer.Body, nil), answer.Body.Close())
	})
}

// pauseArchive is the pause image; nothing in it depends on time or place.
func pauseArchive(arch string, program []byte) ([]byte, error) {
	config := imageConfig{Entrypoint: []string{"/pause"}, Labels: map[string]string{pauseLabel: digest(program)}}
	return imageArchive(PauseRef, arch, config, file{"pause", 0o555, program})
}

// imageConfig is the part of an image's configuration skiff sets.
type imageConfig struct {
	User       string            `json:",omitempty"`
	Entrypoint []string          `json:",omitempty"`
	Cmd        []string          `json:",omitempty"`
	Env        []string          `json:",omitempty"`
	WorkingDir string            `json:",omitempty"`
	StopSignal string            `json:",omitempty"`
	Labels     map[string]string `json:",omitempty"`
}

// imageArchive is an image of one layer in the form of docker save.
func imageArchive(ref, arch string, defaults imageConfig, files ...file) ([]byte, error) {
	layer, err := archiveOf(files...)
	if err != nil {
		return nil, err
	}
	created := time.Unix(0, 0).UTC()
	config, err := json.Marshal(map[string]any{
		"architecture": arch, "os": "linux", "created": created, "config": defaults,
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []string{digest(layer)}},
		"history": []any{map[string]any{"created": created, "created_by": "skiff"}},
	})
	if err != nil {
		return nil, fmt.Errorf("encode image configuration: %w", err)
	}
	manifest, err := json.Marshal([]map[string]any{
		{"Config": "config.json", "RepoTags": []string{ref}, "Layers": []string{"layer.tar"}},
	})
	if err != nil {
		return nil, fmt.Errorf("encode image manifest: %w", err)
	}
	return archiveOf(file{"layer.tar", 0o444, layer}, file{"config.json", 0o444, config}, file{"manifest.json", 0o444, manifest})
}

type file struct {
	name    string
	mode    int64
	content []byte
}

func archiveOf(files ...file) ([]byte, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, f := range files {
		header := tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.content)), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
		if err := w.WriteHeader(&header); err != nil {
			return nil, fmt.Errorf("archive %s: %w", f.name, err)
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, fmt.Errorf("archive %s: %w", f.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	return archive.Bytes(), nil
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// pauseProgram is the executable for a machine (GOARCH's name).
func pauseProgram(arch string) ([]byte, error) {
	switch arch {
	case "amd64":
		return executable(62, pauseAMD64)
	case "arm64":
		return executable(183, pauseARM64)
	}
	return nil, fmt.Errorf("there is no pause program for %s, only for amd64 and arm64", arch)
}

// The parts of an ELF executable (elf(5)) that hold no choice of ours.
const (
	elfHeaderSize, programHeaderSize = 64, 56
	codeOffset                       = elfHeaderSize + 2*programHeaderSize
	loadAddress                      = 0x400000
	// pageSize is the largest page of the two machines (arm64 may use 64 KiB).
	pageSize = 0x10000
)

type elfHeader struct {
	Ident                                              [16]byte
	Type, Machine                                      uint16
	Version                                            uint32
	Entry, ProgramHeaders, SectionHeaders              uint64
	Flags                                              uint32
	Size, ProgramHeaderSize, ProgramHeaderCount        uint16
	SectionHeaderSize, SectionHeaderCount, NameSection uint16
}

type programHeader struct {
	Type, Flags                        uint32
	Offset, Virtual, Physical          uint64
	SizeInFile, SizeInMemory, Multiple uint64
}

// executable puts the least possible ELF file around code: one segment, read and executed, and a
// stack that is not.
func executable(machine uint16, code []byte) ([]byte, error) {
	size := uint64(codeOffset + len(code))
	var out bytes.Buffer
	for _, part := range []any{
		elfHeader{
			Ident: [16]byte{0x7f, 'E', 'L', 'F', 2 /* 64 bits */, 1 /* little endian */, 1},
			Type:  2 /* executable */, Machine: machine, Version: 1, Entry: loadAddress + codeOffset,
			ProgramHeaders: elfHeaderSize, Size: elfHeaderSize,
			ProgramHeaderSize: programHeaderSize, ProgramHeaderCount: 2, SectionHeaderSize: 64,
		},
		programHeader{
			Type: 1 /* load */, Flags: 5 /* read, execute */, Virtual: loadAddress, Physical: loadAddress,
			SizeInFile: size, SizeInMemory: size, Multiple: pageSize,
		},
		programHeader{Type: 0x6474e551 /* GNU stack */, Flags: 6 /* read, write */, Multiple: 16},
		code,
	} {
		if err := binary.Write(&out, binary.LittleEndian, part); err != nil {
			return nil, fmt.Errorf("write executable: %w", err)
		}
	}
	return out.Bytes(), nil
}
