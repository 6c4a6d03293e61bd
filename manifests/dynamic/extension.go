// Package dynamic is the part of admission that is configured through the API: policies, whose expressions
// are evaluated here, and webhooks, which are asked. It follows k8s.io/apiserver
// pkg/admission/plugin/{policy,webhook}, of which it uses what needs no informers: configurations are read
// from the store, and nothing is done while there are none.
//
// https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
package dynamic

import (
	"context"
	"log/slog"

	arv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"skiff/manifests"
	"skiff/manifests/registry"
	"skiff/manifests/webhook"
	"skiff/store"
)

// Reader is what is read of configurations and namespaces; *store.Store is one.
type Reader interface {
	Get(store.Key) (store.Object, bool)
	Snapshot(resource string) store.Snapshot
}

// Resources finds the parameters of policies; *registry.Registry is one.
type Resources interface {
	Kinds() []*manifests.Kind
	// CustomKind finds the kind of a custom resource by any served version of it; nil if there is none.
	CustomKind(schema.GroupVersionKind) *manifests.Kind
	Resource(schema.GroupResource) *registry.Resource
}

// Options configure an Extension.
type Options struct {
	Reader Reader
	Caller *webhook.Caller
	// Authorizer is what expressions ask as the variable authorizer; without one, everybody may do
	// everything.
	Authorizer authorizer.UnconditionalAuthorizer
	// Types tells policies that apply configurations of which type each field is.
	Types managedfields.TypeConverter
	// Custom, unless nil, knows the objects of kinds whose types are not in manifests.Scheme, in all
	// versions that are served; it returns nil for others. Without it they are taken as they are stored.
	Custom func(*manifests.Kind) *Custom
	Logger *slog.Logger
}

// Custom is what is known of a custom resource.
type Custom struct {
	// Interfaces make, convert and default its objects.
	Interfaces admission.ObjectInterfaces
	// Types are those of its fields.
	Types managedfields.TypeConverter
	// Served are all versions of it.
	Served []schema.GroupVersionKind
}

// Extension is a registry.Extension.
type Extension struct {
	options   Options
	resources Resources

	mutating, validating configurations
	mutatingPolicies     policies[*arv1.MutatingAdmissionPolicy, *mutators]
	validatingPolicies   policies[*arv1.ValidatingAdmissionPolicy, *validators]
}

var _ registry.Extension = (*Extension)(nil)

// New returns an Extension that has policies and webhooks asked as soon as there are some.
func New(o Options) *Extension {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Authorizer == nil {
		o.Authorizer = everybody{}
	}
	return &Extension{
		options:            o,
		mutating:           configurations{resource: resourceOf("mutatingwebhookconfigurations"), hooks: mutatingHooks},
		validating:         configurations{resource: resourceOf("validatingwebhookconfigurations"), hooks: validatingHooks},
		mutatingPolicies:   newPolicies("mutatingadmissionpolicies", compileMutators),
		validatingPolicies: newPolicies("validatingadmissionpolicies", compileValidators),
	}
}

// everybody may do everything.
type everybody struct{}

// Authorize implements authorizer.UnconditionalAuthorizer.
func (everybody) Authorize(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
	return authorizer.DecisionAllow, "", nil
}

// Attach hands over where policies find their parameters. It is called before the first request: the
// registry is made after its extension.
func (e *Extension) Attach(r Resources) { e.resources = r }

func resourceOf(resource string) string {
	return schema.GroupResource{Group: arv1.GroupName, Resource: resource}.String()
}

// exempt reports whether a kind configures admission itself: nobody could repair what refuses its own
// repair.
func exempt(k *manifests.Kind) bool { return k.GVK.Group == arv1.GroupName }

// Mutation implements registry.Extension.
func (e *Extension) Mutation(ctx context.Context, r registry.Request) registry.Mutation {
	hooks := e.options.Reader.Snapshot(e.mutating.resource).Len() > 0
	policies := r.Operation != registry.Delete && e.options.Reader.Snapshot(mutatingBindings).Len() > 0
	if !hooks && !policies || exempt(r.Kind) {
		return nil
	}
	return &mutation{extension: e, request: newRequest(ctx, e, r), hooks: hooks, policies: policies}
}

// Validation implements registry.Extension.
func (e *Extension) Validation(ctx context.Context, r registry.Request) registry.Validation {
	hooks := e.options.Reader.Snapshot(e.validating.resource).Len() > 0
	policies := e.options.Reader.Snapshot(validatingBindings).Len() > 0
	if !hooks && !policies || exempt(r.Kind) {
		return nil
	}
	return &validation{request: newRequest(ctx, e, r), hooks: hooks, policies: policies}
}

// validation is a registry.Validation.
type validation struct {
	request         *request
	hooks, policies bool // there are some
}

// Validate implements registry.Validation.
func (v *validation) Validate(ctx context.Context) error {
	if v.policies {
		if err := v.request.validateByPolicies(ctx); err != nil {
			return err
		}
	}
	if v.hooks {
		return v.request.validateByHooks(ctx)
	}
	return nil
}
