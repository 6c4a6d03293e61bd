// Command extras writes what is released beside the program, into a directory: manual pages (man/, compressed,
// as packages have them) and completion scripts (completions/).
//
//	go run ./release/extras DIRECTORY [VERSION]
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"skiff/cli"
	"skiff/cli/manual"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "writing what is released beside skiff:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 1 || len(args) > 2 {
		return errors.New("want a directory, and maybe a version")
	}
	version := strings.Join(args[1:], "")
	for _, p := range manual.Pages(cli.Tree(), version) {
		if err := writePage(filepath.Join(args[0], "man", p.Name+".1.gz"), p.Roff); err != nil {
			return err
		}
	}
	// The names are those that the shells look for in their directories.
	for shell, file := range map[string]string{"bash": "skiff", "zsh": "_skiff", "fish": "skiff.fish", "powershell": "skiff.ps1"} {
		var out bytes.Buffer
		streams := cli.Streams{Out: &out, Err: os.Stderr}
		if code := cli.Main(context.Background(), streams, []string{"skiff", "completion", shell}, cli.Server{}); code != 0 {
			return fmt.Errorf("skiff completion %s: exit code %d", shell, code)
		}
		if err := write(filepath.Join(args[0], "completions", shell, file), out.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// writePage compresses without a time and a name, so that the same page is always the same file.
func writePage(path, roff string) error {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte(roff)); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return write(path, packed.Bytes())
}

func write(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}
