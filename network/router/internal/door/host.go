package door

import (
	"net/netip"
	"strings"
)

// hostOf takes a Host header apart: the name in lower case, without a dot at its end, and the port,
// empty if it has none. An IPv6 address has no brackets any more. ok is false for what is no host
// (RFC 9110, section 7.2).
func hostOf(header string) (name, port string, ok bool) {
	name = header
	if strings.HasPrefix(header, "[") {
		inside, after, found := strings.Cut(header[1:], "]")
		a, err := netip.ParseAddr(inside)
		if !found || err != nil || !a.Is6() || a.Zone() != "" {
			return "", "", false
		}
		if after == "" {
			return a.String(), "", true
		}
		port, ok = strings.CutPrefix(after, ":")
		return a.String(), port, ok && validPort(port)
	}
	if i := strings.IndexByte(header, ':'); i >= 0 {
		name, port = header[:i], header[i+1:]
		if !validPort(port) {
			return "", "", false
		}
	}
	if name = strings.TrimSuffix(name, "."); !validName(name) {
		return "", "", false
	}
	return strings.ToLower(name), port, true
}

// validPort reports whether a port is one; an empty one is the scheme's own.
func validPort(port string) bool {
	if len(port) > 5 {
		return false
	}
	for i := range len(port) {
		if port[i] < '0' || port[i] > '9' {
			return false
		}
	}
	return true
}

// validName reports whether a name is made of labels. Underscores are no part of host names, but of
// what people use as ones.
func validName(name string) bool {
	if name == "" || len(name) > 253 || name[0] == '.' || name[len(name)-1] == '.' || strings.Contains(name, "..") {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_':
		default:
			return false
		}
	}
	return true
}

// localName reports whether a name means this machine and nothing else, whoever answers for it. What
// is listed under such a name can't be read by a page of another origin.
func localName(name string) bool {
	return name == "localhost" || strings.HasSuffix(name, ".localhost") || name == "127.0.0.1" || name == "::1"
}
