package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
	"k8s.io/utils/clock"
)

// A save is often several events: editors write another file and give it the name, git changes many at
// once. They are told together once nothing has changed for quiet, or, where it never is, after longest.
const (
	quiet   = 40 * time.Millisecond
	longest = 400 * time.Millisecond
)

// batch are paths that have changed, or are gone.
type batch struct {
	paths []string
	// since is when the first of them changed.
	since time.Time
}

// notifier tells of changes of files below some folders. Folders are watched and not files, so that one
// that is replaced by another of its name is not lost.
type notifier struct {
	watcher *fsnotify.Watcher
	clock   clock.Clock
	// prunes reports whether a folder need not be watched.
	prunes func(dir string) bool
	roots  []string
	// changed are the paths to tell of.
	changed map[string]bool
	// since and last are when the first and the last of them changed.
	since, last time.Time
}

// newNotifier watches folders, and files by the folders that they are in.
func newNotifier(clk clock.Clock, roots []string, prunes func(string) bool) (*notifier, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watching files: %w", explain(err))
	}
	n := &notifier{watcher: w, clock: clk, prunes: prunes, roots: roots, changed: map[string]bool{}}
	for _, root := range roots {
		if err := n.add(root, nil); err != nil {
			return nil, errors.Join(err, w.Close())
		}
	}
	return n, nil
}

// add watches a folder and those in it, and calls found with what is there. What vanishes meanwhile is told
// by those that are watched already.
func (n *notifier) add(root string, found func(path string)) error {
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case d.IsDir() && n.prunes(path):
			return filepath.SkipDir
		case d.IsDir():
			err = n.watcher.Add(path)
		case path == root: // a file
			err = n.watcher.Add(filepath.Dir(path))
		}
		if found != nil && path != root {
			found(path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return explain(err)
	})
	if err != nil {
		return fmt.Errorf("watching %s: %w", root, err)
	}
	return nil
}

// explain adds to the system's error what to do about it.
func explain(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EMFILE) {
		return fmt.Errorf("%w: the system lets no more be watched (sysctl fs.inotify.max_user_watches and max_user_instances raise it; what .dockerignore names is not watched)", err)
	}
	return err
}

// Run tells of changes until ctx ends. Those that come while out is not read are told with the next ones.
func (n *notifier) Run(ctx context.Context, out chan<- batch) error {
	defer n.watcher.Close() //nolint:errcheck // it is not used any more
	timer := n.clock.NewTimer(quiet)
	defer timer.Stop()
	for {
		var ready chan<- batch
		var told batch
		if len(n.changed) > 0 && !n.clock.Now().Before(n.due()) {
			ready, told = out, batch{paths: slices.Sorted(maps.Keys(n.changed)), since: n.since}
		}
		select {
		case <-ctx.Done():
			return nil
		case event := <-n.watcher.Events:
			noted, err := n.note(event)
			if err != nil {
				return err
			}
			if noted {
				timer.Reset(n.due().Sub(n.clock.Now()))
			}
		case err := <-n.watcher.Errors:
			if err := n.trouble(err); err != nil {
				return err
			}
			timer.Reset(n.due().Sub(n.clock.Now()))
		case <-timer.C():
		case ready <- told:
			clear(n.changed)
		}
	}
}

// due is when what has changed is told.
func (n *notifier) due() time.Time {
	due := n.last.Add(quiet)
	if latest := n.since.Add(longest); due.After(latest) {
		return latest
	}
	return due
}

// note takes an event in, and reports whether it is one of a change. Modes and times alone are none: backups
// and indexes change them.
func (n *notifier) note(e fsnotify.Event) (bool, error) {
	if e.Op == fsnotify.Chmod || e.Name == "" {
		return false, nil
	}
	n.touch(e.Name)
	if e.Has(fsnotify.Rename) {
		n.forget(e.Name)
	}
	if info, err := os.Lstat(e.Name); e.Has(fsnotify.Create) && err == nil && info.IsDir() {
		// A folder that is new may have files by now that nobody has told of.
		return true, n.add(e.Name, n.touch)
	}
	return true, nil
}

// forget ends the watch of a folder that has another name by now: its files would be told by the old one, also
// where it is watched by the new one.
func (n *notifier) forget(dir string) {
	for _, path := range n.watcher.WatchList() {
		if _, inside := relative(dir, path); inside {
			_ = n.watcher.Remove(path) // it may have gone by itself
		}
	}
}

func (n *notifier) touch(path string) {
	n.last = n.clock.Now()
	if len(n.changed) == 0 {
		n.since = n.last
	}
	n.changed[path] = true
}

// trouble deals with an error of the system's. Where it has lost events, everything may have changed.
func (n *notifier) trouble(err error) error {
	if !errors.Is(err, fsnotify.ErrEventOverflow) {
		return fmt.Errorf("watching files: %w", explain(err))
	}
	for _, root := range n.roots {
		if err := n.add(root, n.touch); err != nil {
			return err
		}
	}
	return nil
}
