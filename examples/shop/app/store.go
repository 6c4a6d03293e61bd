package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
)

// store keeps values by key, a file each, so that they outlive the pod on its volume.
type store struct {
	dir string
	mu  sync.RWMutex
}

func openStore(dir string) (*store, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	return &store{dir: dir}, nil
}

// key is what keys look like; no file of the store's own is called so.
var key = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

// longest is the longest value, in bytes.
const longest = 64 << 10

func (s *store) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", well)
	mux.HandleFunc("GET /keys", s.list)
	mux.HandleFunc("GET /keys/{key}", s.get)
	mux.HandleFunc("PUT /keys/{key}", s.put)
	return mux
}

// list answers with the keys that begin with ?prefix= and their values.
func (s *store) list(w http.ResponseWriter, r *http.Request) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	entries, err := os.ReadDir(s.dir)
	values := map[string]string{}
	for _, e := range entries {
		if !key.MatchString(e.Name()) || !strings.HasPrefix(e.Name(), r.FormValue("prefix")) || !e.Type().IsRegular() {
			continue
		}
		raw, readErr := os.ReadFile(filepath.Join(s.dir, e.Name()))
		values[e.Name()], err = string(raw), errors.Join(err, readErr)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(values) //nolint:errcheck // the other side is gone
}

func (s *store) get(w http.ResponseWriter, r *http.Request) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	name := r.PathValue("key")
	if !key.MatchString(name) {
		http.Error(w, "no such key", http.StatusNotFound)
		return
	}
	raw, err := os.ReadFile(filepath.Join(s.dir, name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		http.Error(w, "no such key", http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		w.Write(raw)
	}
}

func (s *store) put(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("key")
	if !key.MatchString(name) {
		http.Error(w, "keys are of small letters, digits and dashes", http.StatusBadRequest)
		return
	}
	value, err := io.ReadAll(http.MaxBytesReader(w, r.Body, longest))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	if err := s.write(name, value); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// write replaces a value as a whole: a reader, and the next pod, find the old one or the new one.
func (s *store) write(name string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := os.CreateTemp(s.dir, ".new-")
	if err != nil {
		return err
	}
	_, err = f.Write(value)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(s.dir, name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
