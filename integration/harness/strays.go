package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
)

// strays finds what tests have left behind: processes of the skiff under test, and what their daemons
// have on the engine.
var strays watcher

type watcher struct {
	mu    sync.Mutex
	tests map[string]string // by instance
}

// watch notes that a test runs an instance.
func (w *watcher) watch(test, instance string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tests == nil {
		w.tests = map[string]string{}
	}
	w.tests[instance] = test
}

// check is an error for each process that a test has left. What is left on the engine by daemons that were
// killed, since the engine finishes what it was asked for, is removed, with a word.
func (w *watcher) check(ctx context.Context, engine *client.Client) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	errs := []error{processes()}
	for instance, test := range w.tests {
		errs = append(errs, sweep(ctx, engine, instance, test))
	}
	return errors.Join(errs...)
}

// processes looks for the skiff under test among the machine's processes.
func processes() error {
	if build.bins.Skiff == "" {
		return nil
	}
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return err
	}
	var errs []error
	for _, link := range links {
		if program, err := os.Readlink(link); err != nil || program != build.bins.Skiff {
			continue // it is another's, or has ended
		}
		line, _ := os.ReadFile(filepath.Join(filepath.Dir(link), "cmdline")) //nolint:errcheck // said without
		errs = append(errs, fmt.Errorf("process %s still runs: %q", filepath.Base(filepath.Dir(link)), line))
	}
	return errors.Join(errs...)
}

func sweep(ctx context.Context, engine *client.Client, instance, test string) error {
	own := filters.NewArgs(filters.Arg("label", "skiff/instance="+instance))
	say := func(kind, name string, made any, removal error) {
		fmt.Fprintf(os.Stderr, "left behind by %s: %s %s of %v; removed: %v\n", test, kind, name, made, removal == nil)
	}
	containers, err := engine.ContainerList(ctx, container.ListOptions{All: true, Filters: own})
	for _, c := range containers {
		say("container", fmt.Sprint(c.Names, " ", c.State), time.Unix(c.Created, 0),
			engine.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true}))
	}
	volumes, volumesErr := engine.VolumeList(ctx, volume.ListOptions{Filters: own})
	for _, v := range volumes.Volumes {
		say("volume", v.Name, v.CreatedAt, engine.VolumeRemove(ctx, v.Name, true))
	}
	networks, networksErr := engine.NetworkList(ctx, network.ListOptions{Filters: own})
	for _, n := range networks {
		say("network", n.Name, n.Created, engine.NetworkRemove(ctx, n.ID))
	}
	return errors.Join(err, volumesErr, networksErr)
}
