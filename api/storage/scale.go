package storage

import (
	"context"
	"fmt"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"

	"skiff/manifests/registry"
	"skiff/store"
)

// Scale serves the scale subresource: an object seen as nothing but its count of replicas.
type Scale struct{ main *Resource }

var (
	_ rest.Patcher                  = (*Scale)(nil)
	_ rest.GroupVersionKindProvider = (*Scale)(nil)
	_ rest.TableConvertor           = (*Scale)(nil)
)

func scaleKind() schema.GroupVersionKind { return autoscalingv1.SchemeGroupVersion.WithKind("Scale") }

// GroupVersionKind implements rest.GroupVersionKindProvider.
func (s *Scale) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind { return scaleKind() }

// New implements rest.Storage.
func (s *Scale) New() runtime.Object { return &autoscalingv1.Scale{} }

// Destroy implements rest.Storage.
func (s *Scale) Destroy() {}

// ConvertToTable implements rest.TableConvertor. Upstream has no columns for a Scale either.
func (s *Scale) ConvertToTable(ctx context.Context, obj, o runtime.Object) (*metav1.Table, error) {
	return rest.NewDefaultTableConvertor(s.main.kind.GroupResource()).ConvertToTable(ctx, obj, o)
}

// Get implements rest.Getter.
func (s *Scale) Get(ctx context.Context, name string, o *metav1.GetOptions) (runtime.Object, error) {
	obj, err := s.main.Get(ctx, name, o)
	if err != nil {
		return nil, err
	}
	if missing := s.main.kind.Scale.Missing; missing != nil {
		if err := missing(obj.(store.Object)); err != nil {
			return nil, apierrors.NewInternalError(err)
		}
	}
	return s.of(obj)
}

func (s *Scale) of(obj runtime.Object) (*autoscalingv1.Scale, error) {
	parent, err := object(obj)
	if err != nil {
		return nil, err
	}
	return s.main.kind.Scale.Get(parent), nil
}

// Update implements rest.Updater.
func (s *Scale) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, _ rest.ValidateObjectFunc, validate rest.ValidateObjectUpdateFunc, _ bool, o *metav1.UpdateOptions) (runtime.Object, bool, error) {
	request := registry.Request{
		Operation: registry.Update, Namespace: namespaceOf(ctx), Name: name, Subresource: "scale", DryRun: isDryRun(o.DryRun), Options: o,
	}
	obj, _, err := s.main.update(ctx, name, &scaledInfo{info, s.main, name, request}, registry.UpdateOptions{
		DryRun:         isDryRun(o.DryRun),
		ValidateUpdate: s.validation(validate, request),
		Reviewed:       true, // as a Scale, by what is handed in here
	})
	if err != nil {
		return nil, false, err
	}
	out, err := s.of(obj)
	return out, false, err
}

// validation shows the handlers' validation, policies and webhooks the Scale where the registry has its
// parent.
func (s *Scale) validation(f rest.ValidateObjectUpdateFunc, request registry.Request) func(ctx context.Context, obj, old store.Object) error {
	get := s.main.kind.Scale.Get
	return func(ctx context.Context, obj, old store.Object) error {
		if f != nil {
			if err := f(ctx, get(obj), get(old)); err != nil {
				return err
			}
		}
		request.Part = &registry.Part{GVK: scaleKind(), Object: get(obj), Old: get(old)}
		return s.main.resource.ValidatePart(ctx, request)
	}
}

// scaledInfo turns an update of a Scale into one of its parent.
type scaledInfo struct {
	rest.UpdatedObjectInfo
	main    *Resource
	name    string
	request registry.Request
}

// UpdatedObject implements rest.UpdatedObjectInfo. old is a private copy.
func (i *scaledInfo) UpdatedObject(ctx context.Context, old runtime.Object) (runtime.Object, error) {
	parent, err := object(old)
	if err != nil {
		return nil, err
	}
	gv := i.main.kind.GVK.GroupVersion()
	fields := managedfields.NewScaleHandler(parent.GetManagedFields(), gv, managedfields.ResourcePathMappings{gv.String(): i.main.kind.Scale.ReplicasPath})
	before := i.main.kind.Scale.Get(parent)
	if before.ManagedFields, err = fields.ToSubresource(); err != nil {
		return nil, fmt.Errorf("reading the managed fields of %s %q: %w", i.main.kind.Resource, i.name, err)
	}
	changed, err := i.UpdatedObjectInfo.UpdatedObject(ctx, before)
	if err != nil {
		return nil, err
	}
	after, ok := changed.(*autoscalingv1.Scale)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("expected input object type to be Scale, but %T", changed))
	}
	request := i.request
	request.Part = &registry.Part{GVK: scaleKind(), Object: after, Old: i.main.kind.Scale.Get(parent)}
	if err := i.main.resource.MutatePart(ctx, request); err != nil {
		return nil, err
	}
	if err := i.check(after, parent); err != nil {
		return nil, err
	}
	i.main.kind.Scale.Set(parent, after.Spec.Replicas)
	parent.SetResourceVersion(after.ResourceVersion)
	entries, err := fields.ToParent(after.ManagedFields)
	if err != nil {
		return nil, fmt.Errorf("reading the managed fields of the scale of %s %q: %w", i.main.kind.Resource, i.name, err)
	}
	parent.SetManagedFields(entries)
	return parent, nil
}

// check validates a Scale as upstream does (pkg/apis/autoscaling/validation in k8s.io/kubernetes).
func (i *scaledInfo) check(scale *autoscalingv1.Scale, parent store.Object) error {
	if scale.Spec.Replicas < 0 {
		path := field.NewPath("spec", "replicas")
		errs := field.ErrorList{field.Invalid(path, scale.Spec.Replicas, "must be greater than or equal to 0")}
		return apierrors.NewInvalid(scaleKind().GroupKind(), i.name, errs)
	}
	if scale.UID != "" && scale.UID != parent.GetUID() {
		gr := i.main.kind.GroupResource()
		gr.Resource += "/scale"
		return apierrors.NewConflict(gr, i.name, fmt.Errorf("Precondition failed: UID in precondition: %v, UID in object meta: %v", scale.UID, parent.GetUID()))
	}
	return nil
}
