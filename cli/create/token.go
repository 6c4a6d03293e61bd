package create

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/output"
)

// boundKinds are the kinds that a token's life can hang on, and their versions.
var boundKinds = map[string]string{"Pod": "v1", "Secret": "v1", "Node": "v1"}

func tokenCommand(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "token", Usage: "Request a token of a service account", ArgsUsage: "SERVICE_ACCOUNT",
		Flags: command.Flags(command.OutputFlags(command.ObjectFormats),
			&cli.StringSliceFlag{Name: "audience", Usage: "`AUDIENCE` of the token; may be repeated (default: the API server)"},
			&cli.DurationFlag{Name: "duration", Usage: "how long it is to be valid (default: the server decides)"},
			&cli.StringFlag{Name: "bound-object-kind", Usage: "`KIND` of the object with which it ends: Pod, Secret or Node"},
			&cli.StringFlag{Name: "bound-object-name", Usage: "`NAME` of that object"},
			&cli.StringFlag{Name: "bound-object-uid", Usage: "`UID` of that object (default: that of the one there is)"}),
		Action: func(c *cli.Context) error { return createToken(c, env) },
	}, "skiff create token robot --duration=10m")
}

func createToken(c *cli.Context, env *command.Env) error {
	if c.NArg() != 1 {
		return command.UsageErrorf("create token", "exactly one NAME is required, got %d", c.NArg())
	}
	spec, err := tokenSpec(c)
	if err != nil {
		return err
	}
	cl, err := env.Connect(c)
	if err != nil {
		return err
	}
	catalog, err := cl.Catalog()
	if err != nil {
		return err
	}
	m, err := catalog.Kind(schema.GroupVersionKind{Version: "v1", Kind: "ServiceAccount"})
	if err != nil {
		return err
	}
	if !catalog.Serves("v1", "serviceaccounts/token") {
		return errors.New("this server gives no tokens of service accounts")
	}
	r := client.Ref{Mapping: m, Namespace: cl.Namespace, Name: c.Args().First()}.WithSubresource("token")
	request := map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
	u, err := cl.Post(c.Context, r, &unstructured.Unstructured{Object: request}, client.WriteOptions{})
	if err != nil {
		return fmt.Errorf("failed to create token: %w", err)
	}
	token, _, _ := unstructured.NestedString(u.Object, "status", "token")
	switch {
	case token == "":
		return errors.New("failed to create token: no token in server response")
	case c.String("output") != "":
		p, err := output.New(output.Read(c))
		if err != nil {
			return err
		}
		return p.PrintObj(u, env.Out)
	case env.Terminal.Out:
		token += "\n"
	}
	fmt.Fprint(env.Out, token)
	return nil
}

// tokenSpec is what the flags ask for.
func tokenSpec(c *cli.Context) (map[string]any, error) {
	duration, kind, name, uid := c.Duration("duration"), c.String("bound-object-kind"), c.String("bound-object-name"), c.String("bound-object-uid")
	version, known := boundKinds[kind]
	switch {
	case duration < 0:
		return nil, errors.New("--duration must be greater than or equal to 0")
	case duration%time.Second != 0:
		return nil, errors.New("--duration cannot be expressed in units less than seconds")
	case slices.Contains(c.StringSlice("audience"), ""):
		return nil, errors.New("--audience must not be an empty string")
	case kind == "" && name != "":
		return nil, errors.New("--bound-object-name can only be set if --bound-object-kind is provided")
	case kind == "" && uid != "":
		return nil, errors.New("--bound-object-uid can only be set if --bound-object-kind is provided")
	case kind != "" && !known:
		return nil, fmt.Errorf("supported --bound-object-kind values are %s", strings.Join(slices.Sorted(maps.Keys(boundKinds)), ", "))
	case kind != "" && name == "":
		return nil, errors.New("--bound-object-name is required if --bound-object-kind is provided")
	}
	spec := map[string]any{"audiences": c.StringSlice("audience")}
	if duration > 0 {
		spec["expirationSeconds"] = int64(duration / time.Second)
	}
	if kind != "" {
		spec["boundObjectRef"] = map[string]any{"kind": kind, "apiVersion": version, "name": name, "uid": uid}
	}
	return spec, nil
}
