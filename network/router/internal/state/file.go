package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"skiff/network/protocol"
)

// document is what the file holds.
type document struct {
	Version  int
	Config   *protocol.Config
	Nodes    []protocol.Node
	Services []*protocol.Service
	Door     *protocol.Door `json:",omitempty"`
}

// Encode returns the content of a file: JSON.
func (s *State) Encode() ([]byte, error) {
	keys := slices.SortedFunc(maps.Keys(s.Services), CompareKeys)
	d := document{Version: protocol.Version, Config: s.Config, Nodes: s.Nodes, Services: make([]*protocol.Service, len(keys)), Door: s.Door}
	for i, key := range keys {
		d.Services[i] = s.Services[key]
	}
	data, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encode the state: %w", err)
	}
	return data, nil
}

// Write replaces a file, atomically: it holds the one content or the other.
func Write(file string, content []byte) error {
	if have, err := os.ReadFile(file); err == nil && bytes.Equal(have, content) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	next := file + ".new"
	if err := os.WriteFile(next, content, 0o600); err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	if err := os.Rename(next, file); err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	return nil
}

// Read reads a file as an update that tells all of it; nil if there is no file, or one of another
// version of the protocol.
func Read(file string) (*protocol.Update, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	var d document
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, fmt.Errorf("read the state from %s: %w", file, err)
	}
	if d.Version != protocol.Version || d.Config == nil {
		return nil, nil
	}
	u := &protocol.Update{Config: d.Config, Whole: true, Nodes: d.Nodes, Door: d.Door}
	for _, s := range d.Services {
		if s != nil {
			u.Set = append(u.Set, *s)
		}
	}
	return u, nil
}
