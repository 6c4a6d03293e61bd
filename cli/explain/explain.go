// Package explain prints the documentation of a kind's fields, from the server's own OpenAPI
// documents.
package explain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"skiff/cli/client"
	"skiff/cli/command"
)

// Command is skiff explain.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "explain", Usage: "Get documentation for a resource", ArgsUsage: "TYPE[.FIELD…]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "recursive", Aliases: []string{"R"}, Usage: "show nested fields, by name only"},
			&cli.IntFlag{Name: "max-depth", Usage: "with --recursive, show this many `LEVELS`; 0 for all"},
			&cli.StringFlag{Name: "api-version", Usage: "explain this `GROUP/VERSION` of the type"},
		},
		Action: func(c *cli.Context) error { return run(c, env) },
	},
		"skiff explain pods",
		"skiff explain pod.spec.containers.livenessProbe",
		"skiff explain rs --recursive")
}

func run(c *cli.Context, env *command.Env) error {
	switch {
	case c.NArg() == 0:
		return errors.New("You must specify the type of resource to explain. Use \"skiff api-resources\" for a complete list of supported resources.\n")
	case c.NArg() > 1:
		return errors.New("We accept only this format: explain RESOURCE\n")
	case c.Int("max-depth") > 0 && !c.Bool("recursive"):
		return errors.New("--max-depth requires --recursive")
	case c.Int("max-depth") < 0:
		return errors.New("--max-depth must be non-negative")
	}
	cl, err := env.Connect(c)
	if err != nil {
		return err
	}
	m, path, err := resolve(cl, c.Args().First(), c.String("api-version"))
	if err != nil {
		return err
	}
	doc, err := document(c.Context, cl, m.Resource.GroupVersion())
	if err != nil {
		return err
	}
	p := &printer{doc: doc, recursive: c.Bool("recursive"), depth: c.Int("max-depth")}
	if err := p.kind(m.GroupVersionKind, path); err != nil {
		return err
	}
	_, err = env.Out.Write(p.buf.Bytes())
	return err
}

// resolve splits deployments.v1.apps.spec.replicas into a type that the server knows, the longest
// that fits, and a path of fields.
func resolve(cl *client.Client, arg, version string) (*meta.RESTMapping, []string, error) {
	catalog, err := cl.Catalog()
	if err != nil {
		return nil, nil, err
	}
	parts := strings.Split(strings.TrimSuffix(arg, "."), ".")
	var mapping *meta.RESTMapping
	var path []string
	for n := len(parts); n > 0 && mapping == nil; n-- {
		m, merr := catalog.Resource(strings.Join(parts[:n], "."))
		if merr == nil && (n == 1 || fits(m, parts[:n])) {
			mapping, path = m, parts[n:]
		} else if n == 1 {
			return nil, nil, merr
		}
	}
	if version == "" {
		return mapping, path, nil
	}
	gv, err := schema.ParseGroupVersion(version)
	if err != nil {
		return nil, nil, err
	}
	m, err := catalog.Kind(gv.WithKind(mapping.GroupVersionKind.Kind))
	return m, path, err
}

// fits reports whether TYPE.GROUP or TYPE.VERSION.GROUP names what was found, rather than a type
// followed by fields.
func fits(m *meta.RESTMapping, parts []string) bool {
	rest := strings.Join(parts[1:], ".")
	return rest == m.Resource.Group || rest == m.Resource.Version+"."+m.Resource.Group
}

// document fetches the OpenAPI document of a group and version.
func document(ctx context.Context, cl *client.Client, gv schema.GroupVersion) (object, error) {
	index, err := fetch(ctx, cl, "/openapi/v3", nil)
	if err != nil {
		return nil, fmt.Errorf("failed to fetch list of groupVersions: %w", err)
	}
	name := "apis/" + gv.String()
	if gv.Group == "" {
		name = "api/" + gv.Version
	}
	entry := index.at("paths").at(name)
	if entry == nil {
		return nil, fmt.Errorf("couldn't find resource for %q", gv)
	}
	path, query, _ := strings.Cut(entry.text("serverRelativeURL"), "?")
	params := map[string]string{}
	if hash, ok := strings.CutPrefix(query, "hash="); ok {
		params["hash"] = hash
	}
	doc, err := fetch(ctx, cl, path, params)
	if err != nil {
		return nil, fmt.Errorf("failed to fetch openapi schema for %s: %w", name, err)
	}
	return doc, nil
}

func fetch(ctx context.Context, cl *client.Client, path string, params map[string]string) (object, error) {
	data, err := cl.Text(ctx, path, params)
	if err != nil {
		return nil, err
	}
	var out object
	return out, json.Unmarshal(data, &out)
}
