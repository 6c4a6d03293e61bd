package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

// Ref names an object, or with no Name a whole collection, on the server.
type Ref struct {
	Mapping *meta.RESTMapping
	// Namespace is "" for all namespaces and for kinds that have none.
	Namespace, Name string
	// Subresource is "status", "scale", "log" …; "" for the object itself.
	Subresource string
}

// Namespaced reports whether objects of this kind live in namespaces.
func (r Ref) Namespaced() bool { return r.Mapping.Scope.Name() == meta.RESTScopeNameNamespace }

// WithSubresource is the same object's subresource.
func (r Ref) WithSubresource(sub string) Ref {
	r.Subresource = sub
	return r
}

// Kind is the kind as messages show it: pod, replicaset.apps.
func (r Ref) Kind() string {
	gk := r.Mapping.GroupVersionKind.GroupKind()
	gk.Kind = strings.ToLower(gk.Kind)
	return gk.String()
}

// String is the form that people type and read: pod/kubia, replicaset.apps/kubia. For a collection
// it is the resource.
func (r Ref) String() string {
	if r.Name == "" {
		return r.Mapping.Resource.GroupResource().String()
	}
	return r.Kind() + "/" + r.Name
}

func (r Ref) segments() []string {
	gv := r.Mapping.Resource
	s := []string{"apis", gv.Group, gv.Version}
	if gv.Group == "" {
		s = []string{"api", gv.Version}
	}
	if r.Namespace != "" && r.Namespaced() {
		s = append(s, "namespaces", r.Namespace)
	}
	for _, part := range []string{gv.Resource, r.Name, r.Subresource} {
		if part != "" {
			s = append(s, part)
		}
	}
	return s
}

// Request begins a request on r, for whatever the methods below do not cover.
func (c *Client) Request(verb string, r Ref) *rest.Request {
	return c.rest.Verb(verb).AbsPath(r.segments()...)
}

// Get fetches one object.
func (c *Client) Get(ctx context.Context, r Ref) (*unstructured.Unstructured, error) {
	return decode(c.Request("GET", r).Do(ctx))
}

// ListOptions narrow a list or a watch. Selectors are in the server's syntax.
type ListOptions struct {
	Labels, Fields string
	// Chunk is how many objects to ask for at a time; 0 for all at once.
	Chunk int64
	// ResourceVersion is where a watch starts.
	ResourceVersion string
	// Table asks for rows of text, with the full objects inside when Objects is set.
	Table, Objects bool
}

const tableAccept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"

func (o ListOptions) apply(r *rest.Request) *rest.Request {
	for k, v := range map[string]string{"labelSelector": o.Labels, "fieldSelector": o.Fields, "resourceVersion": o.ResourceVersion} {
		if v != "" {
			r.Param(k, v)
		}
	}
	if o.Table {
		r.SetHeader("Accept", tableAccept)
		if o.Objects {
			r.Param("includeObject", "Object")
		}
	}
	return r
}

// explain adds what was looked for when the server cannot make sense of it.
func (o ListOptions) explain(err error, r Ref) error {
	var status *apierrors.StatusError
	if r.Name != "" || !apierrors.IsBadRequest(err) && !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return err
	}
	what := fmt.Sprintf("Unable to list %q", r.Mapping.Resource)
	if o.Labels != "" || o.Fields != "" {
		what = fmt.Sprintf("Unable to find %q that match label selector %q, field selector %q", r.Mapping.Resource, o.Labels, o.Fields)
	}
	explained := *status
	explained.ErrStatus.Message = what + ": " + status.ErrStatus.Message
	return &explained
}

// Pages calls fn with each page of a collection (or a table of it), as many as it takes. A page is
// what the server sent.
func (c *Client) Pages(ctx context.Context, r Ref, o ListOptions, fn func(page *unstructured.Unstructured) error) error {
	more := ""
	for {
		req := o.apply(c.Request("GET", r))
		if o.Chunk > 0 {
			req.Param("limit", strconv.FormatInt(o.Chunk, 10))
		}
		if more != "" {
			req.Param("continue", more)
		}
		page, err := decode(req.Do(ctx))
		if err != nil {
			return o.explain(err, r)
		}
		if err := fn(page); err != nil {
			return err
		}
		if more, _, _ = unstructured.NestedString(page.Object, "metadata", "continue"); more == "" {
			return nil
		}
	}
}

// Items returns the objects of a page. The server leaves out the kind of each item in a typed list;
// here each has it.
func Items(page *unstructured.Unstructured, r Ref) ([]unstructured.Unstructured, error) {
	list, err := page.ToList()
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", r, err)
	}
	for i := range list.Items {
		if list.Items[i].GetKind() == "" {
			list.Items[i].SetGroupVersionKind(r.Mapping.GroupVersionKind)
		}
	}
	return list.Items, nil
}

// List fetches a whole collection, and the version it had.
func (c *Client) List(ctx context.Context, r Ref, o ListOptions) ([]unstructured.Unstructured, string, error) {
	var out []unstructured.Unstructured
	var version string
	err := c.Pages(ctx, r, o, func(page *unstructured.Unstructured) error {
		items, err := Items(page, r)
		out = append(out, items...)
		version, _, _ = unstructured.NestedString(page.Object, "metadata", "resourceVersion")
		return err
	})
	return out, version, err
}

// ListOf fetches a whole collection of a known type T, e.g. corev1.Pod.
func ListOf[T any](ctx context.Context, c *Client, r Ref, o ListOptions) ([]T, error) {
	items, _, err := c.List(ctx, r, o)
	if err != nil {
		return nil, err
	}
	out := make([]T, len(items))
	for i := range items {
		if err := Into(&items[i], &out[i]); err != nil {
			return nil, fmt.Errorf("listing %s: %w", r, err)
		}
	}
	return out, nil
}

// Into reads an object as a known type, e.g. a *corev1.Pod.
func Into(u *unstructured.Unstructured, obj any) error {
	return runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, obj)
}

// GetInto fetches one object of a known type into obj, e.g. a *corev1.Pod.
func (c *Client) GetInto(ctx context.Context, r Ref, obj runtime.Object) error {
	u, err := c.Get(ctx, r)
	if err != nil {
		return err
	}
	return Into(u, obj)
}

// Watch follows a collection, or one object, from o.ResourceVersion on. The caller stops it.
func (c *Client) Watch(ctx context.Context, r Ref, o ListOptions) (watch.Interface, error) {
	if r.Name != "" {
		o.Fields = "metadata.name=" + r.Name
		r.Name = ""
	}
	return o.apply(c.Request("GET", r)).Param("watch", "true").Watch(ctx)
}

// WriteOptions are the parameters of a write.
type WriteOptions struct {
	// DryRun asks the server to do everything except the write.
	DryRun bool
	// Manager is the field manager; Validation what to do about unknown fields: Strict, Warn,
	// Ignore or "" for the server's default.
	Manager, Validation string
	// Force takes fields over from other managers (server-side apply).
	Force bool
}

func (o WriteOptions) apply(r *rest.Request) *rest.Request {
	if o.DryRun {
		r.Param("dryRun", metav1.DryRunAll)
	}
	if o.Manager != "" {
		r.Param("fieldManager", o.Manager)
	}
	if o.Validation != "" {
		r.Param("fieldValidation", o.Validation)
	}
	return r
}

// Create sends a new object; r.Name is left out of the path.
func (c *Client) Create(ctx context.Context, r Ref, obj runtime.Object, o WriteOptions) (*unstructured.Unstructured, error) {
	r.Name = ""
	return c.send(ctx, "POST", r, obj, o)
}

// Post creates what a subresource of an object makes, such as a token.
func (c *Client) Post(ctx context.Context, r Ref, obj runtime.Object, o WriteOptions) (*unstructured.Unstructured, error) {
	return c.send(ctx, "POST", r, obj, o)
}

// Replace overwrites an object.
func (c *Client) Replace(ctx context.Context, r Ref, obj runtime.Object, o WriteOptions) (*unstructured.Unstructured, error) {
	return c.send(ctx, "PUT", r, obj, o)
}

func (c *Client) send(ctx context.Context, verb string, r Ref, obj runtime.Object, o WriteOptions) (*unstructured.Unstructured, error) {
	data, err := json.Marshal(obj)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", r, err)
	}
	return decode(o.apply(c.Request(verb, r)).SetHeader("Content-Type", "application/json").Body(data).Do(ctx))
}

// Patch changes an object by a patch of the given type.
func (c *Client) Patch(ctx context.Context, r Ref, kind types.PatchType, data []byte, o WriteOptions) (*unstructured.Unstructured, error) {
	req := o.apply(c.rest.Patch(kind).AbsPath(r.segments()...))
	if kind == types.ApplyPatchType {
		req.Param("force", strconv.FormatBool(o.Force))
	}
	return decode(req.Body(data).Do(ctx))
}

// Delete asks for an object to be deleted. The answer is the object while it still has to end, a
// Status otherwise.
func (c *Client) Delete(ctx context.Context, r Ref, o *metav1.DeleteOptions) (*unstructured.Unstructured, error) {
	o.TypeMeta = metav1.TypeMeta{Kind: "DeleteOptions", APIVersion: "v1"}
	data, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	return decode(c.Request("DELETE", r).SetHeader("Content-Type", "application/json").Body(data).Do(ctx))
}

// decode reads an answer of any kind, lists included, as one unstructured value.
func decode(res rest.Result) (*unstructured.Unstructured, error) {
	if err := res.Error(); err != nil {
		return nil, err
	}
	data, err := res.Raw()
	if err != nil {
		return nil, err
	}
	u := &unstructured.Unstructured{}
	if err := runtimeJSON(data, &u.Object); err != nil {
		return nil, fmt.Errorf("the server's answer is not an object: %w", err)
	}
	return u, nil
}

// From turns a typed object into one that can be sent.
func From(obj any) (*unstructured.Unstructured, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	return &unstructured.Unstructured{Object: content}, err
}

// OrDone returns ctx's own error, if it has one, instead of an error that its end caused.
func OrDone(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// Past its deadline a context may not have noticed yet, but the rate limiter has.
	if deadline, ok := ctx.Deadline(); ok && err != nil && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return err
}
