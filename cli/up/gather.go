package up

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"skiff/cli/applyset"
	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/compose"
	"skiff/cli/resource"
)

// gathered is what down deletes.
type gathered struct {
	client  *client.Client
	targets []resource.Target
	set     *ownSet
	// decided are the objects among the targets that no manifest names.
	decided map[client.Ref]types.UID
	// faults are what is wrong with some of the manifests: no reason to keep the other objects.
	faults error
}

// gather finds what the manifests name, and what the project's set has besides.
func gather(c *cli.Context, env *command.Env) (*gathered, error) {
	g := &gathered{}
	var app application
	if !alone(c) {
		if app, g.faults = read(c.Context, c, env); len(app.manifests) == 0 {
			return nil, g.faults
		}
	}
	p, err := readProject(c, env, app)
	if err != nil {
		return nil, err
	}
	if g.client, err = connect(c, env, app); err != nil {
		return nil, err
	}
	if alone(c) {
		if err := atRecord(c.Context, g.client, p); err != nil {
			return nil, err
		}
	}
	targets, strangers, misplaced := place(resource.Finder{Client: g.client, In: env.In}, app.manifests)
	strangers.skip(env) // they cannot exist
	set, unopened := openSet(c.Context, g.client, env, p, "only what the manifests name is deleted")
	others, unlisted := set.others(c.Context, targets, nil)
	if alone(c) && unopened == nil && (set == nil || !set.Exists) {
		fmt.Fprintf(env.Err, "Warning: no objects of a project %s are recorded in namespace %s\n", p.name, g.client.Namespace)
	}
	g.set, g.targets, g.decided = set, inOrder(append(targets, others...)), uidsOf(others)
	g.faults = command.Join(g.faults, misplaced, unopened, unlisted)
	return g, nil
}

// atRecord takes the namespace of a compose project's name where its record is there, and not in the
// client's own.
func atRecord(ctx context.Context, c *client.Client, p project) error {
	if c.NamespaceGiven {
		return nil
	}
	own := c.Namespace
	for _, namespace := range []string{own, compose.ObjectName(p.name)} {
		c.Namespace = namespace
		set, err := applyset.Open(ctx, c, p.parent())
		if apierrors.IsForbidden(err) || err == nil && !set.Exists {
			continue
		}
		return err
	}
	c.Namespace = own
	return nil
}
