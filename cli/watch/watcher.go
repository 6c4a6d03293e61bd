package watch

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"

	"skiff/cli/client"
	"skiff/cli/develop"
	"skiff/cli/exec"
	"skiff/cli/recipe"
)

// Engine is what is asked of the engine that the containers run on.
type Engine interface {
	recipe.Engine
	CopyTo(ctx context.Context, container, dir string, archive io.Reader) error
	AddFiles(ctx context.Context, image, name string, archive io.Reader) error
}

// Watcher carries changes of files into containers.
type Watcher struct {
	Client *client.Client
	Engine Engine
	Clock  clock.WithTicker
	// Err is where is said what has been done.
	Err io.Writer
	// run runs a command in a container; exec.Once but in tests.
	run func(ctx context.Context, pod *corev1.Pod, container string, words []string) (string, error)
}

// Watched is a subject, and its workload on the server.
type Watched struct {
	develop.Subject
	client.Ref
}

// Run watches until ctx ends. What fails is said, and the next change is waited for: it is an error only
// that files cannot be watched.
func (w *Watcher) Run(ctx context.Context, subjects []Watched) error {
	if w.run == nil {
		w.run = func(ctx context.Context, pod *corev1.Pod, container string, words []string) (string, error) {
			return exec.Once(ctx, w.Client, pod, container, words)
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	lists := map[string]*podList{}
	var workers []*worker
	for _, s := range subjects {
		if lists[s.Ref.Namespace] == nil {
			lists[s.Ref.Namespace] = &podList{client: w.Client, clock: w.Clock, namespace: s.Ref.Namespace}
		}
		worker, err := w.newWorker(ctx, s, lists[s.Ref.Namespace])
		if err != nil {
			return err
		}
		workers = append(workers, worker)
	}
	n, err := newNotifier(w.Clock, roots(subjects), func(dir string) bool {
		return !slices.ContainsFunc(workers, func(k *worker) bool { return !k.matcher.prunes(dir) })
	})
	if err != nil {
		return err
	}
	w.announce(subjects)
	batches := make(chan batch)
	group.Go(func() error { return n.Run(ctx, batches) })
	for _, l := range lists {
		l.changed = func() {
			for _, k := range workers {
				k.poke()
			}
		}
		group.Go(func() error { return l.Run(ctx) })
	}
	for _, k := range workers {
		group.Go(func() error { k.Run(ctx); return nil })
	}
	group.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case b := <-batches:
				for _, k := range workers {
					k.add(b)
				}
			}
		}
	})
	return group.Wait()
}

// roots are the paths that are watched, without those inside others.
func roots(subjects []Watched) []string {
	var all []string
	for _, s := range subjects {
		for _, r := range s.Rules {
			all = append(all, r.Path)
		}
	}
	slices.Sort(all)
	var out []string
	for _, path := range slices.Compact(all) {
		if !slices.ContainsFunc(out, func(root string) bool { _, inside := relative(root, path); return inside }) {
			out = append(out, path)
		}
	}
	return out
}

// announce says what is watched.
func (w *Watcher) announce(subjects []Watched) {
	for _, s := range subjects {
		for _, r := range s.Rules {
			what := string(r.Action)
			if r.Action.Syncs() {
				what += " to " + r.Target
			}
			fmt.Fprintf(w.Err, "%s: watching %s: %s\n", s.Service, short(r.Path), what)
		}
	}
}

// short is a path relative to the present folder, where it is in that.
func short(path string) string {
	here, err := filepath.Abs(".")
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(here, path); err == nil && !strings.HasPrefix(rel, "..") {
		return rel
	}
	return path
}
