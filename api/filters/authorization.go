package filters

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// Authorize lets a request pass that its user may make, or that open says anybody may. Others get 403
// and are told what they lack; the anonymous get 401, which tells a client to show who it is.
func Authorize(next http.Handler, errs Errors, auth authorizer.UnconditionalAuthorizer, open func(*http.Request) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if open(r) {
			next.ServeHTTP(w, r)
			return
		}
		asked, err := attributes(r)
		if err != nil {
			errs.Write(w, r, apierrors.NewInternalError(err))
			return
		}
		decision, reason, err := auth.Authorize(r.Context(), asked)
		if decision == authorizer.DecisionAllow && entersByWebSocket(r, asked) {
			asked.Verb = "create"
			decision, reason, err = auth.Authorize(r.Context(), asked)
		}
		switch {
		case decision == authorizer.DecisionAllow:
			decided(r, "allow", reason)
			next.ServeHTTP(w, r)
		case err != nil:
			errs.Write(w, r, apierrors.NewInternalError(err))
		case asked.User.GetName() == user.Anonymous:
			decided(r, "forbid", reason)
			Unauthorized(errs).ServeHTTP(w, r)
		default:
			decided(r, "forbid", reason)
			responsewriters.Forbidden(asked, w, r, reason, errs.Codecs)
		}
	})
}

// entersByWebSocket reports whether a request reaches into a pod by a method that reads: a WebSocket
// begins with a GET. It takes the right to create too, as by other means, so that whoever may only
// read can not run commands.
func entersByWebSocket(r *http.Request, asked *authorizer.AttributesRecord) bool {
	if asked.Verb != "get" || asked.Resource != "pods" || asked.APIGroup != "" || !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return false
	}
	return slices.Contains([]string{"exec", "attach", "portforward"}, asked.Subresource)
}

// attributes is what a request asks for.
func attributes(r *http.Request) (*authorizer.AttributesRecord, error) {
	who, known := request.UserFrom(r.Context())
	info, ok := request.RequestInfoFrom(r.Context())
	if !known || !ok {
		return nil, errors.New("a request without a user or without a meaning")
	}
	return attributesOf(who, info), nil
}

// attributesOf is what somebody asks for; who may be nil.
func attributesOf(who user.Info, info *request.RequestInfo) *authorizer.AttributesRecord {
	return &authorizer.AttributesRecord{
		User: who, Verb: info.Verb, Namespace: info.Namespace, APIGroup: info.APIGroup, APIVersion: info.APIVersion,
		Resource: info.Resource, Subresource: info.Subresource, Name: info.Name, ResourceRequest: info.IsResourceRequest, Path: info.Path,
	}
}
