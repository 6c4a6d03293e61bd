package resource

import (
	"slices"
	"testing"

	"k8s.io/client-go/kubernetes/scheme"
)

// TestBuiltInGroups: no CustomResourceDefinition can add a kind to a group that upstream's clients
// know.
func TestBuiltInGroups(t *testing.T) {
	for _, gv := range scheme.Scheme.PrioritizedVersionsAllGroups() {
		if !slices.Contains(builtInGroups, gv.Group) {
			t.Errorf("%q is missing", gv.Group)
		}
	}
	if slices.Contains(builtInGroups, "example.com") {
		t.Error("example.com is none")
	}
}
