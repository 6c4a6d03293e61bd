// Package applyset records on the server which objects were applied together, so that one that is
// no longer among them is found. It follows version 1 of the ApplySet specification (KEP-3659,
// https://git.k8s.io/enhancements/keps/sig-cli/3659-kubectl-apply-prune), which is that of kubectl
// apply --prune --applyset: a parent object names the kinds and namespaces of the members, and each
// member carries a label with the parent's ID.
package applyset

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"skiff/cli/client"
)

// The labels and annotations of the specification.
const (
	// PartOf is the label of a member; its value is the set's ID.
	PartOf = "applyset.kubernetes.io/part-of"

	idLabel              = "applyset.kubernetes.io/id"
	toolingAnnotation    = "applyset.kubernetes.io/tooling"
	kindsAnnotation      = "applyset.kubernetes.io/contains-group-kinds"
	namespacesAnnotation = "applyset.kubernetes.io/additional-namespaces"
)

// originAnnotation is skiff's own: where the manifests were that the set was made of.
const originAnnotation = "skiff/manifests"

// The tool is kubectl's name, and so is the manager of the parent's fields: kubectl refuses sets of
// other tools, and members are treated alike by both.
const (
	tool    = "kubectl"
	version = "v1.37"
	manager = tool + "-applyset"
)

// ID is the ID of the set whose parent has this name, namespace and kind.
func ID(name, namespace string, kind schema.GroupKind) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{name, namespace, kind.Kind, kind.Group}, ".")))
	return "applyset-" + base64.RawURLEncoding.EncodeToString(sum[:]) + "-v1"
}

// Set is an ApplySet whose parent is a ConfigMap.
type Set struct {
	// Parent is the ConfigMap, and Exists whether there is one yet.
	Parent client.Ref
	Exists bool
	// Origin is where the manifests of the recorded set were; "" when that is not known.
	Origin string

	client *client.Client
	id     string
	// version is the parent's that recorded is of.
	version string
	recorded
}

// recorded is what the parent says of the members: a superset of what there is.
type recorded struct {
	kinds      map[schema.GroupKind]bool
	namespaces map[string]bool
}

func nothing() recorded {
	return recorded{kinds: map[schema.GroupKind]bool{}, namespaces: map[string]bool{}}
}

func (r recorded) add(other recorded) {
	maps.Copy(r.kinds, other.kinds)
	maps.Copy(r.namespaces, other.namespaces)
}

// without is what is in r and not in other.
func (r recorded) without(other recorded) recorded {
	out := recorded{kinds: maps.Clone(r.kinds), namespaces: maps.Clone(r.namespaces)}
	maps.DeleteFunc(out.kinds, func(k schema.GroupKind, _ bool) bool { return other.kinds[k] })
	maps.DeleteFunc(out.namespaces, func(n string, _ bool) bool { return other.namespaces[n] })
	return out
}

// Open reads the set that has the ConfigMap of this name in the client's namespace as its parent,
// or prepares a new one. It fails when there is such a ConfigMap that is no parent, or another
// tool's.
func Open(ctx context.Context, c *client.Client, name string) (*Set, error) {
	catalog, err := c.Catalog()
	if err != nil {
		return nil, err
	}
	mapping, err := catalog.Kind(schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"})
	if err != nil {
		return nil, err
	}
	s := &Set{Parent: client.Ref{Mapping: mapping, Namespace: c.Namespace, Name: name}, client: c, recorded: nothing()}
	s.id = ID(name, c.Namespace, mapping.GroupVersionKind.GroupKind())
	if err := s.reread(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// reread takes over what the parent says at present.
func (s *Set) reread(ctx context.Context) error {
	s.Exists, s.Origin, s.version, s.recorded = false, "", "", nothing()
	parent, err := s.client.Get(ctx, s.Parent)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading %s, which records the objects of the project: %w", s.Parent, err)
	}
	return s.read(parent)
}

// read takes over what a parent says.
func (s *Set) read(parent *unstructured.Unstructured) error {
	annotations := parent.GetAnnotations()
	name, rest := path.Split(annotations[toolingAnnotation])
	switch {
	case parent.GetLabels()[idLabel] != s.id:
		return fmt.Errorf("%s in namespace %s is not what records the objects of a project: its label %s is %q, not %q", s.Parent, s.Parent.Namespace, idLabel, parent.GetLabels()[idLabel], s.id)
	case len(annotations) > 0 && cmp.Or(strings.TrimSuffix(name, "/"), rest) != tool: // it has none while it is being created
		return fmt.Errorf("%s in namespace %s records objects that are managed by another tool, %q", s.Parent, s.Parent.Namespace, annotations[toolingAnnotation])
	}
	s.Exists, s.Origin, s.version = true, annotations[originAnnotation], parent.GetResourceVersion()
	for _, kind := range list(annotations[kindsAnnotation]) {
		s.kinds[schema.ParseGroupKind(kind)] = true
	}
	for _, namespace := range list(annotations[namespacesAnnotation]) {
		s.namespaces[namespace] = true
	}
	return nil
}

func list(annotation string) []string {
	if annotation == "" {
		return nil
	}
	return strings.Split(annotation, ",")
}

// Label makes an object, as it is to be applied, a member. It fails when the object says that it
// belongs to another set.
func (s *Set) Label(o *unstructured.Unstructured) error {
	labels := maps.Clone(o.GetLabels())
	if other := labels[PartOf]; other != "" && other != s.id {
		return fmt.Errorf("its label %s says that it belongs to another ApplySet, %q: remove the label", PartOf, other)
	}
	if labels == nil {
		labels = map[string]string{}
	}
	labels[PartOf] = s.id
	o.SetLabels(labels)
	return nil
}

// Member is an object of a set, as the server has it.
type Member struct {
	client.Ref
	Value *unstructured.Unstructured
}

// Members returns the set's objects on the server, as far as its parent knows their kinds. Kinds
// that are no longer served have none. Members that can be read are returned beside an error about
// others.
func (s *Set) Members(ctx context.Context) ([]Member, error) {
	catalog, err := s.client.Catalog()
	if err != nil {
		return nil, err
	}
	var out []Member
	var failed error
	for _, kind := range slices.SortedFunc(maps.Keys(s.kinds), compareKinds) {
		mapping, err := catalog.Kind(kind.WithVersion(""))
		if meta.IsNoMatchError(err) {
			continue
		}
		if err != nil {
			return out, err
		}
		for _, namespace := range s.namespacesOf(mapping) {
			members, err := s.membersOf(ctx, client.Ref{Mapping: mapping, Namespace: namespace})
			out = append(out, members...)
			if err != nil {
				failed = fmt.Errorf("listing the project's %s: %w", mapping.Resource.GroupResource(), err)
			}
		}
	}
	return out, failed
}

func compareKinds(a, b schema.GroupKind) int { return strings.Compare(a.String(), b.String()) }

// namespacesOf are where members of a kind may be.
func (s *Set) namespacesOf(m *meta.RESTMapping) []string {
	if m.Scope.Name() != meta.RESTScopeNameNamespace {
		return []string{""}
	}
	all := maps.Clone(s.namespaces)
	all[s.Parent.Namespace] = true
	return slices.Sorted(maps.Keys(all))
}

// membersOf are the members in one collection. Some controllers copy the labels of an object to
// those that they make for it; those are none.
func (s *Set) membersOf(ctx context.Context, collection client.Ref) ([]Member, error) {
	items, _, err := s.client.List(ctx, collection, client.ListOptions{Labels: PartOf + "=" + s.id})
	if apierrors.IsNotFound(err) { // the kind has gone since the server was asked for its kinds
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []Member
	for i := range items {
		if metav1.GetControllerOf(&items[i]) != nil {
			continue
		}
		m := Member{Ref: collection, Value: &items[i]}
		m.Name = items[i].GetName()
		out = append(out, m)
	}
	return out, nil
}

// Cover records members before they are applied, beside those recorded already: none is forgotten
// if the rest fails.
func (s *Set) Cover(ctx context.Context, members []client.Ref, origin string) error {
	r := s.recordOf(members)
	r.add(s.recorded)
	return s.record(ctx, r, origin)
}

// Record records exactly these members, and those that another run has recorded meanwhile.
func (s *Set) Record(ctx context.Context, members []client.Ref, origin string) error {
	return s.record(ctx, s.recordOf(members), origin)
}

func (s *Set) recordOf(members []client.Ref) recorded {
	r := nothing()
	for _, m := range members {
		r.kinds[m.Mapping.GroupVersionKind.GroupKind()] = true
		if m.Namespaced() && m.Namespace != s.Parent.Namespace {
			r.namespaces[m.Namespace] = true
		}
	}
	return r
}

// tries is how often the parent is read and written again when others write it too.
const tries = 5

func (s *Set) record(ctx context.Context, r recorded, origin string) error {
	for try := 1; ; try++ {
		if s.Exists && s.Origin == origin && maps.Equal(s.kinds, r.kinds) && maps.Equal(s.namespaces, r.namespaces) {
			return nil
		}
		err := s.write(ctx, r, origin)
		if err == nil {
			return nil
		}
		if !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) || try == tries {
			return fmt.Errorf("recording the project's objects in %s: %w", s.Parent, err)
		}
		added, err := s.catchUp(ctx)
		if err != nil {
			return err
		}
		r.add(added)
	}
}

// catchUp reads the parent again and returns what others have added to it since it was read last.
func (s *Set) catchUp(ctx context.Context) (recorded, error) {
	before := s.recorded
	if err := s.reread(ctx); err != nil {
		return nothing(), err
	}
	return s.without(before), nil
}

// write makes the parent say r, unless it has changed since it was read. A server-side apply would
// take over a parent that another run has just created, so that it is created first: with nothing
// that kubectl, which may go on with the set, would find in conflict.
func (s *Set) write(ctx context.Context, r recorded, origin string) error {
	options := client.WriteOptions{Manager: manager}
	if !s.Exists {
		bare := s.parent(r, "")
		bare.SetAnnotations(nil)
		made, err := s.client.Create(ctx, s.Parent, bare, options)
		if err != nil {
			return err
		}
		s.Exists, s.Origin, s.version, s.recorded = true, "", made.GetResourceVersion(), nothing()
	}
	parent := s.parent(r, origin)
	parent.SetResourceVersion(s.version)
	data, err := json.Marshal(parent)
	if err != nil {
		return err
	}
	options.Force = true
	made, err := s.client.Patch(ctx, s.Parent, types.ApplyPatchType, data, options)
	if err != nil {
		return err
	}
	s.Origin, s.version, s.recorded = origin, made.GetResourceVersion(), r
	return nil
}

// parent is the ConfigMap as it is to be.
func (s *Set) parent(r recorded, origin string) *unstructured.Unstructured {
	var kinds []string
	for kind := range r.kinds {
		kinds = append(kinds, kind.String())
	}
	slices.Sort(kinds)
	annotations := map[string]any{
		toolingAnnotation: tool + "/" + version, kindsAnnotation: strings.Join(kinds, ","),
		namespacesAnnotation: strings.Join(slices.Sorted(maps.Keys(r.namespaces)), ","),
	}
	if origin != "" {
		annotations[originAnnotation] = origin
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": s.Parent.Name, "namespace": s.Parent.Namespace, "labels": map[string]any{idLabel: s.id}, "annotations": annotations},
	}}
}

// Remove deletes the parent of a set that has no members. It stays where another run has recorded
// members meanwhile.
func (s *Set) Remove(ctx context.Context) error {
	for try := 1; s.Exists; try++ {
		_, err := s.client.Delete(ctx, s.Parent, &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &s.version}})
		switch {
		case err == nil, apierrors.IsNotFound(err):
			s.Exists = false
			return nil
		case !apierrors.IsConflict(err) || try == tries:
			return fmt.Errorf("deleting %s, which recorded the project's objects: %w", s.Parent, err)
		}
		added, err := s.catchUp(ctx)
		if err != nil || len(added.kinds) > 0 {
			return err
		}
	}
	return nil
}
