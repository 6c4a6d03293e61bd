package registry

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/util/dryrun"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/utils/ptr"

	"skiff/store"
)

// Delete removes an object, or begins its graceful deletion or its
// finalization, and says whether it is gone. Nil options delete at once; options
// are changed to the grace period that applies.
func (r *Resource) Delete(ctx context.Context, namespace, name string, options *metav1.DeleteOptions, o DeleteOptions) (store.Object, bool, error) {
	if options == nil {
		options = metav1.NewDeleteOptions(0)
	}
	if errs := metavalidation.ValidateDeleteOptions(options); len(errs) > 0 {
		return nil, false, apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: "DeleteOptions"}, "", errs)
	}
	r.warnOfOrphans(ctx, options)
	for {
		// Each attempt has the options as they came: what one made of the grace
		// period need not hold for the object another writer has changed.
		attempt := options.DeepCopy()
		obj, gone, err := r.tryDelete(ctx, namespace, name, attempt, o)
		if !raced(err) {
			options.GracePeriodSeconds = attempt.GracePeriodSeconds
			return obj, gone, err
		}
	}
}

// warnOfOrphans tells a client that left out the propagation policy what will
// become of the dependents.
func (r *Resource) warnOfOrphans(ctx context.Context, options *metav1.DeleteOptions) {
	unsaid := options.PropagationPolicy == nil && options.OrphanDependents == nil
	if unsaid && r.kind.OrphanWarning != "" {
		warning.AddWarning(ctx, "", r.kind.OrphanWarning)
	}
}

// tryDelete makes one attempt. It fails with an error of the store when another
// writer came first.
func (r *Resource) tryDelete(ctx context.Context, namespace, name string, options *metav1.DeleteOptions, o DeleteOptions) (store.Object, bool, error) {
	old, err := r.Get(namespace, name)
	if err != nil {
		return nil, false, err
	}
	if err := r.checkDeletePreconditions(options.Preconditions, old); err != nil {
		return nil, false, err
	}
	d := deletion{resource: r, old: old, options: options, now: r.now()}
	d.decide()
	if d.outcome == leave {
		return old, false, nil
	}
	request := Request{Operation: Delete, Namespace: namespace, Name: name, Old: old, DryRun: dryrun.IsDryRun(options.DryRun), Options: optionsOf(options)}
	if err := r.mutate(ctx, request, o.Reviewed); err != nil {
		return nil, false, err
	}
	if o.Validate != nil {
		if err := o.Validate(ctx, old); err != nil {
			return nil, false, err
		}
	}
	if !o.Reviewed {
		if err := r.consent(ctx, request); err != nil {
			return nil, false, err
		}
	}
	return d.carryOut(ctx)
}

// checkDeletePreconditions has the messages of upstream's rest.BeforeDelete.
func (r *Resource) checkDeletePreconditions(p *metav1.Preconditions, obj store.Object) error {
	if p == nil {
		return nil
	}
	conflict := func(format string, wanted, found any) error {
		// Upstream puts the kind where the resource belongs.
		gr := schema.GroupResource{Group: r.kind.GVK.Group, Resource: r.kind.GVK.Kind}
		return apierrors.NewConflict(gr, obj.GetName(), fmt.Errorf(format, wanted, found))
	}
	if p.UID != nil && *p.UID != obj.GetUID() {
		return conflict("the UID in the precondition (%s) does not match the UID in record (%s). The object might have been deleted and then recreated", *p.UID, obj.GetUID())
	}
	if p.ResourceVersion != nil && *p.ResourceVersion != obj.GetResourceVersion() {
		return conflict("the ResourceVersion in the precondition (%s) does not match the ResourceVersion in record (%s). The object might have been modified", *p.ResourceVersion, obj.GetResourceVersion())
	}
	return nil
}

// outcome is what a deletion does now.
type outcome int

const (
	leave  outcome = iota // nothing: the deletion is under way already
	mark                  // store the object with its deletion noted
	remove                // remove the object
)

// deletion decides what a request to delete an object does.
type deletion struct {
	resource *Resource
	old      store.Object
	options  *metav1.DeleteOptions
	now      metav1.Time

	outcome outcome
	// obj is the object with its deletion noted, nil when nothing is to be noted.
	obj store.Object
	// during, unless nil, is called before the outcome is stored, and what it returns afterwards.
	during func() (end func())
}

// change returns a private copy of the object to note the deletion on.
func (d *deletion) change() store.Object {
	if d.obj == nil {
		d.obj = d.old.DeepCopyObject().(store.Object)
	}
	return d.obj
}

// decide follows upstream's rest.BeforeDelete and the generic registry's Delete.
func (d *deletion) decide() {
	if grace := d.options.GracePeriodSeconds; grace != nil && *grace < 0 {
		d.options.GracePeriodSeconds = ptr.To[int64](1)
	}
	if d.resource.hooks.delete != nil && d.resource.hooks.delete(d) {
		return
	}
	graceful, pending := d.gracefully()
	if pending {
		d.outcome = leave
		return
	}
	finalizers, changed := d.finalizers()
	if changed {
		d.change().SetFinalizers(finalizers)
	}
	switch {
	case graceful && (len(finalizers) > 0 || *d.options.GracePeriodSeconds > 0):
		d.outcome = mark
	case len(finalizers) > 0:
		d.markNow()
		d.outcome = mark
	default:
		d.outcome = remove
	}
}

// gracefully notes the time the object has to end. It says whether there is
// such a time, and whether a deletion is under way that this one does not
// shorten.
func (d *deletion) gracefully() (graceful, pending bool) {
	period := d.resource.kind.Grace(d.old, d.options)
	if period == nil {
		return false, false
	}
	if d.old.GetDeletionTimestamp() != nil {
		return d.shorten()
	}
	d.options.GracePeriodSeconds = period
	obj := d.change()
	obj.SetDeletionTimestamp(ptr.To(metav1.NewTime(d.now.Add(seconds(*period)))))
	obj.SetDeletionGracePeriodSeconds(ptr.To(*period))
	if obj.GetGeneration() > 0 {
		obj.SetGeneration(obj.GetGeneration() + 1)
	}
	return true, false
}

// shorten moves the end of a graceful deletion forward; it can not be put off.
func (d *deletion) shorten() (graceful, pending bool) {
	current := d.old.GetDeletionGracePeriodSeconds()
	if current == nil || *current == 0 {
		return false, false // its time is over: what remains is to remove it
	}
	if d.options.GracePeriodSeconds == nil {
		d.options.GracePeriodSeconds = ptr.To(*current)
		return false, true
	}
	period := *d.options.GracePeriodSeconds
	if period >= *current {
		return false, true
	}
	end := metav1.NewTime(d.old.GetDeletionTimestamp().Add(seconds(period - *current)))
	if end.Before(&d.now) {
		end = d.now
		if period != 0 {
			// The time is over, but the deletion is to stay a graceful one: it is the
			// node agent that removes the pod.
			period = 1
		}
	}
	obj := d.change()
	obj.SetDeletionTimestamp(&end)
	obj.SetDeletionGracePeriodSeconds(&period)
	return true, false
}

// markNow notes a deletion that waits for finalizers only.
func (d *deletion) markNow() {
	obj := d.change()
	deleted := obj.GetDeletionTimestamp()
	if deleted == nil && obj.GetGeneration() > 0 {
		obj.SetGeneration(obj.GetGeneration() + 1)
	}
	if deleted == nil || deleted.After(d.now.Time) {
		obj.SetDeletionTimestamp(d.now.DeepCopy())
	}
	obj.SetDeletionGracePeriodSeconds(ptr.To[int64](0))
}

func (d *deletion) carryOut(ctx context.Context) (store.Object, bool, error) {
	r := d.resource
	revision, err := revisionOf(d.old)
	if err != nil {
		return nil, false, apierrors.NewInternalError(err)
	}
	change := store.Change{Key: r.key(d.old.GetNamespace(), d.old.GetName()), Expect: revision}
	gone := d.outcome == remove
	if gone {
		change.Last = d.obj
	} else {
		change.Object = d.obj
	}
	if gone && d.obj == nil {
		d.obj = d.old
	}
	if dryrun.IsDryRun(d.options.DryRun) {
		return d.obj, gone, nil
	}
	if !gone && unchanged(d.obj, d.old) {
		return d.old, false, nil
	}
	if d.during != nil {
		defer d.during()()
	}
	if change, err = r.saved(change); err != nil {
		return nil, false, err
	}
	stored, err := r.store().Commit(ctx, change)
	if err != nil && !raced(err) {
		err = r.failed("deleting", d.old.GetNamespace(), d.old.GetName(), err)
	}
	if err != nil {
		return nil, false, err
	}
	last, err := r.load(stored[0])
	return last, gone, err
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }
