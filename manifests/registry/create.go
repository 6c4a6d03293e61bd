package registry

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"
	"k8s.io/apiserver/pkg/warning"

	"skiff/manifests"
	"skiff/store"
)

// maxGeneratedNames is how many names are tried for an object that brings only
// a generateName, as upstream does.
const maxGeneratedNames = 8

// Create stores a new object. It takes obj over: the caller must not use it
// afterwards.
func (r *Resource) Create(ctx context.Context, namespace string, obj store.Object, o CreateOptions) (store.Object, error) {
	rest.WipeObjectMetaSystemFields(obj)
	if err := r.settleNamespace(namespace, obj); err != nil {
		return nil, err
	}
	request := Request{Operation: Create, Namespace: obj.GetNamespace(), Name: obj.GetName(), Object: obj, DryRun: o.DryRun, Options: optionsOf(o.Options)}
	if err := r.mutate(ctx, request, false); err != nil {
		return nil, err
	}
	if err := r.settleNamespace(namespace, obj); err != nil {
		return nil, err // somebody has moved it
	}
	if obj.GetResourceVersion() != "" {
		return nil, errVersionOnCreate
	}
	end, err := r.beginCreate(ctx, request, o.Validate)
	if err != nil {
		return nil, err
	}
	defer end()
	return r.insert(ctx, request)
}

// optionsOf keeps a nil pointer from becoming an interface that is not nil.
func optionsOf[T any, P interface {
	*T
	runtime.Object
}](o P) runtime.Object {
	if o == nil {
		return nil
	}
	return o
}

// settleNamespace puts the object into the namespace of the request.
func (r *Resource) settleNamespace(namespace string, obj store.Object) error {
	return rest.EnsureObjectNamespaceMatchesRequestNamespace(rest.ExpectedNamespaceForScope(namespace, r.kind.Namespaced), obj)
}

// beginCreate makes of the request's object what is to be stored. The function
// it returns is to be called when that is done or has failed.
func (r *Resource) beginCreate(ctx context.Context, request Request, validate func(context.Context, store.Object) error) (func(), error) {
	obj := request.Object
	untype(obj)
	obj.SetUID(uuid.NewUUID())
	obj.SetCreationTimestamp(r.now())
	if obj.GetName() == "" && obj.GetGenerateName() != "" {
		obj.SetName(r.freeName(obj.GetNamespace(), obj.GetGenerateName()))
	}
	for {
		before := r.beforeHooks(obj)
		end, err := r.tryBeginCreate(ctx, request, validate)
		if !errors.Is(err, errOvertaken) {
			return end, err
		}
		overwrite(obj, before)
	}
}

func (r *Resource) tryBeginCreate(ctx context.Context, request Request, validate func(context.Context, store.Object) error) (func(), error) {
	end, err := r.hooks.create(request.Object)
	if err != nil {
		return nil, err
	}
	if err := r.checkCreate(ctx, request, validate); err != nil {
		end()
		return nil, err
	}
	request.Name = request.Object.GetName() // it may have been generated
	return r.consentBetween(ctx, request, end, func() (func(), error) { return r.hooks.create(request.Object) })
}

// beforeHooks is a copy of an object to which hooks may give something that they would have to take back,
// nil for all others.
func (r *Resource) beforeHooks(obj store.Object) store.Object {
	if r.hooks.beginCreate == nil || r.registry.options.Extension == nil {
		return nil
	}
	return obj.DeepCopyObject().(store.Object)
}

// overwrite makes obj what from is; both are of one type.
func overwrite(obj, from store.Object) {
	reflect.ValueOf(obj).Elem().Set(reflect.ValueOf(from).Elem())
}

// checkCreate asks everybody who may refuse the object.
func (r *Resource) checkCreate(ctx context.Context, request Request, validate func(context.Context, store.Object) error) error {
	if err := r.accept(ctx, request.Object, r.kind.Create(ctx, request.Object)); err != nil {
		return err
	}
	if validate != nil {
		if err := validate(ctx, request.Object); err != nil {
			return err
		}
	}
	return r.validate(ctx, request)
}

// untype clears apiVersion and kind, which a stored object does not carry: its
// type says them. A custom resource has nothing else that would.
func untype(obj store.Object) {
	if _, custom := obj.(*unstructured.Unstructured); !custom {
		obj.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	}
}

// freeName tries random names until one is free. The last is returned anyway:
// storing the object then tells that it is not.
func (r *Resource) freeName(namespace, prefix string) string {
	var name string
	for range maxGeneratedNames {
		name = names.SimpleNameGenerator.GenerateName(prefix)
		if _, taken := r.store().Get(r.key(namespace, name)); !taken {
			break
		}
	}
	return name
}

// accept turns a review into an error, or passes its warnings on.
func (r *Resource) accept(ctx context.Context, obj store.Object, review manifests.Review) error {
	if len(review.Errors) > 0 {
		return apierrors.NewInvalid(r.kind.GVK.GroupKind(), obj.GetName(), review.Errors)
	}
	for _, text := range review.Warnings {
		warning.AddWarning(ctx, "", text)
	}
	return nil
}

func (r *Resource) insert(ctx context.Context, request Request) (store.Object, error) {
	obj := request.Object
	key := r.key(obj.GetNamespace(), obj.GetName())
	if _, exists := r.store().Get(key); exists {
		return nil, r.alreadyExists(obj) // before it is charged, and in a dry run too
	}
	stored, err := r.commit(ctx, request, store.Change{Key: key, Object: obj})
	switch {
	case err == nil:
		return stored, nil
	case errors.Is(err, store.ErrExists):
		return nil, r.alreadyExists(obj)
	default:
		return nil, r.failed("creating", obj.GetNamespace(), obj.GetName(), err)
	}
}

// alreadyExists is the error for a name that is taken: by whom the name was
// chosen and whether the other object is about to go is in its text.
func (r *Resource) alreadyExists(obj store.Object) error {
	err := apierrors.NewAlreadyExists(r.gr, obj.GetName())
	if obj.GetGenerateName() != "" {
		err = apierrors.NewGenerateNameConflict(r.gr, obj.GetName(), 1)
	}
	other, ok := r.store().Get(r.key(obj.GetNamespace(), obj.GetName()))
	if ok && other.GetDeletionTimestamp() != nil {
		err.ErrStatus.Message = fmt.Sprintf("object is being deleted: %s", err.ErrStatus.Message)
	}
	return err
}

// now is the time as objects carry it, in whole seconds.
func (r *Resource) now() metav1.Time {
	return metav1.NewTime(r.registry.options.Clock.Now()).Rfc3339Copy()
}
