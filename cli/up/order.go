package up

import (
	"slices"

	"skiff/cli/resource"
)

// inOrder sorts targets so that each comes after what it may depend on; otherwise the order of the
// files is kept.
func inOrder(targets []resource.Target) []resource.Target {
	out := slices.Clone(targets)
	slices.SortStableFunc(out, func(a, b resource.Target) int {
		return resource.Rank(a.Mapping.GroupVersionKind.Kind) - resource.Rank(b.Mapping.GroupVersionKind.Kind)
	})
	return out
}
