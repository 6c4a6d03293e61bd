package controller

import (
	"fmt"
	"log/slog"
	"sync"
)

// failures logs what goes wrong with a key once, and again when it goes wrong
// in another way or is put right: a key that fails at each retry for hours must
// not fill the log.
type failures[K comparable] struct {
	logger *slog.Logger
	mu     sync.Mutex
	last   map[K]string
}

func (f *failures[K]) failed(key K, err error) {
	f.mu.Lock()
	known := f.last[key] == err.Error()
	if !known {
		if f.last == nil {
			f.last = map[K]string{}
		}
		f.last[key] = err.Error()
	}
	f.mu.Unlock()
	if !known {
		f.logger.Warn("reconcile failed, will retry", "key", fmt.Sprint(key), "error", err)
	}
}

func (f *failures[K]) succeeded(key K) {
	f.mu.Lock()
	_, failed := f.last[key]
	delete(f.last, key)
	f.mu.Unlock()
	if failed {
		f.logger.Info("reconcile succeeded after failures", "key", fmt.Sprint(key))
	}
}
