package up

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"skiff/cli/command"
	"skiff/cli/recipe"
	"skiff/cli/resource"
)

// Recipes are how the images of the application are made that is in this folder, or in the files of -f: for
// other commands that build it.
func Recipes(c *cli.Context, env *command.Env) ([]recipe.Recipe, error) {
	app, err := read(c.Context, c, env)
	if err != nil {
		return nil, err
	}
	return app.recipes(env)
}

// recipes are those of a compose file, or of the annotations of manifests.
func (a application) recipes(env *command.Env) ([]recipe.Recipe, error) {
	if a.compose != nil {
		return recipe.Distinct(a.compose.Builds)
	}
	var all []recipe.Recipe
	for _, m := range a.manifests {
		some, err := recipesOf(m, env)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return recipe.Distinct(all)
}

func recipesOf(m resource.Manifest, env *command.Env) ([]recipe.Recipe, error) {
	return recipe.FromManifest(recipe.Source{Object: m.Object, Where: m.Where(), Folder: m.Folder, Lookup: env.Lookup})
}

// build makes the images that the engine does not have, or all of them where the user says so. They
// are there for skiff's own cluster alone: another one has images of its own.
func (r *runner) build(ctx context.Context, c *cli.Context, app application) error {
	recipes, err := app.recipes(r.env)
	if err != nil {
		return err
	}
	if err := r.prepareWatch(app); err != nil {
		return err
	}
	if r.images == nil {
		for _, b := range recipes {
			fmt.Fprintf(r.env.Err, "Warning: %s: the image %s is not built for another cluster\n", b.Where, b.Image)
		}
		return nil
	}
	for _, t := range r.targets {
		recipe.Keep(t.Value, recipes)
	}
	builder := recipe.Builder{Engine: r.images, Out: r.env.Err, Now: r.env.Now}
	for _, b := range recipes {
		if !c.Bool("build") && !b.Always {
			if missing, err := builder.Missing(ctx, b); err != nil {
				return err
			} else if !missing {
				continue
			}
		}
		if r.simulates() {
			fmt.Fprintf(r.env.Out, "the image %s of %s would be built\n", b.Image, b.Service)
			continue
		}
		if err := builder.Build(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// openImages connects to the engine of skiff's own cluster.
func (r *runner) openImages(ctx context.Context, own bool) (err error) {
	if own && r.env.Images != nil {
		r.images, err = r.env.Images(ctx)
		r.engine = r.images
	}
	return err
}

func (r *runner) closeImages() error {
	if r.engine == nil {
		return nil
	}
	return r.engine.Close()
}
