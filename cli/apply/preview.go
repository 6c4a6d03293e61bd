package apply

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"skiff/cli/applied"
	"skiff/cli/command"
	"skiff/cli/resource"
)

// Preview is what applying an object would make of it.
type Preview struct {
	// Before is the object as the server has it, nil if there is none, and After as it would be.
	Before, After *unstructured.Unstructured
	Outcome       Outcome
}

// Preview computes what Apply would do and changes nothing, whatever Write.DryRun says. With ClientDryRun
// the server is asked for the present state alone; otherwise it also fills in, checks and may refuse, as
// it would in earnest.
func (a *Applier) Preview(ctx context.Context, t resource.Target) (Preview, error) {
	current, err := a.Client.Get(ctx, t.Ref)
	if err != nil && !apierrors.IsNotFound(err) {
		return Preview{}, command.SourceError(retrieving(t), t.Source, err)
	}
	simulated := *a
	simulated.Write.DryRun, simulated.Overwrite = true, true
	if err != nil {
		made, outcome, err := simulated.Apply(ctx, t)
		return Preview{After: made, Outcome: outcome}, err
	}
	if !a.ClientDryRun {
		made, outcome, err := simulated.Apply(ctx, t)
		return Preview{Before: current, After: made, Outcome: outcome}, err
	}
	return previewHere(t, current)
}

// previewHere computes the patch without the server.
func previewHere(t resource.Target, current *unstructured.Unstructured) (Preview, error) {
	modified := t.Value.DeepCopy()
	if err := applied.Set(modified); err != nil {
		return Preview{}, command.SourceError("applying", t.Source, err)
	}
	kind, patch, err := threeWay(t.Mapping.GroupVersionKind, modified, current, true)
	if err != nil {
		return Preview{}, command.SourceError("applying patch to", t.Source, err)
	}
	if string(patch) == "{}" {
		return Preview{Before: current, After: current, Outcome: Unchanged}, nil
	}
	after, err := patched(t.Mapping.GroupVersionKind, current, kind, patch)
	return Preview{Before: current, After: after, Outcome: Configured}, err
}
