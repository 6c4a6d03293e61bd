package api

import (
	"net/http"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/endpoints/handlers"
	"k8s.io/apiserver/pkg/registry/rest"
)

// action is one thing that can be done to an endpoint.
type action struct {
	method  string
	verb    string // as discovery names it; "" for one that it does not mention
	paths   []string
	handler http.Handler
}

// actions are all that the endpoint's storage can do.
//
// Handlers for writes and streams are made for each request: those functions change variables that
// their handlers share (admit in CreateResource and the like), so a handler that serves two
// requests at once would be a race.
func (e *endpoint) actions() []action {
	return append(append(e.reads(), e.writes()...), e.deletions()...)
}

func (e *endpoint) reads() []action {
	var out []action
	p := e.places()
	if s, ok := e.storage.(rest.Getter); ok {
		out = append(out, action{http.MethodGet, "get", []string{p.item}, handlers.GetResource(s, e.scope)})
	}
	if s, ok := e.storage.(rest.GetterWithOptions); ok {
		out = append(out, action{http.MethodGet, "get", []string{p.item}, handlers.GetResourceWithOptions(s, e.scope, e.scope.Subresource != "")})
	}
	if s, ok := e.storage.(rest.Lister); ok {
		w, _ := e.storage.(rest.Watcher)
		out = append(out, action{http.MethodGet, "list", p.all, handlers.ListResource(s, w, e.scope, false, minWatch)})
		if w != nil {
			deprecated := append([]string{p.watchItem}, p.watchAll...)
			out = append(out, action{http.MethodGet, "watch", deprecated, handlers.ListResource(s, w, e.scope, true, minWatch)})
		}
	}
	if s, ok := e.storage.(rest.Connecter); ok {
		connect := perRequest(func() http.HandlerFunc {
			return handlers.ConnectResource(s, e.scope, e.connects, p.item, e.scope.Subresource != "")
		})
		at := []string{p.item}
		if _, below, _ := s.NewConnectOptions(); below {
			at = append(at, p.item+"/{path...}")
		}
		for _, method := range s.ConnectMethods() {
			out = append(out, action{method, connectVerbs()[method], at, connect})
		}
	}
	return out
}

// connectVerbs are the verbs that discovery names for the methods of a stream or proxy.
func connectVerbs() map[string]string {
	return map[string]string{
		http.MethodGet: "get", http.MethodPost: "create", http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete",
	}
}

func (e *endpoint) writes() []action {
	var out []action
	p := e.places()
	if s, ok := e.storage.(rest.Creater); ok {
		out = append(out, action{http.MethodPost, "create", p.collection, perRequest(func() http.HandlerFunc {
			return handlers.CreateResource(s, e.scope, nil)
		})})
	}
	if s, ok := e.storage.(rest.NamedCreater); ok {
		out = append(out, action{http.MethodPost, "create", p.collection, perRequest(func() http.HandlerFunc {
			return handlers.CreateNamedResource(s, e.scope, nil)
		})})
	}
	if s, ok := e.storage.(rest.Updater); ok {
		out = append(out, action{http.MethodPut, "update", []string{p.item}, perRequest(func() http.HandlerFunc {
			return handlers.UpdateResource(s, e.scope, nil)
		})})
	}
	if s, ok := e.storage.(rest.Patcher); ok {
		out = append(out, action{http.MethodPatch, "patch", []string{p.item}, perRequest(func() http.HandlerFunc {
			return handlers.PatchResource(s, e.scope, nil, e.patches)
		})})
	}
	return out
}

func (e *endpoint) deletions() []action {
	var out []action
	p := e.places()
	if s, ok := e.storage.(rest.GracefulDeleter); ok {
		out = append(out, action{http.MethodDelete, "delete", []string{p.item}, perRequest(func() http.HandlerFunc {
			return handlers.DeleteResource(s, true, e.scope, nil)
		})})
	}
	if s, ok := e.storage.(rest.CollectionDeleter); ok {
		out = append(out, action{http.MethodDelete, "deletecollection", p.collection, perRequest(func() http.HandlerFunc {
			return handlers.DeleteCollection(s, true, e.scope, nil)
		})})
	}
	return out
}

// perRequest makes a handler anew for each request.
func perRequest(make func() http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { make()(w, r) })
}

func patchTypes() []string {
	return []string{
		string(types.JSONPatchType), string(types.MergePatchType), string(types.StrategicMergePatchType), string(types.ApplyYAMLPatchType),
	}
}
