package registry

import "context"

// Extension is the part of admission that is configured through the API: policies and webhooks. It comes
// after the Admitters, and may take as long as those whom it asks.
type Extension interface {
	// Mutation returns what may change the request's Object, nil if nothing is configured that could.
	Mutation(ctx context.Context, r Request) Mutation
	// Validate may refuse what the rules have accepted, as it is to be stored. It changes nothing.
	Validate(ctx context.Context, r Request) error
}

// Mutation changes the object of one request, in place.
type Mutation interface {
	// Mutate reports whether it has changed the object, so that those who saw it before are to see it
	// again. The second round is the last.
	Mutate(ctx context.Context) (changed bool, err error)
}

// mutate has everybody look at the request who may change its object: the admitters, then the extension,
// and all of them again when the extension has changed something.
// https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#reinvocation-policy
func (r *Resource) mutate(ctx context.Context, request Request, reviewed bool) error {
	if err := r.admit(ctx, request); err != nil || reviewed {
		return err
	}
	return r.extend(ctx, request, r.admit)
}

// extend lets the extension change the request's object, with again between its rounds.
func (r *Resource) extend(ctx context.Context, request Request, again func(context.Context, Request) error) error {
	extension := r.registry.options.Extension
	if extension == nil {
		return nil
	}
	request.Kind = r.kind
	mutation := extension.Mutation(ctx, request)
	if mutation == nil {
		return nil
	}
	changed, err := mutation.Mutate(ctx)
	if err != nil || !changed {
		return err
	}
	if err := again(ctx, request); err != nil {
		return err
	}
	_, err = mutation.Mutate(ctx)
	return err
}

// check has everybody look at the request who may refuse it, and change nothing.
func (r *Resource) check(ctx context.Context, request Request, reviewed bool) error {
	if err := r.validate(ctx, request); err != nil || reviewed {
		return err
	}
	return r.consent(ctx, request)
}

// consent lets the extension refuse.
func (r *Resource) consent(ctx context.Context, request Request) error {
	extension := r.registry.options.Extension
	if extension == nil {
		return nil
	}
	request.Kind = r.kind
	return extension.Validate(ctx, request)
}

// MutatePart lets the extension change what is sent to a subresource that has objects of a kind of its
// own. The registry itself does so for bindings and evictions.
func (r *Resource) MutatePart(ctx context.Context, request Request) error {
	return r.extend(ctx, request, func(context.Context, Request) error { return nil })
}

// ValidatePart lets the extension refuse what is sent to such a subresource.
func (r *Resource) ValidatePart(ctx context.Context, request Request) error {
	return r.consent(ctx, request)
}

// ReviewPart is both, for what nobody else looks at in between.
func (r *Resource) ReviewPart(ctx context.Context, request Request) error {
	if err := r.MutatePart(ctx, request); err != nil {
		return err
	}
	return r.consent(ctx, request)
}
