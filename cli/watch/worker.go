package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/cli/command"
	"skiff/cli/pods"
	"skiff/cli/recipe"
	"skiff/cli/rollout"
)

// worker does what changes ask for, for one subject, one thing after the other.
type worker struct {
	*Watcher
	Watched
	matcher  *matcher
	pods     *podList
	selector func(*corev1.Pod) bool
	// base is the image's ID without files that were added since; "" where nothing is built.
	base string
	// files are those that have changed since base was built, by where they are copied to; late are those of
	// them that the image does not have by now.
	files, late map[string]string
	// served are the containers that have all that is late.
	served map[string]bool
	// replaced is when the pods were last replaced.
	replaced time.Time

	mu      sync.Mutex
	pending batch
	// news holds a value when there is something to look at.
	news chan struct{}
}

func (w *Watcher) newWorker(ctx context.Context, s Watched, l *podList) (*worker, error) {
	m, err := newMatcher(s.Subject)
	if err != nil {
		return nil, err
	}
	o, err := w.Client.Get(ctx, s.Ref)
	if err != nil {
		return nil, fmt.Errorf("looking for the pods of %s: %w", s.Ref, err)
	}
	k := &worker{Watcher: w, Watched: s, matcher: m, pods: l, files: map[string]string{}, late: map[string]string{}, served: map[string]bool{}, news: make(chan struct{}, 1)}
	if k.selector, err = selectorOf(o, s.Ref); err != nil {
		return nil, err
	}
	if err := k.findBase(ctx); err != nil {
		return nil, err
	}
	return k, k.addInitial()
}

// findBase notes which image the subject's name stands for.
func (k *worker) findBase(ctx context.Context) error {
	if k.Recipe == nil {
		return nil
	}
	names, err := k.Engine.Find(ctx, k.Recipe.Image)
	if err != nil {
		return fmt.Errorf("looking for the image %s: %w", k.Recipe.Image, err)
	}
	if len(names) == 0 {
		return fmt.Errorf("the image %s is gone: skiff up --build makes it again", k.Recipe.Image)
	}
	k.base = names[len(names)-1] // the ID is the last
	return nil
}

// addInitial takes in the files that are to be copied at first.
func (k *worker) addInitial() error {
	for i := range k.matcher.rules {
		r := &k.matcher.rules[i]
		if !r.Initial || !r.Action.Syncs() {
			continue
		}
		err := filepath.WalkDir(r.Path, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && k.matcher.prunes(path) {
				return filepath.SkipDir
			}
			if rel, ok := k.matcher.applies(r, path); ok {
				k.files[r.to(rel)], k.late[r.to(rel)] = path, path
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("reading what is copied at first for %s: %w", k.Service, err)
		}
	}
	return nil
}

func (k *worker) poke() {
	select {
	case k.news <- struct{}{}:
	default:
	}
}

// add hands changes over.
func (k *worker) add(b batch) {
	k.mu.Lock()
	if len(k.pending.paths) == 0 {
		k.pending.since = b.since
	}
	k.pending.paths = append(k.pending.paths, b.paths...)
	k.mu.Unlock()
	k.poke()
}

func (k *worker) take() batch {
	k.mu.Lock()
	defer k.mu.Unlock()
	b := k.pending
	k.pending = batch{}
	return b
}

// Run works until ctx ends.
func (k *worker) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.news:
		}
		b := k.take()
		if work := k.matcher.plan(b.paths); !work.empty() {
			if err := k.do(ctx, work, b.since); err != nil && ctx.Err() == nil {
				k.say("%v", err)
			}
		}
		k.serve(ctx)
	}
}

func (k *worker) say(format string, a ...any) {
	fmt.Fprintf(k.Err, "%s: %s\n", k.Service, fmt.Sprintf(format, a...))
}

// do carries work out. A rebuild brings all files with it.
func (k *worker) do(ctx context.Context, work Work, since time.Time) error {
	there, gone := split(work.Files)
	if work.Rebuild || work.Restart && len(gone) > 0 && k.Recipe != nil {
		return k.rebuild(ctx)
	}
	maps.Copy(k.files, work.Files)
	maps.Copy(k.late, work.Files)
	if work.Restart {
		return k.restart(ctx, len(work.Files))
	}
	containers := k.pods.running(k.selector, k.Container)
	if len(containers) == 0 {
		k.say("%s changed; no container runs that could have it", describe(there, gone))
		return nil
	}
	var errs []error
	for _, c := range containers {
		files := work.Files
		if !k.served[c.id] {
			files = k.late
		}
		there, gone := split(files)
		err := k.bring(ctx, c, there, gone)
		k.note(c, err)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if len(work.Files) > 0 {
		k.say("synced %s (%d ms)", describe(there, gone), k.Clock.Since(since).Milliseconds())
	}
	return k.execAll(ctx, containers, work.Exec)
}

// bring copies files into a container, and removes those that are gone.
func (k *worker) bring(ctx context.Context, c instance, there map[string]string, gone []string) error {
	if len(there) > 0 {
		files := archive(there)
		err := errors.Join(k.Engine.CopyTo(ctx, c.id, "/", files), files.Close())
		if err != nil {
			return fmt.Errorf("copying files into %s: %w", c.pod.Name, err)
		}
	}
	if len(gone) > 0 {
		words := append([]string{"rm", "-rf", "--"}, gone...)
		if said, err := k.run(ctx, c.pod, k.Container, words); err != nil {
			return fmt.Errorf("removing %s from %s, by the rm that its image has: %w %s", strings.Join(gone, ", "), c.pod.Name, err, said)
		}
	}
	return nil
}

// note notes whether a container has everything now. One that has not gets everything with the next change.
func (k *worker) note(c instance, err error) {
	if err != nil {
		delete(k.served, c.id)
		return
	}
	k.served[c.id] = true
}

// serve brings all files into containers that have come up since, such as those of a replaced pod.
func (k *worker) serve(ctx context.Context) {
	if len(k.late) == 0 {
		return
	}
	there, gone := split(k.late)
	for _, c := range k.pods.running(k.selector, k.Container) {
		if k.served[c.id] {
			continue
		}
		err := k.bring(ctx, c, there, gone)
		if k.note(c, err); err != nil {
			if ctx.Err() == nil {
				k.say("%v", err)
			}
			continue
		}
		k.say("synced %s to %s, which is new", describe(there, gone), c.pod.Name)
	}
}

func (k *worker) execAll(ctx context.Context, containers []instance, commands [][]string) error {
	for _, words := range commands {
		for _, c := range containers {
			said, err := k.run(ctx, c.pod, k.Container, words)
			if err != nil {
				return fmt.Errorf("running %s in %s: %w %s", strings.Join(words, " "), c.pod.Name, err, said)
			}
			k.say("ran %s in %s", strings.Join(words, " "), c.pod.Name)
		}
	}
	return nil
}

// restart replaces the pods. A container of Kubernetes' starts from its image each time, so files that were
// copied are made part of that first.
func (k *worker) restart(ctx context.Context, changed int) error {
	if changed > 0 {
		there, _ := split(k.files)
		files := archive(there)
		if err := errors.Join(k.Engine.AddFiles(ctx, k.base, k.Recipe.Image, files), files.Close()); err != nil {
			return fmt.Errorf("adding files to the image %s: %w", k.Recipe.Image, err)
		}
		maps.DeleteFunc(k.late, func(to, _ string) bool { return there[to] != "" })
		k.say("synced %s into %s", command.Counted(changed, "file", "files"), k.Recipe.Image)
	}
	return k.replace(ctx)
}

// rebuild makes the image anew, and replaces the pods if it is another one.
func (k *worker) rebuild(ctx context.Context) error {
	before := k.base
	synced := len(k.files) > 0
	b := recipe.Builder{Engine: k.Engine, Out: k.Err, Now: k.Clock.Now}
	if err := b.Build(ctx, *k.Recipe); err != nil {
		return err
	}
	built := func(_, from string) bool { _, inside := relative(k.Recipe.Context, from); return inside }
	maps.DeleteFunc(k.files, built)
	maps.DeleteFunc(k.late, built)
	if err := k.findBase(ctx); err != nil {
		return err
	}
	if k.base == before && !synced {
		k.say("the image is as it was, and nothing is replaced")
		return nil
	}
	return k.replace(ctx)
}

// replace has the workload's pods replaced.
func (k *worker) replace(ctx context.Context) error {
	switch kind := k.Mapping.GroupVersionKind.Kind; {
	case slices.Contains([]string{"Deployment", "StatefulSet", "DaemonSet"}, kind):
		if err := k.nextSecond(ctx); err != nil {
			return err
		}
		if _, err := rollout.Restart(ctx, k.Client, k.Ref, k.replaced); err != nil {
			return fmt.Errorf("replacing the pods of %s: %w", k.Ref, err)
		}
		k.say("%s is rolled out", k.Ref)
		return nil
	case kind == "ReplicaSet" || kind == "ReplicationController":
		return k.deletePods(ctx)
	}
	k.say("%s is not replaced by itself: skiff up --rerun runs it again", k.Ref)
	return nil
}

// nextSecond waits, if need be, until it is another second than that of the last replacement: the time is
// noted in seconds, and the same time would replace nothing.
func (k *worker) nextSecond(ctx context.Context) error {
	if wait := k.replaced.Truncate(time.Second).Add(time.Second).Sub(k.Clock.Now()); wait > 0 {
		timer := k.Clock.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C():
		}
	}
	k.replaced = k.Clock.Now()
	return nil
}

// deletePods deletes the pods, for their controller to make others.
func (k *worker) deletePods(ctx context.Context) error {
	for _, c := range k.pods.running(k.selector, k.Container) {
		if err := pods.Delete(ctx, k.Client, c.pod); err != nil {
			return fmt.Errorf("replacing pod %s: %w", c.pod.Name, err)
		}
		k.say("pod %s is replaced", c.pod.Name)
	}
	return nil
}

// describe names one file, or counts several.
func describe(there map[string]string, gone []string) string {
	n := len(there) + len(gone)
	if n != 1 {
		return command.Counted(n, "file", "files")
	}
	for _, from := range there {
		return short(from)
	}
	return gone[0] + " (deleted)"
}
