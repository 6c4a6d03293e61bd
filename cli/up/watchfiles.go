package up

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"skiff/cli/develop"
	"skiff/cli/recipe"
	"skiff/cli/resource"
	"skiff/cli/watch"
)

// watchFlag is --watch.
func watchFlag() cli.Flag {
	return &cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, Usage: "carry changes of files into what runs: as develop.watch of a compose file says; images of manifests with the annotation skiff/build are built anew"}
}

// watching are the files that are watched.
type watching struct{ subjects []develop.Subject }

// prepareWatch finds what --watch is about. Nothing is started where that is nothing.
func (r *runner) prepareWatch(app application) error {
	if !r.watches {
		return nil
	}
	switch {
	case r.detach:
		return errors.New("--watch stays as long as files are watched: leave --detach and --wait out")
	case r.images == nil:
		return errors.New("--watch copies files by the engine on which skiff's own cluster runs, and is not for another cluster")
	}
	var err error
	if r.watching.subjects, err = app.subjects(r); err != nil {
		return err
	}
	if len(r.watching.subjects) == 0 {
		return errors.New("--watch: nothing says what is watched: give a service develop.watch, or a pod template the annotation " + recipe.ContextAnnotation)
	}
	return develop.Check(r.watching.subjects)
}

// subjects are the containers whose files are watched. Of a container that a manifest has built, any file of
// the build's context matters.
func (a application) subjects(r *runner) ([]develop.Subject, error) {
	if a.compose != nil {
		return a.compose.Watched, nil
	}
	var out []develop.Subject
	for _, m := range a.manifests {
		recipes, err := recipesOf(m, r.env)
		if err != nil {
			return nil, err
		}
		for _, made := range recipes {
			out = append(out, develop.Subject{
				Kind: m.Object.GetKind(), Namespace: m.Object.GetNamespace(), Name: m.Object.GetName(), Container: made.Container, Service: made.Service,
				Recipe: &made, Rules: []develop.Rule{{Path: made.Context, Action: develop.Rebuild}},
			})
		}
	}
	return out, nil
}

// watchFiles begins to watch, if that was asked for, once everything is up.
func (r *runner) watchFiles(ctx context.Context, group *errgroup.Group) {
	if len(r.watching.subjects) == 0 {
		return
	}
	w := &watch.Watcher{Client: r.client, Engine: r.images, Clock: r.env.Clock, Err: r.env.Err}
	group.Go(func() error {
		if err := w.Run(ctx, r.watched()); err != nil && ctx.Err() == nil {
			fmt.Fprintf(r.env.Err, "Warning: files are no longer watched: %v\n", err)
		}
		return nil
	})
}

// watched are the subjects with their workloads on the server.
func (r *runner) watched() []watch.Watched {
	var out []watch.Watched
	for _, s := range r.watching.subjects {
		i := slices.IndexFunc(r.targets, func(t resource.Target) bool {
			return t.Mapping.GroupVersionKind.Kind == s.Kind && t.Name == s.Name && t.Namespace == s.Namespace
		})
		if i < 0 || !isWorkload(r.targets[i].Ref) {
			fmt.Fprintf(r.env.Err, "Warning: files of %s/%s are not watched: it runs nothing by itself\n", strings.ToLower(s.Kind), s.Name)
			continue
		}
		out = append(out, watch.Watched{Subject: s, Ref: r.targets[i].Ref})
	}
	return out
}
