package up

import (
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/halt"
	"skiff/cli/resource"
)

// scaling is a workload, as the user has named it, and how many replicas it is to have.
type scaling struct {
	name     string
	replicas int64
}

// readScaling reads the values of --scale.
func readScaling(values []string) ([]scaling, error) {
	var out []scaling
	for _, value := range values {
		name, count, found := strings.Cut(value, "=")
		n, err := strconv.ParseInt(count, 10, 32)
		if !found || name == "" || err != nil || n < 0 {
			return nil, fmt.Errorf("--scale is NAME=COUNT, such as web=3, not %q", value)
		}
		out = append(out, scaling{name, n})
	}
	return out, nil
}

// rescale sets the replicas that the user wants in the manifests, before anything is applied.
func (r *runner) rescale() error {
	var errs []error
	for _, s := range r.scale {
		t, err := findTarget(r.client, r.targets, s.name, "--scale", func(kind string) bool { return halt.Scales(kind) })
		if err == nil {
			err = unstructured.SetNestedField(t.Value.Object, s.replicas, "spec", "replicas")
		}
		errs = append(errs, err)
	}
	return command.Join(errs...)
}

// findTarget is the target that a flag names, by its name alone or as TYPE/NAME, of those kinds that the
// flag is about. If none fits, the error says which would.
func findTarget(c *client.Client, targets []resource.Target, word, flag string, about func(kind string) bool) (resource.Target, error) {
	kind, name, typed := strings.Cut(word, "/")
	if !typed {
		kind, name = "", word
	}
	if typed {
		catalog, err := c.Catalog()
		if err != nil {
			return resource.Target{}, err
		}
		mapping, err := catalog.Resource(kind)
		if err != nil {
			return resource.Target{}, fmt.Errorf("%s %s: %w", flag, word, err)
		}
		kind = mapping.GroupVersionKind.Kind
	}
	var fitting, others, possible []resource.Target
	for _, t := range targets {
		k := t.Mapping.GroupVersionKind.Kind
		named := t.Name == name && (kind == "" || kind == k)
		switch {
		case named && about(k):
			fitting = append(fitting, t)
		case named:
			others = append(others, t)
		case about(k):
			possible = append(possible, t)
		}
	}
	switch {
	case len(fitting) == 1:
		return fitting[0], nil
	case len(fitting) > 1:
		return resource.Target{}, fmt.Errorf("%s %s may be any of %s: say TYPE/NAME", flag, word, names(fitting))
	case len(others) > 0:
		return resource.Target{}, fmt.Errorf("%s %s: %s is of a kind that it does not work for%s", flag, word, names(others), suggested(possible))
	}
	return resource.Target{}, fmt.Errorf("%s %s: the application has nothing of that name%s", flag, word, suggested(possible))
}

func suggested(possible []resource.Target) string {
	if len(possible) == 0 {
		return ""
	}
	return "; it would work for " + names(possible)
}

// scaledToNothing reports whether a manifest itself wants no replicas.
func scaledToNothing(o *unstructured.Unstructured) bool {
	n, set, _ := unstructured.NestedInt64(o.Object, "spec", "replicas")
	return set && n == 0
}
