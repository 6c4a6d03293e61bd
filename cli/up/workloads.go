package up

import (
	"github.com/urfave/cli/v2"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/resource"
)

// Manifests are those of the application in this folder, or in the files of -f, for commands that need
// neither the daemon nor what runs.
func Manifests(c *cli.Context, env *command.Env) ([]resource.Manifest, error) {
	app, err := read(c.Context, c, env)
	if err != nil {
		return nil, err
	}
	return app.manifests, nil
}

// Workloads are those that the application in this folder, or in the files of -f, has: for other commands
// that are about a whole application.
func Workloads(c *cli.Context, env *command.Env) (*client.Client, []client.Ref, error) {
	app, err := read(c.Context, c, env)
	if err != nil {
		return nil, nil, err
	}
	cl, err := connect(c, env, app)
	if err != nil {
		return nil, nil, err
	}
	targets, strangers, err := place(resource.Finder{Client: cl, In: env.In}, app.manifests)
	if err != nil {
		return nil, nil, err
	}
	strangers.skip(env)
	var refs []client.Ref
	for _, t := range targets {
		if isWorkload(t.Ref) || t.Mapping.GroupVersionKind.Kind == "CronJob" {
			refs = append(refs, t.Ref)
		}
	}
	return cl, refs, nil
}
