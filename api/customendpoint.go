package api

import (
	"fmt"
	"net/http"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apiserver/pkg/endpoints/handlers"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"skiff/api/storage"
	"skiff/manifests"
	"skiff/manifests/custom"
)

// customPatches are the ways to patch a custom resource, of whose lists nobody knows how to merge
// them strategically.
var customPatches = []string{string(types.JSONPatchType), string(types.MergePatchType), string(types.ApplyYAMLPatchType)}

// make makes the endpoints of a version.
func (c *customs) make(v *custom.Version) (customEndpoints, error) {
	resource := c.server.options.Registry.Custom(v.GroupResource(), v.Spec.Name)
	if resource == nil {
		return nil, fmt.Errorf("%s is no longer served", v.GVK)
	}
	fields := c.typesOf(v.Def)
	out := customEndpoints{}
	for sub, s := range storage.Of(c.server.options.Registry, resource, storage.Tables{Clock: c.server.options.Clock}) {
		e, err := c.newEndpoint(v, sub, s, fields)
		if err != nil {
			return nil, fmt.Errorf("making the endpoint %q of %s: %w", sub, v.GVK, err)
		}
		out[sub] = map[string]http.Handler{}
		for _, a := range e.actions() {
			out[sub][a.verb] = c.metrics.Observe(e.name, a.handler)
		}
	}
	return out, nil
}

func (c *customs) newEndpoint(v *custom.Version, sub string, s rest.Storage, fields managedfields.TypeConverter) (*endpoint, error) {
	e := &endpoint{storage: s, name: v.Resource, namespaced: v.Namespaced, patches: customPatches, scope: customScope(v, sub)}
	e.scope.Authorizer = c.server.options.Authorizer
	e.scope.TableConvertor, _ = s.(rest.TableConvertor)
	if sub != "" {
		e.name += "/" + sub
	}
	var reset map[fieldpath.APIVersion]fieldpath.Filter
	if rs, ok := s.(rest.ResetFieldsStrategy); ok {
		reset = fieldpath.NewExcludeFilterSetMap(rs.GetResetFields())
	}
	var err error
	e.scope.FieldManager, err = managedfields.NewDefaultCRDFieldManager(fields, e.scope.Convertor, e.scope.Defaulter, e.scope.Creater,
		e.scope.Kind, e.scope.HubGroupVersion, sub, reset)
	return e, err
}

// customScope is what the handlers need to know of a version. In memory, an object is in the version
// of the request.
func customScope(v *custom.Version, sub string) *handlers.RequestScope {
	gv := v.GVK.GroupVersion()
	options := runtime.NewScheme()
	options.AddUnversionedTypes(gv, &metav1.ListOptions{}, &metav1.GetOptions{}, &metav1.DeleteOptions{})
	convert := custom.Convertor{Def: v.Def, Scheme: manifests.Scheme()}
	typer := customTyper{options}
	serializer := customSerializer{version: v, convert: convert, media: customMediaTypes(typer)}
	scope := &handlers.RequestScope{
		Namer:                    handlers.ContextBasedNaming{Namer: runtime.Namer(meta.NewAccessor()), ClusterScoped: !v.Namespaced},
		Serializer:               serializer,
		StandardSerializers:      serializer.media,
		ParameterCodec:           runtime.NewParameterCodec(options),
		Creater:                  customCreater{},
		Convertor:                convert,
		Defaulter:                customDefaulter{v},
		Typer:                    typer,
		UnsafeConvertor:          convert,
		EquivalentResourceMapper: equivalents(v),
		Resource:                 gv.WithResource(v.Resource),
		Subresource:              sub,
		Kind:                     v.GVK,
		HubGroupVersion:          gv,
		MetaGroupVersion:         metav1.SchemeGroupVersion,
		MaxRequestBodyBytes:      maxBody,
	}
	if sub == "scale" {
		scope.Kind = autoscalingv1.SchemeGroupVersion.WithKind("Scale")
		scope.HubGroupVersion = scope.Kind.GroupVersion()
		scope.Serializer = manifests.Codecs()
		scope.StandardSerializers = scope.Serializer.SupportedMediaTypes()
		scope.Creater, scope.Typer, scope.Defaulter = manifests.Scheme(), manifests.Scheme(), manifests.Scheme()
	}
	return scope
}

// equivalents are the versions in which the same objects are served.
func equivalents(v *custom.Version) runtime.EquivalentResourceMapper {
	all := runtime.NewEquivalentResourceRegistry()
	for _, other := range v.Def.Versions {
		resource := other.GVK.GroupVersion().WithResource(other.Resource)
		all.RegisterKindFor(resource, "", other.GVK)
		if other.HasStatus {
			all.RegisterKindFor(resource, "status", other.GVK)
		}
		if other.Kind.Scale != nil {
			all.RegisterKindFor(resource, "scale", autoscalingv1.SchemeGroupVersion.WithKind("Scale"))
		}
	}
	return all
}
