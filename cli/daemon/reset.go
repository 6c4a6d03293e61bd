package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"

	"k8s.io/utils/clock"

	"skiff/docker"
)

// reset removes the containers, network and data of a stopped daemon, and returns how many containers there were. With force
// the data goes even when the engine does not answer, and what is on the engine stays there.
func reset(ctx context.Context, c Config, force bool, log *slog.Logger) (containers int, err error) {
	if _, err := os.Stat(c.instanceFile()); errors.Is(err, os.ErrNotExist) {
		return 0, fmt.Errorf("%s is no data directory of skiff: it has no file %q", c.DataDir, "instance")
	}
	l, err := acquire(ctx, c, clock.RealClock{})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, l.release()) }()
	id, err := instanceID(c)
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
	return containers, errors.Join(os.RemoveAll(memoryPath(sharedMemory, id)), removeData(c))
}

// prune removes what an instance has on the engine.
func prune(ctx context.Context, c Config, id string, log *slog.Logger) (containers int, err error) {
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

// removeData removes what skiff keeps in its data directory, and the directory if nothing else is in it.
func removeData(c Config) error {
	var errs []error
	for _, path := range []string{
		c.database(), c.database() + "-wal", c.database() + "-shm", c.kubeconfig(), c.credentials(), c.volumes(), c.virtualNodes(),
		c.logFile(), c.logFile() + ".1", c.instanceFile(), c.nodeFile(), c.namespaceFile(), c.lockFile(),
	} {
		errs = append(errs, os.RemoveAll(path))
	}
	if err := os.Remove(c.DataDir); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
