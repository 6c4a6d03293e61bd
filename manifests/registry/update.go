package registry

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/endpoints/handlers/fieldmanager"
	"k8s.io/apiserver/pkg/registry/rest"

	"skiff/manifests"
	"skiff/store"
)

// ChangeFunc makes the new state of an object of the current one, which is
// read-only.
type ChangeFunc func(current store.Object) (store.Object, error)

// Update stores what change makes of the current object, and says whether that
// created it. change gets an empty object when there is none and the update may
// create it; it may be called again when another writer came first. What it
// returns is taken over.
//
// With a resourceVersion that is not the stored one the update is refused with a
// conflict; without one, it applies to whatever is stored, unless the kind
// requires a version. An update that changes nothing writes nothing. One that
// takes the last finalizer from an object that is being deleted removes it.
func (r *Resource) Update(ctx context.Context, namespace, name string, change ChangeFunc, o UpdateOptions) (store.Object, bool, error) {
	u := updating{resource: r, namespace: namespace, name: name, change: change, options: o}
	for {
		stored, created, err := u.try(ctx)
		if !raced(err) {
			return stored, created, err
		}
	}
}

// updating is an update under way.
type updating struct {
	resource  *Resource
	namespace string
	name      string
	change    ChangeFunc
	options   UpdateOptions
}

// try makes one attempt. It fails with an error of the store when another
// writer came first.
func (u *updating) try(ctx context.Context) (store.Object, bool, error) {
	r := u.resource
	old, exists := r.store().Get(r.key(u.namespace, u.name))
	if !exists {
		return u.create(ctx)
	}
	old, err := r.load(old)
	if err != nil {
		return nil, false, err
	}
	if err := u.checkPreconditions(old); err != nil {
		return nil, false, err
	}
	obj, err := u.change(old)
	if err != nil {
		return nil, false, err
	}
	if u.options.existing && unchanged(obj, old) {
		return old, false, nil // nobody has asked for anything
	}
	request := Request{Operation: Update, Namespace: u.namespace, Name: u.name, Subresource: u.options.Subresource,
		Object: obj, Old: old, DryRun: u.options.DryRun, Options: optionsOf(u.options.Options)}
	if err := r.mutate(ctx, request, u.options.Reviewed); err != nil {
		return nil, false, err
	}
	if err := u.checkVersion(obj, old); err != nil {
		return nil, false, err
	}
	stored, err := u.replace(ctx, request)
	return stored, false, err
}

// create makes the object that is not there, if the update may.
func (u *updating) create(ctx context.Context) (store.Object, bool, error) {
	r := u.resource
	if !u.mayCreate() {
		return nil, false, apierrors.NewNotFound(r.gr, u.name)
	}
	empty := r.kind.New().(store.Object)
	if err := u.checkPreconditions(empty); err != nil {
		return nil, false, err
	}
	obj, err := u.change(empty)
	if err != nil {
		return nil, false, err
	}
	rest.WipeObjectMetaSystemFields(obj)
	obj.SetResourceVersion("")
	if err := r.settleNamespace(u.namespace, obj); err != nil {
		return nil, false, err
	}
	request := Request{Operation: Create, Namespace: u.namespace, Name: u.name, Object: obj, DryRun: u.options.DryRun, Options: u.createOptions()}
	if err := r.mutate(ctx, request, false); err != nil {
		return nil, false, err
	}
	if err := r.settleNamespace(u.namespace, obj); err != nil {
		return nil, false, err // somebody has moved it
	}
	if obj.GetName() != u.name {
		return nil, false, apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s) does not match the name on the URL (%s)", obj.GetName(), u.name))
	}
	end, err := r.beginCreate(ctx, request, u.options.ValidateCreate)
	if err != nil {
		return nil, false, err
	}
	defer end()
	stored, err := r.commit(ctx, request, store.Change{Key: r.key(u.namespace, u.name), Object: obj})
	if err != nil {
		return nil, false, u.failed("creating", err)
	}
	return stored, true, nil
}

// createOptions are those that a create would have had in the place of the update.
func (u *updating) createOptions() runtime.Object {
	o := u.options.Options
	if o == nil {
		return nil
	}
	gvk := metav1.SchemeGroupVersion.WithKind("CreateOptions")
	return &metav1.CreateOptions{
		TypeMeta: metav1.TypeMeta{APIVersion: gvk.GroupVersion().String(), Kind: gvk.Kind},
		DryRun:   o.DryRun, FieldManager: o.FieldManager, FieldValidation: o.FieldValidation,
	}
}

func (u *updating) mayCreate() bool {
	if u.options.existing || u.options.Subresource != manifests.SubresourceNone {
		return false
	}
	return u.options.Create || u.resource.kind.CreateOnUpdate
}

// replace readies the request's object to take the old one's place and stores
// it.
func (u *updating) replace(ctx context.Context, request Request) (store.Object, error) {
	r, obj, old := u.resource, request.Object, request.Old
	if err := r.settleNamespace(u.namespace, obj); err != nil {
		return nil, err
	}
	begin := func() (func(), error) { return r.hooks.update(obj, old, u.options.Subresource) }
	end, err := begin()
	if err != nil {
		return nil, err
	}
	if err := u.check(ctx, request); err != nil {
		end()
		return nil, err
	}
	if !u.options.Reviewed {
		if end, err = r.consentBetween(ctx, request, end, begin); err != nil {
			return nil, err
		}
	}
	defer end()
	return u.store(ctx, request)
}

// check asks everybody who may refuse the update, but for the extension.
func (u *updating) check(ctx context.Context, request Request) error {
	r, obj, old := u.resource, request.Object, request.Old
	untype(obj)
	keepSystemFields(obj, old)
	if err := r.accept(ctx, obj, r.kind.Update(ctx, obj, old, u.options.Subresource)); err != nil {
		return err
	}
	// A managed field whose time alone differs is no change.
	if _, err := fieldmanager.IgnoreManagedFieldsTimestampsTransformer(ctx, obj, old); err != nil {
		return r.failed("updating", u.namespace, u.name, err)
	}
	if u.options.ValidateUpdate != nil {
		if err := u.options.ValidateUpdate(ctx, obj, old); err != nil {
			return err
		}
	}
	return r.validate(ctx, request)
}

func (u *updating) store(ctx context.Context, request Request) (store.Object, error) {
	r, obj, old := u.resource, request.Object, request.Old
	revision, err := revisionOf(old)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	change := store.Change{Key: r.key(u.namespace, u.name), Expect: revision, Object: obj}
	switch {
	case r.finalized(obj, old):
		change.Object, change.Last = nil, obj
	case unchanged(obj, old):
		return old, nil
	}
	stored, err := r.commit(ctx, request, change)
	if err != nil {
		return nil, u.failed("updating", err)
	}
	return stored, nil
}

// failed leaves the error of a race to be retried.
func (u *updating) failed(doing string, err error) error {
	if raced(err) {
		return err
	}
	return u.resource.failed(doing, u.namespace, u.name, err)
}

// unchanged says that there is nothing to store. The two are at the same
// version by now.
func unchanged(obj, old store.Object) bool {
	return equality.Semantic.DeepEqual(obj, old)
}

// finalized says that nothing holds the object back any more: it is being
// deleted, its time is over and its last finalizer went.
func (r *Resource) finalized(obj, old store.Object) bool {
	if len(obj.GetFinalizers()) > 0 || old.GetDeletionTimestamp() == nil {
		return false
	}
	if grace := old.GetDeletionGracePeriodSeconds(); grace != nil && *grace != 0 {
		return false
	}
	return r.hooks.keep == nil || !r.hooks.keep(obj)
}

// keepSystemFields restores what no update may change.
func keepSystemFields(obj, old store.Object) {
	obj.SetGeneration(old.GetGeneration())
	if obj.GetUID() == "" {
		obj.SetUID(old.GetUID())
	}
	if created := old.GetCreationTimestamp(); !created.IsZero() {
		obj.SetCreationTimestamp(created)
	}
	if deleted := old.GetDeletionTimestamp(); !deleted.IsZero() {
		obj.SetDeletionTimestamp(deleted)
	}
	if grace := old.GetDeletionGracePeriodSeconds(); grace != nil && obj.GetDeletionGracePeriodSeconds() == nil {
		obj.SetDeletionGracePeriodSeconds(grace)
	}
}

// checkVersion compares the version an update was made from with the stored
// one, which an update without a version takes over.
func (u *updating) checkVersion(obj, old store.Object) error {
	r := u.resource
	switch version := obj.GetResourceVersion(); {
	case version == old.GetResourceVersion():
		return nil
	case (version == "" || version == "0") && !r.kind.RequireVersion:
		obj.SetResourceVersion(old.GetResourceVersion())
		return nil
	case version == "" || version == "0":
		at := field.NewPath("metadata").Child("resourceVersion")
		return apierrors.NewInvalid(schema.GroupKind{Group: r.gr.Group, Kind: r.gr.Resource}, u.name,
			field.ErrorList{field.Invalid(at, uint64(0), "must be specified for an update")})
	default:
		if _, err := parseVersion(version); err != nil {
			at := field.NewPath("metadata").Child("resourceVersion")
			return apierrors.NewInvalid(r.kind.GVK.GroupKind(), u.name, field.ErrorList{field.Invalid(at, version, err.Error())})
		}
		return apierrors.NewConflict(r.gr, u.name, errModified)
	}
}

func (u *updating) checkPreconditions(obj store.Object) error {
	if err := checkPreconditions(u.options.Preconditions, obj); err != nil {
		return apierrors.NewConflict(u.resource.gr, u.name, err)
	}
	return nil
}

// checkPreconditions has the messages of upstream's storage.Preconditions.
func checkPreconditions(p *metav1.Preconditions, obj store.Object) error {
	if p == nil {
		return nil
	}
	if p.UID != nil && *p.UID != obj.GetUID() {
		return fmt.Errorf("Precondition failed: UID in precondition: %v, UID in object meta: %v", *p.UID, obj.GetUID()) //nolint:staticcheck // upstream's text
	}
	if p.ResourceVersion != nil && *p.ResourceVersion != obj.GetResourceVersion() {
		return fmt.Errorf("Precondition failed: ResourceVersion in precondition: %v, ResourceVersion in object meta: %v", *p.ResourceVersion, obj.GetResourceVersion()) //nolint:staticcheck // upstream's text
	}
	return nil
}
