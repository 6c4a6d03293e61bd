package apply

import (
	"context"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"skiff/cli/applied"
	"skiff/cli/command"
	"skiff/cli/resource"
)

// Result returns what applying would make of an object, whose present state is current, nil if there is
// none; as for kubectl, without the new annotation about what was applied. a.Write says that nothing is to
// be written.
func (a *Applier) Result(ctx context.Context, t resource.Target, current *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if a.ServerSide {
		return a.applyOnServer(ctx, t)
	}
	if current == nil {
		made := t.Value.DeepCopy()
		dropNulls(made.Object)
		made, err := a.Client.Create(ctx, t.Ref, made, a.Write)
		return made, command.SourceError("creating", t.Source, err)
	}
	modified, err := applied.Plain(t.Value)
	if err != nil {
		return nil, command.SourceError("applying", t.Source, err)
	}
	kind, patch, err := threeWay(t.Mapping.GroupVersionKind, modified, current, a.Overwrite)
	if err != nil {
		return nil, command.SourceError("applying patch to", t.Source, err)
	}
	if string(patch) == "{}" {
		return current.DeepCopy(), nil
	}
	made, err := a.Client.Patch(ctx, t.Ref, kind, patch, a.Write)
	if err != nil {
		return nil, a.refused(t, current, kind, patch, err)
	}
	return made, nil
}
