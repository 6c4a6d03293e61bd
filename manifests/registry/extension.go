package registry

import (
	"context"
	"errors"
)

// Extension is the part of admission that is configured through the API: policies and webhooks. It comes
// after the Admitters, and may take as long as those whom it asks.
type Extension interface {
	// Mutation returns what may change the request's Object, nil if nothing is configured that could.
	Mutation(ctx context.Context, r Request) Mutation
	// Validation returns what may refuse the request as the rules have accepted it, nil if nothing is
	// configured that could. It changes nothing.
	Validation(ctx context.Context, r Request) Validation
}

// Validation may refuse one request.
type Validation interface {
	Validate(ctx context.Context) error
}

// Mutation changes the object of one request, in place.
type Mutation interface {
	// Mutate reports whether it has changed the object, so that those who saw it before are to see it
	// again. The second round is the last.
	Mutate(ctx context.Context) (changed bool, err error)
}

// WithoutExtension is for what must be stored before anybody can be asked: a daemon that starts can not
// wait for webhooks that its own pods serve.
func WithoutExtension(ctx context.Context) context.Context {
	return context.WithValue(ctx, withoutExtension{}, true)
}

type withoutExtension struct{}

// extension is who is asked about requests with a context, nil for nobody.
func (r *Resource) extension(ctx context.Context) Extension {
	if ctx.Value(withoutExtension{}) != nil {
		return nil
	}
	return r.registry.options.Extension
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
	extension := r.extension(ctx)
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

// validation is the extension's, nil if it has nothing to say.
func (r *Resource) validation(ctx context.Context, request Request) Validation {
	extension := r.extension(ctx)
	if extension == nil {
		return nil
	}
	request.Kind = r.kind
	return extension.Validation(ctx, request)
}

// consent lets the extension refuse.
func (r *Resource) consent(ctx context.Context, request Request) error {
	if v := r.validation(ctx, request); v != nil {
		return v.Validate(ctx)
	}
	return nil
}

// consentBetween lets the extension refuse what begin has made ready to be stored, with a lock that begin
// has taken and end gives back: nobody waits for a lock while the extension thinks. So begin is called
// once more afterwards, when others may have been faster; then the error is errOvertaken.
func (r *Resource) consentBetween(ctx context.Context, request Request, end func(), begin func() (func(), error)) (func(), error) {
	v := r.validation(ctx, request)
	if v == nil {
		return end, nil
	}
	end()
	if err := v.Validate(ctx); err != nil {
		return nil, err
	}
	end, err := begin()
	if err != nil {
		return nil, errors.Join(errOvertaken, err)
	}
	return end, nil
}

// errOvertaken says that what was given to an object has been given to another one meanwhile.
var errOvertaken = errors.New("another writer came first")

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
