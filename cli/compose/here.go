package compose

import (
	"fmt"
	"os"
	"slices"

	"github.com/urfave/cli/v2"

	"skiff/cli/client"
	"skiff/cli/command"
)

// Manifests are where skiff up finds manifests in a folder, before it looks for a compose file.
var Manifests = []string{"skiff.yaml", "skiff.yml", "manifests"}

// Connect is env.Connect for commands about a running application: in the folder of a compose file
// they are about its project, as those of docker compose are, unless a namespace is named.
func Connect(c *cli.Context, env *command.Env) (*client.Client, error) {
	cl, err := env.Connect(c)
	if err != nil || cl.NamespaceGiven || c.Bool("all-namespaces") {
		return cl, err
	}
	namespace, err := here(c, env)
	if err != nil {
		return nil, fmt.Errorf("finding the project of this folder's compose file (-n NAMESPACE does without): %w", err)
	}
	if namespace != "" {
		cl.Namespace = namespace
	}
	return cl, nil
}

// here is the namespace of the folder's compose project; "" where there is none.
func here(c *cli.Context, env *command.Env) (string, error) {
	if slices.ContainsFunc(Manifests, func(name string) bool { _, err := os.Stat(name); return err == nil }) {
		return "", nil
	}
	if found, err := Usual(env.Variables()); err != nil || len(found) == 0 {
		return "", err
	}
	p, _, err := Source{Environ: env.Variables()}.Load(c.Context)
	if err != nil {
		return "", err
	}
	return ObjectName(p.Name), nil
}
