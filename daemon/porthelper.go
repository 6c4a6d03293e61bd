package daemon

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"skiff/docker"
	"skiff/network/program"
	"skiff/network/publish"
)

// portHelper opens ports that this process may not: it asks the engine for them, which may, and which
// leads them into the network by a small container. It implements publish.Helper.
type portHelper struct {
	engine *networkedEngine

	mu sync.Mutex
	// swept says that what a former daemon has left open is closed.
	swept bool
}

// portHelper returns nil where the engine's ports are not this machine's, or there is no program for the
// container.
func (d *daemon) portHelper() publish.Helper {
	if !d.engine.Local() || !program.Built() {
		return nil
	}
	return d.helper
}

// sweep closes what a former daemon has left open: its ports are as closed as those that it held itself.
func (h *portHelper) sweep(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.swept {
		return nil
	}
	if err := h.engine.RemovePublishers(ctx); err != nil {
		return fmt.Errorf("closing ports of a former daemon's: %w", err)
	}
	h.swept = true
	return nil
}

// Open implements publish.Helper.
func (h *portHelper) Open(ctx context.Context, p publish.Port) error {
	if err := h.sweep(ctx); err != nil {
		return err
	}
	if _, err := h.engine.EnsureNetwork(ctx); err != nil {
		return err
	}
	arch, err := h.engine.Arch(ctx)
	if err != nil {
		return err
	}
	digest, unpack, err := program.Program(arch)
	if err != nil {
		return err
	}
	err = h.engine.EnsurePublisher(ctx, docker.PublisherSpec{Program: unpack, Digest: digest, Protocol: p.Protocol, At: p.At, To: p.To})
	if errors.Is(err, docker.ErrPortInUse) {
		return fmt.Errorf("%w by another program: %w", publish.ErrTaken, err)
	}
	return err
}

// Close implements publish.Helper.
func (h *portHelper) Close(ctx context.Context, p publish.Port) error {
	return h.engine.RemovePublisher(ctx, p.Protocol, p.At)
}

// CloseAll implements publish.Helper.
func (h *portHelper) CloseAll(ctx context.Context) error {
	err := h.engine.RemovePublishers(ctx)
	if errors.Is(err, docker.ErrUnavailable) {
		return nil // its containers are not running either, and the next daemon removes them
	}
	return err
}
