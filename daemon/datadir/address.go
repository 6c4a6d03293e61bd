package datadir

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// LastAddress is the host:port on which the API listened last, where the user chose none; "" before
// the first time.
func (d Dir) LastAddress() (string, error) { return readAddress(d.addressFile(), "the API") }

// KeepAddress notes the address for the next daemon: a kubeconfig that was merged into the user's
// own goes on to work.
func (d Dir) KeepAddress(address string) error { return keepAddress(d.addressFile(), address) }

// LastDoor and KeepDoor are the same for the front door.
func (d Dir) LastDoor() (string, error) { return readAddress(d.doorFile(), "the front door") }

// KeepDoor notes the front door's address: bookmarks go on to work.
func (d Dir) KeepDoor(address string) error { return keepAddress(d.doorFile(), address) }

func readAddress(file, of string) (string, error) {
	raw, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading the last address of %s: %w", of, err)
	}
	return strings.TrimSpace(string(raw)), nil
}

func keepAddress(file, address string) error {
	if last, err := readAddress(file, ""); err == nil && last == address {
		return nil
	}
	return WriteFile(file, []byte(address+"\n"))
}
