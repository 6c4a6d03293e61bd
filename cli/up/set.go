package up

import (
	"context"
	"fmt"
	"os"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"skiff/cli/applyset"
	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/resource"
)

// ownSet is the set of a project's objects on the server. It is nil where none is recorded, and
// then has no members.
type ownSet struct {
	*applyset.Set
	project project
	env     *command.Env
	// own reports whether it is on skiff's own cluster, which serves this machine.
	own bool
	// consequence is what the user loses when nothing is recorded.
	consequence string
}

// openSet finds the set of a project. An application that may not read it, or whose derived name is
// taken, goes unrecorded: the warning says with what consequence.
func openSet(ctx context.Context, c *client.Client, env *command.Env, p project, consequence string) (*ownSet, error) {
	if p.name == "" {
		return nil, nil
	}
	set, err := applyset.Open(ctx, c, p.parent())
	s := &ownSet{Set: set, project: p, env: env, own: c.Own(), consequence: consequence}
	switch {
	case apierrors.IsForbidden(err):
		return s.unrecorded(err), nil
	case err != nil:
		return nil, fmt.Errorf("%w; choose another name with --project", err)
	case s.strange():
		return s.unrecorded(fmt.Errorf("a project of the name %s was started from %s: choose another name with --project, or go on with it by --project %[1]s", p.name, s.Origin)), nil
	}
	return s, nil
}

// unrecorded warns that there is no set, and returns it.
func (s *ownSet) unrecorded(why error) *ownSet {
	fmt.Fprintf(s.env.Err, "Warning: %s: %v\n", s.consequence, why)
	return nil
}

// label makes the targets members, in their manifests.
func (s *ownSet) label(targets []resource.Target) error {
	if s == nil {
		return nil
	}
	var errs []error
	for _, t := range targets {
		if err := s.Label(t.Value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", t.Source, t.Ref, err))
		}
	}
	return command.Join(errs...)
}

// cover records the targets before they are applied. It returns nil, and the application goes on
// unrecorded, where that is not permitted.
func (s *ownSet) cover(ctx context.Context, targets []resource.Target) (*ownSet, error) {
	if s == nil {
		return nil, nil
	}
	err := s.Cover(ctx, refs(targets), s.project.origin)
	if apierrors.IsForbidden(err) {
		return s.unrecorded(err), nil
	}
	return s, err
}

func refs(targets []resource.Target) []client.Ref {
	out := make([]client.Ref, len(targets))
	for i, t := range targets {
		out[i] = t.Ref
	}
	return out
}

// others are the members that are not among the targets, nor among the applied objects: one object
// may be served in several groups, as Deployments were in extensions and apps.
func (s *ownSet) others(ctx context.Context, targets []resource.Target, applied map[types.UID]bool) ([]resource.Target, error) {
	if s == nil || !s.Exists {
		return nil, nil
	}
	named := map[string]bool{}
	for _, t := range targets {
		named[objectKey(t.Ref)] = true
	}
	members, err := s.Members(ctx)
	seen := map[types.UID]bool{}
	var out []resource.Target
	for _, m := range members {
		uid := m.Value.GetUID()
		if !named[objectKey(m.Ref)] && !applied[uid] && !seen[uid] {
			out = append(out, resource.Target{Ref: m.Ref, Value: m.Value})
		}
		seen[uid] = true
	}
	return inOrder(out), err
}

// objectKey is the same for an object in all versions of its kind.
func objectKey(r client.Ref) string {
	return r.Mapping.GroupVersionKind.GroupKind().String() + "/" + r.Namespace + "/" + r.Name
}

// strange reports whether the set is that of another application, whose derived name is the same.
// On skiff's own cluster it is one whose manifests still exist: otherwise they have been moved. A
// path that others have recorded says nothing about this machine.
func (s *ownSet) strange() bool {
	if s.project.given || s.Origin == "" || s.Origin == s.project.origin {
		return false
	}
	if !s.own {
		return true
	}
	_, err := os.Stat(s.Origin)
	return isURL(s.Origin) || err == nil
}

// prune deals with the members that are no longer in the manifests: they are named, and deleted
// where prune says so. The set then records what there is.
func (s *ownSet) prune(ctx context.Context, d *deleter, targets []resource.Target, applied map[types.UID]bool, prune bool) error {
	if s == nil {
		return nil
	}
	others, err := s.others(ctx, targets, applied)
	if err != nil {
		return err
	}
	var pruned []resource.Target
	kept := refs(targets)
	for _, t := range others {
		advice := "--prune removes it"
		if holdsData(t) {
			advice = "its data would go with it: skiff delete " + t.Ref.String() + inNamespace(" -n ", s.elsewhere(t)) + " removes both"
		} else if prune {
			pruned = append(pruned, t)
			continue
		}
		kept = append(kept, t.Ref)
		fmt.Fprintf(s.env.Err, "Warning: %s%s is no longer in the manifests; %s\n", t.Ref, inNamespace(" in namespace ", s.elsewhere(t)), advice)
	}
	if len(pruned) > 0 {
		d.decided = uidsOf(pruned)
		if err := d.delete(ctx, pruned); err != nil {
			return fmt.Errorf("removing what is no longer in the manifests: %w", err)
		}
	}
	return s.Record(ctx, kept, s.project.origin)
}

// elsewhere is the namespace of an object that is not in that of the set, "" otherwise.
func (s *ownSet) elsewhere(t resource.Target) string {
	if t.Namespace == s.Parent.Namespace {
		return ""
	}
	return t.Namespace
}

func inNamespace(words, namespace string) string {
	if namespace == "" {
		return ""
	}
	return words + namespace
}

// recordRest records what is left of the set after a deletion, and removes the record of one that
// has no members.
func (s *ownSet) recordRest(ctx context.Context) error {
	if s == nil || !s.Exists {
		return nil
	}
	rest, err := s.others(ctx, nil, nil)
	switch {
	case err != nil:
		return err
	case len(rest) == 0:
		return s.Remove(ctx)
	}
	return s.Record(ctx, refs(rest), s.Origin)
}
