package resource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"skiff/cli/client"
)

// Query is what a person named on the command line.
type Query struct {
	// Args are types and names: "po kubia", "po,rc", "rc/kubia rs/kubia".
	Args []string
	Files
	// Defining finds the kinds too that the files themselves define.
	Defining bool
	// Labels and Fields select objects of the named types; All selects every one of them.
	Labels, Fields string
	All            bool
	AllNamespaces  bool
	// Lists makes a type alone mean all its objects, as for get and describe.
	Lists bool
	// Chunk is how many objects to ask for at a time.
	Chunk int64
}

// Target is an object (Ref has a name) or a collection.
type Target struct {
	client.Ref
	Labels, Fields string
	// Value is the object as a file has it; nil for targets named by arguments.
	Value *unstructured.Unstructured
	// Source is the file or URL; "" for targets named by arguments.
	Source string
	// Bulk reports that the user did not name this very object.
	Bulk bool
}

// Object is a target that was fetched.
type Object struct {
	client.Ref
	Value  *unstructured.Unstructured
	Source string
	Bulk   bool
}

// Finder resolves queries against a server.
type Finder struct {
	Client *client.Client
	In     io.Reader
}

const nothingNamed = `You must provide one or more resources by argument or filename.
Example resource specifications include:
   '-f rsrc.yaml'
   '--filename=rsrc.json'
   '<resource> <name>'
   '<resource>'`

// Targets resolves q. Targets that could be resolved are returned beside an error about the others.
func (f Finder) Targets(ctx context.Context, q Query) ([]Target, error) {
	if len(q.Names) > 0 {
		if len(q.Args) > 0 {
			return nil, errors.New("when paths, URLs, or stdin is provided as input, you may not specify resource arguments as well")
		}
		return f.fromFiles(ctx, q)
	}
	if len(q.Args) == 0 {
		return nil, errors.New(nothingNamed)
	}
	if err := q.check(); err != nil {
		return nil, err
	}
	return f.fromArgs(q)
}

func (q Query) check() error {
	if q.All && q.Labels != "" {
		return fmt.Errorf("found non-empty label selector %q with previously set 'all' parameter. ", q.Labels)
	}
	if q.All && q.Fields != "" {
		return fmt.Errorf("found non-empty field selector %q with previously set 'all' parameter. ", q.Fields)
	}
	return nil
}

func (f Finder) fromFiles(ctx context.Context, q Query) ([]Target, error) {
	selector, err := labels.Parse(q.Labels)
	if err != nil {
		return nil, fmt.Errorf("the provided selector %q is not valid: %w", q.Labels, err)
	}
	manifests, err := Reader{In: f.In, Namespace: f.Client.Namespace}.Read(ctx, q.Files)
	errs := []error{err}
	if q.Defining {
		errs = append(errs, f.Define(manifests))
	}
	var out []Target
	for _, m := range manifests {
		if !selector.Matches(labels.Set(m.Object.GetLabels())) {
			continue
		}
		t, err := f.Place(m)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, t)
	}
	return out, join(errs)
}

// Place finds where a manifest's object belongs, and completes its namespace. The error is an
// *UnknownKindError when the server does not have the object's kind.
func (f Finder) Place(m Manifest) (Target, error) {
	catalog, err := f.Client.Catalog()
	if err != nil {
		return Target{}, err
	}
	o := m.Object
	mapping, err := catalog.Kind(o.GroupVersionKind())
	if meta.IsNoMatchError(err) {
		return Target{}, f.unknownKind(m, catalog, err)
	}
	if err != nil {
		return Target{}, fmt.Errorf("unable to recognize %q: %w", m.Source, err)
	}
	t := Target{Ref: client.Ref{Mapping: mapping, Namespace: o.GetNamespace(), Name: o.GetName()}, Value: o, Source: m.Source}
	switch {
	case !t.Namespaced():
		t.Namespace = ""
	case t.Namespace == "":
		t.Namespace = f.Client.Namespace
	case f.Client.NamespaceGiven && t.Namespace != f.Client.Namespace:
		return Target{}, fmt.Errorf("the namespace from the provided object %q does not match the namespace %q. You must pass '--namespace=%s' to perform this operation.", t.Namespace, f.Client.Namespace, t.Namespace)
	}
	if t.Namespaced() {
		o.SetNamespace(t.Namespace)
	}
	return t, nil
}

func (f Finder) fromArgs(q Query) ([]Target, error) {
	slashes := slices.ContainsFunc(q.Args, func(a string) bool { return strings.Contains(a, "/") })
	if slashes {
		return f.pairs(q)
	}
	mappings, err := f.types(q.Args[0])
	if err != nil {
		return nil, err
	}
	if len(q.Args) == 1 {
		return f.collections(q, mappings)
	}
	if q.Labels != "" || q.Fields != "" || q.All {
		return nil, errors.New("name cannot be provided when a selector is specified")
	}
	var out []Target
	for _, m := range mappings {
		for _, name := range q.Args[1:] {
			t, err := f.named(q, m, name)
			if err != nil {
				return nil, err
			}
			out = append(out, t)
		}
	}
	return out, nil
}

// pairs resolves TYPE/NAME arguments.
func (f Finder) pairs(q Query) ([]Target, error) {
	if q.Labels != "" || q.Fields != "" || q.All {
		return nil, errors.New("selectors and the all flag cannot be used when passing resource/name arguments")
	}
	var out []Target
	for _, arg := range q.Args {
		kind, name, ok := strings.Cut(arg, "/")
		switch {
		case !ok:
			return nil, errors.New("there is no need to specify a resource type as a separate argument when passing arguments in resource/name form (e.g. 'skiff get resource/<resource_name>' instead of 'skiff get resource resource/<resource_name>'")
		case kind == "" || name == "":
			return nil, errors.New("arguments in resource/name form must have a single resource and name")
		case strings.Contains(name, "/"):
			return nil, errors.New("arguments in resource/name form may not have more than one slash")
		}
		mappings, err := f.types(kind)
		if err != nil {
			return nil, err
		}
		for _, m := range mappings {
			t, err := f.named(q, m, name)
			if err != nil {
				return nil, err
			}
			out = append(out, t)
		}
	}
	return out, nil
}

func (f Finder) named(q Query, m *meta.RESTMapping, name string) (Target, error) {
	t := Target{Ref: client.Ref{Mapping: m, Namespace: f.Client.Namespace, Name: name}}
	if !t.Namespaced() {
		t.Namespace = ""
	} else if q.AllNamespaces {
		return Target{}, errors.New("a resource cannot be retrieved by name across all namespaces")
	}
	return t, nil
}

func (f Finder) collections(q Query, mappings []*meta.RESTMapping) ([]Target, error) {
	if !q.Lists && !q.All && q.Labels == "" && q.Fields == "" {
		return nil, errors.New("resource(s) were provided, but no name was specified")
	}
	var out []Target
	for _, m := range mappings {
		t := Target{Ref: client.Ref{Mapping: m, Namespace: f.Client.Namespace}, Labels: q.Labels, Fields: q.Fields, Bulk: true}
		if q.AllNamespaces || !t.Namespaced() {
			t.Namespace = ""
		}
		out = append(out, t)
	}
	return out, nil
}

// types resolves "po,rc", "all" and the like; each type once.
func (f Finder) types(arg string) ([]*meta.RESTMapping, error) {
	catalog, err := f.Client.Catalog()
	if err != nil {
		return nil, err
	}
	var out []*meta.RESTMapping
	seen := map[string]bool{}
	for _, one := range expandCategories(catalog, strings.Split(arg, ",")) {
		if one == "" {
			return nil, errors.New("arguments must consist of a resource or a resource and name")
		}
		m, err := catalog.Resource(one)
		if err != nil {
			return nil, err
		}
		if key := m.Resource.String(); !seen[key] {
			seen[key] = true
			out = append(out, m)
		}
	}
	return out, nil
}

func expandCategories(c *client.Catalog, names []string) []string {
	var out []string
	for _, n := range names {
		members := c.Category(n)
		if len(members) == 0 {
			out = append(out, n)
			continue
		}
		for _, gr := range members {
			out = append(out, gr.String())
		}
	}
	return out
}

// Each fetches the targets and calls fn with every object. It goes on after an error and returns
// all of them.
func (f Finder) Each(ctx context.Context, targets []Target, chunk int64, fn func(Object) error) error {
	var errs []error
	for _, t := range targets {
		if t.Name != "" {
			value, err := f.Client.Get(ctx, t.Ref)
			if err == nil {
				err = fn(Object{Ref: t.Ref, Value: value, Source: t.Source, Bulk: t.Bulk})
			}
			errs = append(errs, err)
			continue
		}
		o := client.ListOptions{Labels: t.Labels, Fields: t.Fields, Chunk: chunk}
		errs = append(errs, f.Client.Pages(ctx, t.Ref, o, func(page *unstructured.Unstructured) error {
			return eachItem(page, t.Ref, fn)
		}))
	}
	return join(errs)
}

// eachItem calls fn with every object of a page.
func eachItem(page *unstructured.Unstructured, r client.Ref, fn func(Object) error) error {
	items, err := client.Items(page, r)
	if err != nil {
		return err
	}
	var errs []error
	for i := range items {
		one := r
		one.Name, one.Namespace = items[i].GetName(), items[i].GetNamespace()
		errs = append(errs, fn(Object{Ref: one, Value: &items[i], Bulk: true}))
	}
	return join(errs)
}

// Find resolves q and fetches all it names.
func (f Finder) Find(ctx context.Context, q Query, fn func(Object) error) error {
	targets, err := f.Targets(ctx, q)
	return join([]error{err, f.Each(ctx, targets, q.Chunk, fn)})
}

// IgnoreNotFound drops the not-found errors of err.
func IgnoreNotFound(err error) error {
	return utilerrors.FilterOut(err, func(err error) bool { return apierrors.IsNotFound(err) })
}

// join makes one flat error of those that are not nil: nil for none, the error itself for one.
func join(errs []error) error {
	agg := utilerrors.NewAggregate(errs)
	if agg == nil {
		return nil
	}
	flat := utilerrors.Flatten(agg)
	if len(flat.Errors()) == 1 {
		return flat.Errors()[0]
	}
	return flat
}
