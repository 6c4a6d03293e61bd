// Package apiresources shows what the server serves: skiff api-resources and skiff api-versions.
package apiresources

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/printers"

	"skiff/cli/client"
	"skiff/cli/command"
)

// Resources is skiff api-resources.
func Resources(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "api-resources", Usage: "Print the supported API resources on the server",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`FORMAT` of the output: wide, name, json or yaml"},
			&cli.BoolFlag{Name: "no-headers", Usage: "do not print headers"},
			&cli.StringFlag{Name: "api-group", Usage: "resources of this `GROUP` only"},
			&cli.BoolFlag{Name: "namespaced", Value: true, Usage: "resources that live in namespaces only; =false for those that do not"},
			&cli.StringSliceFlag{Name: "verbs", Usage: "resources with all these `VERBS` only, joined by commas"},
			&cli.StringSliceFlag{Name: "categories", Usage: "resources of all these `CATEGORIES` only, joined by commas"},
			&cli.StringFlag{Name: "sort-by", Usage: "sort by `COLUMN`: name or kind"},
			&cli.BoolFlag{Name: "cached", Hidden: true},
		},
		Action: func(c *cli.Context) error { return resources(c, env) },
	},
		"skiff api-resources",
		"skiff api-resources -o wide --sort-by=name",
		"skiff api-resources --namespaced=false --verbs=list,get")
}

// row is a resource with its group's preferred version.
type row struct {
	schema.GroupVersion
	metav1.APIResource
}

func resources(c *cli.Context, env *command.Env) error {
	format, by := c.String("output"), c.String("sort-by")
	switch {
	case c.Args().Present():
		return command.UsageErrorf("api-resources", "unexpected arguments: %v", c.Args().Slice())
	case !slices.Contains([]string{"", "wide", "name", "json", "yaml"}, format):
		return fmt.Errorf("--output %v is not available", format)
	case by != "" && by != "name" && by != "kind":
		return errors.New("--sort-by accepts only name or kind")
	}
	cl, err := env.Connect(c)
	if err != nil {
		return err
	}
	catalog, err := cl.Catalog()
	if err != nil {
		return err
	}
	rows := slices.DeleteFunc(preferred(catalog), func(r row) bool { return !wanted(c, r) })
	slices.SortStableFunc(rows, func(a, b row) int {
		first := cmp.Compare(a.GroupVersion.Group, b.GroupVersion.Group)
		switch by {
		case "name":
			first = 0
		case "kind":
			first = cmp.Compare(a.APIResource.Kind, b.APIResource.Kind)
		}
		return cmp.Or(first, cmp.Compare(a.Name, b.Name))
	})
	if format == "json" || format == "yaml" {
		return printList(env.Out, rows, format)
	}
	return printRows(env.Out, rows, format, c.Bool("no-headers"))
}

// preferred returns all resources, each in its group's preferred version, or in the only version
// that has it.
func preferred(catalog *client.Catalog) []row {
	var out []row
	for _, g := range catalog.Groups {
		seen := map[string]bool{}
		versions := []string{g.PreferredVersion.GroupVersion}
		for _, v := range g.Versions {
			versions = append(versions, v.GroupVersion)
		}
		for _, v := range versions {
			for _, r := range inVersion(catalog, v) {
				if !seen[r.Name] && !strings.Contains(r.Name, "/") && len(r.Verbs) > 0 {
					seen[r.Name] = true
					out = append(out, r)
				}
			}
		}
	}
	return out
}

func inVersion(catalog *client.Catalog, groupVersion string) []row {
	var out []row
	for _, l := range catalog.Resources {
		gv, err := schema.ParseGroupVersion(l.GroupVersion)
		if err != nil || l.GroupVersion != groupVersion {
			continue
		}
		for _, r := range l.APIResources {
			out = append(out, row{gv, r})
		}
	}
	return out
}

func wanted(c *cli.Context, r row) bool {
	if c.IsSet("api-group") && c.String("api-group") != r.GroupVersion.Group {
		return false
	}
	if c.IsSet("namespaced") && c.Bool("namespaced") != r.Namespaced {
		return false
	}
	return hasAll(r.Verbs, command.List(c, "verbs")) && hasAll(r.Categories, command.List(c, "categories"))
}

func hasAll(have, want []string) bool {
	for _, w := range want {
		if !slices.Contains(have, w) {
			return false
		}
	}
	return true
}

// printList prints the resources as one APIResourceList, each with its group and version, as
// kubectl does.
func printList(out io.Writer, rows []row, format string) error {
	list := &metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, APIResources: []metav1.APIResource{}}
	for _, r := range rows {
		r.APIResource.Group, r.APIResource.Version = r.GroupVersion.Group, r.GroupVersion.Version
		list.APIResources = append(list.APIResources, r.APIResource)
	}
	if format == "json" {
		return (&printers.JSONPrinter{}).PrintObj(list, out)
	}
	return (&printers.YAMLPrinter{}).PrintObj(list, out)
}

func printRows(out io.Writer, rows []row, format string, noHeaders bool) error {
	w := printers.GetNewTabWriter(out)
	headers := []string{"NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"}
	if format == "wide" {
		headers = append(headers, "VERBS", "CATEGORIES")
	}
	if !noHeaders && format != "name" {
		fmt.Fprintln(w, strings.Join(headers, "\t"))
	}
	for _, r := range rows {
		if format == "name" {
			fmt.Fprintln(w, schema.GroupResource{Group: r.GroupVersion.Group, Resource: r.Name})
			continue
		}
		cells := []string{r.Name, strings.Join(r.ShortNames, ","), r.GroupVersion.String(), fmt.Sprint(r.Namespaced), r.APIResource.Kind}
		if format == "wide" {
			cells = append(cells, strings.Join(r.Verbs, ","), strings.Join(r.Categories, ","))
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	return w.Flush()
}

// Versions is skiff api-versions.
func Versions(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "api-versions", Usage: "Print the supported API versions on the server, in the form of \"group/version\"",
		Action: func(c *cli.Context) error {
			cl, err := env.Connect(c)
			if err != nil {
				return err
			}
			catalog, err := cl.Catalog()
			if err != nil {
				return err
			}
			var all []string
			for _, g := range catalog.Groups {
				for _, v := range g.Versions {
					all = append(all, v.GroupVersion)
				}
			}
			slices.Sort(all)
			for _, v := range all {
				fmt.Fprintln(env.Out, v)
			}
			return nil
		},
	}, "skiff api-versions")
}
