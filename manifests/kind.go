package manifests

import (
	"context"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"skiff/store"
)

// Object is any object skiff stores. Objects handed out by the store are
// shared and read-only: DeepCopy before a change.
type Object = store.Object

// Subresources whose updates have rules of their own. The empty string is the
// object itself.
const (
	SubresourceNone     = ""
	SubresourceStatus   = "status"
	SubresourceFinalize = "finalize"
	// SubresourceEphemeral is of pods: the one way to add containers to one that exists.
	SubresourceEphemeral = "ephemeralcontainers"
	// SubresourceResize is of pods: the one way to change what containers that run may use.
	SubresourceResize = "resize"
)

// Dependents says what becomes of an object's dependents when it is deleted by
// a request that names no propagation policy.
type Dependents int

const (
	// DeleteDependents lets the garbage collector remove them afterwards
	// (propagation policy Background). It is the default.
	DeleteDependents Dependents = iota
	// OrphanDependents keeps them (propagation policy Orphan), as the oldest
	// group versions still do.
	OrphanDependents
	// NoDependents marks a kind that can not own anything: the garbage
	// collector's finalizers are never set on it.
	NoDependents
)

// Kind is everything skiff knows of one kind of object: how it is named and
// served, and the rules for creating and changing one.
type Kind struct {
	// GVK is the version that is stored, and that every part of skiff handles.
	GVK schema.GroupVersionKind
	// Served lists the versions the API offers, the preferred one first.
	Served []schema.GroupVersionKind

	Resource   string
	Singular   string
	ShortNames []string
	Categories []string
	Namespaced bool
	// HasStatus says that there is a status subresource.
	HasStatus bool

	// CreateOnUpdate lets a PUT create the object.
	CreateOnUpdate bool
	// RequireVersion refuses an update that carries no resourceVersion.
	RequireVersion bool
	// Dependents is the default propagation policy of a deletion.
	Dependents Dependents
	// OrphanWarning, unless empty, is what a deletion that names no propagation
	// policy is warned of.
	OrphanWarning string
	// ReturnsDeleted says that DELETE answers with the object and not with a
	// Status, even when the object is gone at once.
	ReturnsDeleted bool

	New     func() runtime.Object
	NewList func() runtime.Object

	// Scale is nil for kinds without a scale subresource.
	Scale *ScaleRules

	// Load and Save, unless nil, turn an object as the store has it into one of this kind, and back.
	// Load changes nothing that it is given; Save takes its object over.
	Load, Save func(Object) (Object, error)
	// Tables makes the tables that clients print; nil for a kind whose columns the API knows.
	Tables func() rest.TableConvertor

	Rules
}

// GroupResource names the resource without its version; its String is the
// store's Key.Resource.
func (k *Kind) GroupResource() schema.GroupResource {
	return schema.GroupResource{Group: k.GVK.Group, Resource: k.Resource}
}

// Review is what the rules have to say of one write.
type Review struct {
	// Errors refuse the write.
	Errors field.ErrorList
	// Warnings go to the client along with the answer. There are none when
	// there are errors.
	Warnings []string
}

// Rules say what a create or an update of a kind may do. They follow upstream's
// strategies (pkg/registry/<group>/<kind>/strategy.go in k8s.io/kubernetes).
type Rules interface {
	// Create readies obj for being stored and reviews it. It clears what a client
	// may not set, sets what only the server may (status, generation), validates,
	// and brings a valid object into its canonical form.
	Create(ctx context.Context, obj Object) Review
	// Update does the same for an update of the object or of one of its
	// subresources: it also takes over from old what the subresource may not
	// change, and bumps the generation when the specification changed. old is
	// not changed.
	Update(ctx context.Context, obj, old Object, subresource string) Review
	// Fields are the fields a field selector may name, metadata included. It
	// looks at obj when it is asked.
	Fields(obj Object) fields.Fields
	// Grace is the grace period, in seconds, of a deletion, 0 for at once; it is
	// nil for kinds that know no graceful deletion.
	Grace(obj Object, options *metav1.DeleteOptions) *int64
	// ResetFields are the fields that a write to the subresource can not set, by
	// served version, for server-side apply.
	ResetFields(subresource string) map[fieldpath.APIVersion]*fieldpath.Set
}

// ScaleRules read and write the scale subresource of a kind.
type ScaleRules struct {
	// Get is the object seen as a Scale, without managed fields.
	Get func(obj Object) *autoscalingv1.Scale
	// Set changes the count of replicas of obj, which must be a private copy.
	Set func(obj Object, replicas int32)
	// ReplicasPath is where the count is, for managed fields.
	ReplicasPath fieldpath.Path
	// Missing, unless nil, is the error for an object that has no count of replicas to be read.
	Missing func(obj Object) error
}
