package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// healthGroup is /healthz, /livez or /readyz.
// https://kubernetes.io/docs/reference/using-api/health-checks/
type healthGroup struct {
	name   string
	checks []Check
	log    func(msg string, args ...any)
}

// healthGroups are the three, each with its checks.
func (s *Server) healthGroups() []*healthGroup {
	ping := Check{Name: "ping", Do: func(context.Context) error { return nil }, Live: true}
	shutdown := Check{Name: "shutdown", Do: func(context.Context) error {
		if s.down.Load() {
			return errors.New("the process is shutting down")
		}
		return nil
	}}
	all := append([]Check{ping}, s.options.Checks...)
	live := slices.DeleteFunc(slices.Clone(all), func(c Check) bool { return !c.Live })
	log := s.options.Logger.Warn
	return []*healthGroup{
		{name: "healthz", checks: all, log: log},
		{name: "livez", checks: live, log: log},
		{name: "readyz", checks: append(slices.Clone(all), shutdown), log: log},
	}
}

// ServeHTTP implements http.Handler. Why a check failed is for the log: anybody may ask here.
func (g *healthGroup) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	report, failed := g.run(r.Context(), query["exclude"])
	if len(failed) > 0 {
		http.Error(w, report+g.name+" check failed", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	answer := "ok"
	if query.Has("verbose") {
		answer = report + g.name + " check passed\n"
	}
	fmt.Fprint(w, answer)
}

// run does all checks but the excluded ones, and returns a line for each and the names of those
// that failed.
func (g *healthGroup) run(ctx context.Context, exclude []string) (report string, failed []string) {
	var lines strings.Builder
	unknown := slices.Clone(exclude)
	for _, c := range g.checks {
		unknown = slices.DeleteFunc(unknown, func(name string) bool { return name == c.Name })
		if slices.Contains(exclude, c.Name) {
			fmt.Fprintf(&lines, "[+]%s excluded: ok\n", c.Name)
			continue
		}
		if err := c.Do(ctx); err != nil {
			g.log("a health check failed", "group", g.name, "check", c.Name, "error", err)
			fmt.Fprintf(&lines, "[-]%s failed: reason withheld\n", c.Name)
			failed = append(failed, c.Name)
			continue
		}
		fmt.Fprintf(&lines, "[+]%s ok\n", c.Name)
	}
	if len(unknown) > 0 {
		fmt.Fprintf(&lines, "warn: some health checks cannot be excluded: no matches for %q\n", unknown)
	}
	return lines.String(), failed
}

// single serves one check. Why it failed is for the log here too.
func (g *healthGroup) single(c Check) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := c.Do(r.Context()); err != nil {
			g.log("a health check failed", "group", g.name, "check", c.Name, "error", err)
			http.Error(w, "internal server error: reason withheld", http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, "ok")
	})
}
