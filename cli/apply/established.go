package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"skiff/cli/client"
	"skiff/cli/resource"
)

// establishing is how long a definition may take to be served.
const establishing = 30 * time.Second

// DefinitionsFirst puts definitions before the objects that can't be applied without them. The order
// is otherwise kept.
func DefinitionsFirst(targets []resource.Target) []resource.Target {
	out := slices.Clone(targets)
	rank := func(t resource.Target) int {
		if t.Mapping.GroupVersionKind == resource.DefinitionKind {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(out, func(a, b resource.Target) int { return rank(a) - rank(b) })
	return out
}

// awaitKind waits until the server has the kind of a target, where another target defines it.
func (a *Applier) awaitKind(ctx context.Context, t resource.Target) error {
	catalog, err := a.Client.Catalog()
	if err != nil {
		return err
	}
	name := catalog.DefinedBy(t.Mapping.GroupVersionKind)
	if name == "" || a.established[name] || a.ClientDryRun || a.Write.DryRun {
		return nil
	}
	mapping, err := catalog.Kind(resource.DefinitionKind)
	if err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, establishing)
	defer cancel()
	err = a.Client.Until(bounded, client.Ref{Mapping: mapping, Name: name}, established)
	switch {
	case err != nil && bounded.Err() != nil && ctx.Err() == nil:
		return fmt.Errorf("the CustomResourceDefinition %s is not established after %s", name, establishing)
	case err != nil:
		return fmt.Errorf("the CustomResourceDefinition %s: %w", name, err)
	}
	if a.established == nil {
		a.established = map[string]bool{}
	}
	a.established[name] = true
	return nil
}

// established reports whether the kind that a definition defines is served, and says why it will not
// be.
func established(definition *unstructured.Unstructured) (bool, error) {
	if definition == nil {
		return false, errors.New("it does not exist")
	}
	conditions, _, _ := unstructured.NestedSlice(definition.Object, "status", "conditions")
	for _, c := range conditions {
		condition, ok := c.(map[string]any)
		if !ok {
			continue
		}
		switch {
		case condition["type"] == "Established" && condition["status"] == "True":
			return true, nil
		case condition["type"] == "NamesAccepted" && condition["status"] == "False":
			return false, fmt.Errorf("its names are not accepted: %v", condition["message"])
		}
	}
	return false, nil
}

// NotServedYet reports whether a target is of a kind that another target defines, so that there can
// be no object of it.
func (a *Applier) NotServedYet(t resource.Target) bool {
	catalog, err := a.Client.Catalog()
	if err != nil {
		return false
	}
	name := catalog.DefinedBy(t.Mapping.GroupVersionKind)
	return name != "" && !a.established[name]
}
