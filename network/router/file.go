//go:build linux

package main

import (
	"context"
	"log/slog"
	"runtime/debug"
	"time"

	"skiff/network/router/internal/state"
)

// Between two writes of the state there is so many times what a write takes, but no more than a second.
// A router that is killed comes back with the last one: the fewer changes that lacks, the better. A
// service without the endpoints that it has meanwhile would end its clients' connections.
const (
	saveRest     = 20
	maxSavePause = time.Second
)

// quiet is how long there is no change before what the last ones took is given back.
const quiet = time.Second

// keepFile writes the state to its file after changes, and when ctx ends.
func (r *router) keepFile(ctx context.Context) {
	rest := time.NewTimer(quiet)
	defer rest.Stop()
	for {
		select {
		case <-rest.C:
			debug.FreeOSMemory()
		case <-ctx.Done():
			r.saveNow()
			return
		case <-r.save:
			began := time.Now()
			r.saveNow()
			pause(ctx, min(saveRest*time.Since(began), maxSavePause))
			rest.Reset(quiet)
		}
	}
}

func (r *router) saveNow() {
	r.mu.Lock()
	known := r.state.Config != nil
	data, err := r.state.Encode()
	r.mu.Unlock()
	if !known {
		return
	}
	if err == nil {
		err = state.Write(r.file, data)
	}
	if err != nil {
		slog.Error("a new router would not know all this", "err", err)
	}
}
