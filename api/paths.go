package api

import (
	"encoding/json"
	"net/http"

	"github.com/prometheus/common/expfmt"

	"skiff/manifests/tokens"
)

// ownPaths adds everything that is neither a resource nor discovery.
func (s *Server) ownPaths(add func(path string, get http.Handler)) {
	documents := s.options.OpenAPI.Handler(s.options.Registry.Definitions)
	for _, path := range []string{"/openapi/v2", "/openapi/v3", "/openapi/v3/{path...}"} {
		add(path, documents)
	}
	if issuer := s.options.Tokens; issuer != nil {
		add(tokens.ConfigurationPath, issuer.Configuration())
		add(tokens.KeysPath, issuer.KeySet())
	}
	add("/version", document(s.options.Version))
	add("/metrics", http.HandlerFunc(s.serveMetrics))
	for _, group := range s.healthGroups() {
		add("/"+group.name, group)
		add("/"+group.name+"/{$}", group)
		for _, c := range group.checks {
			add("/"+group.name+"/"+c.Name, group.single(c))
		}
	}
}

// openToAll are the requests anybody may make; upstream's discovery role system:public-info-viewer
// opens the same paths.
func openToAll(r *http.Request) bool {
	return hasPrefix(r.URL.Path, "/healthz", "/livez", "/readyz") || r.URL.Path == "/version"
}

// document serves a value as JSON.
func document(v any) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		raw, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(raw)
	})
}

// index lists the paths there are, as upstream does at /.
func index(paths *routeTable) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		document(map[string][]string{"paths": paths.plain()}).ServeHTTP(w, r)
	})
}

// serveMetrics writes all metrics in Prometheus' text format.
func (s *Server) serveMetrics(w http.ResponseWriter, _ *http.Request) {
	families, err := s.options.Metrics.Gather()
	if err != nil && len(families) == 0 {
		http.Error(w, "gathering metrics: "+err.Error(), http.StatusInternalServerError)
		return
	}
	if err != nil {
		s.options.Logger.Error("some metrics are missing", "error", err)
	}
	format := expfmt.NewFormat(expfmt.TypeTextPlain)
	w.Header().Set("Content-Type", string(format))
	encoder := expfmt.NewEncoder(w, format)
	for _, family := range families {
		if encoder.Encode(family) != nil {
			return // the client is gone: nobody to tell
		}
	}
}
