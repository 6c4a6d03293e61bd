package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"k8s.io/utils/clock"

	"skiff/daemon/config"
	"skiff/daemon/datadir"
	"skiff/docker"
)

// Reset removes the containers, network and data of a stopped daemon, and returns how many
// containers there were. With force the data is removed even if the engine does not answer, and
// what is on the engine stays there.
func Reset(ctx context.Context, c config.Config, force bool, log *slog.Logger) (containers int, err error) {
	if !c.Dir.IsInstance() {
		return 0, fmt.Errorf("%s is no data directory of skiff: it has no file %q", c.Dir, "instance")
	}
	l, err := c.Dir.Acquire(ctx, clock.RealClock{})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, l.Release()) }()
	id, err := c.Dir.InstanceID()
	if err != nil {
		return 0, err
	}
	containers, err = prune(ctx, c, id, log)
	switch {
	case errors.Is(err, docker.ErrEndpointsLost):
		log.Warn("a network is left on the engine", "label", "skiff/instance="+id, "error", err)
	case err != nil && !force:
		return 0, fmt.Errorf("%w (--force removes the data all the same, and leaves what has the label skiff/instance=%s on the engine)", err, id)
	case err != nil:
		log.Warn("containers and network are left on the engine", "label", "skiff/instance="+id, "error", err)
	}
	return containers, errors.Join(os.RemoveAll(memoryPath(sharedMemory, id)), removeData(c.Dir))
}

// prune removes what an instance has on the engine.
func prune(ctx context.Context, c config.Config, id string, log *slog.Logger) (containers int, err error) {
	if c.EngineHost == config.NoEngine {
		return 0, nil
	}
	engine, err := docker.Connect(ctx, docker.Options{Instance: id, Host: c.EngineHost, Logger: log})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	list, err := engine.List(ctx)
	if err != nil {
		return 0, err
	}
	pruned := engine.PruneInstance(ctx)
	if pruned != nil && !errors.Is(pruned, docker.ErrEndpointsLost) {
		return 0, pruned
	}
	_, err = engine.RemoveVolumes(ctx)
	return len(list), errors.Join(pruned, err)
}

// removeData removes skiff's files from its data directory, but for an authority that is to stay, and the
// directory if nothing else is in it.
func removeData(d datadir.Dir) error {
	var errs []error
	for _, path := range d.Resettable() {
		errs = append(errs, os.RemoveAll(path))
	}
	if left, err := os.ReadDir(string(d)); err == nil && len(left) > 0 {
		return errors.Join(errs...)
	}
	if err := os.Remove(string(d)); err != nil && !errors.Is(err, os.ErrNotExist) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
