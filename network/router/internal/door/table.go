package door

import (
	"crypto/tls"
	"slices"
	"strings"

	"skiff/network/protocol"
)

// table is a state, made ready for looking things up. It does not change.
type table struct {
	// exact are sites by their host, wildcard by what follows "*.", rest is for all other names.
	exact, wildcard map[string]*site
	rest            *site
	// sites are all of them, in the daemon's order, for people.
	sites []protocol.Site
	// certificates are by name, "*.example.org" too.
	certificates map[string]*tls.Certificate
}

// site is what a name leads to.
type site struct {
	host, title string
	// paths are in the order in which they are tried.
	paths []path
}

// path is a part of a site. match is without a slash at its end if it is a prefix.
type path struct {
	match   string
	exact   bool
	backend *backend
}

// compile makes a table of a state. Backends have the addresses, and so the connections, that they
// had before. d.mu is held.
func (d *door) compile(state *protocol.Door) *table {
	t := &table{
		exact: map[string]*site{}, wildcard: map[string]*site{},
		sites: state.Sites, certificates: map[string]*tls.Certificate{},
	}
	for _, s := range state.Sites {
		compiled := &site{host: s.Host, title: s.Title}
		for _, p := range s.Paths {
			match := p.Path
			if !p.Exact {
				match = strings.TrimRight(match, "/")
			}
			compiled.paths = append(compiled.paths, path{match, p.Exact, d.newBackend(p.Backend)})
		}
		slices.SortStableFunc(compiled.paths, comparePaths)
		if parent, ok := strings.CutPrefix(s.Host, "*."); ok {
			t.wildcard[parent] = compiled
		} else if s.Host != "" {
			t.exact[s.Host] = compiled
		} else {
			t.rest = compiled
		}
	}
	for _, c := range state.Certificates {
		if err := t.certify(c); err != nil {
			d.log.Warn("certificate not used", "error", err)
		}
	}
	return t
}

// comparePaths orders the longest match first, and exact ones before prefixes of the same length.
func comparePaths(a, b path) int {
	if len(a.match) != len(b.match) {
		return len(b.match) - len(a.match)
	}
	switch {
	case a.exact == b.exact:
		return 0
	case a.exact:
		return -1
	}
	return 1
}

// site is what a name leads to, nil for nothing. The name is as hostOf returns it.
func (t *table) site(name string) *site {
	if s := t.exact[name]; s != nil {
		return s
	}
	if _, parent, ok := strings.Cut(name, "."); ok {
		if s := t.wildcard[parent]; s != nil {
			return s
		}
	}
	return t.rest
}

// backend is where a path leads, nil for nowhere. The path is without its escapes.
func (s *site) backend(of string) *backend {
	for i := range s.paths {
		if p := &s.paths[i]; p.matches(of) {
			return p.backend
		}
	}
	return nil
}

// matches tells by path elements whether a path is or is below p
// (https://kubernetes.io/docs/concepts/services-networking/ingress/#path-types).
func (p *path) matches(of string) bool {
	if p.exact {
		return of == p.match
	}
	return strings.HasPrefix(of, p.match) && (len(of) == len(p.match) || of[len(p.match)] == '/')
}
