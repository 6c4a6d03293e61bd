package protocol

import "net/netip"

// Door is what the front door serves: HTTP, by the name that a request is for. The daemon has decided
// what every name leads to.
type Door struct {
	// Sites are what names lead to. No two have the same host.
	Sites []Site `json:",omitempty"`
	// Certificates are for HTTPS, by the names in them. For a name without one HTTPS is refused.
	Certificates []Certificate `json:",omitempty"`
}

// Site is what a name leads to.
type Site struct {
	// Host is a name in lower case without a port, "*.example.org" for all names with one label more,
	// or empty for every name that no other site has.
	Host string `json:",omitempty"`
	// Paths are tried for the longest match; an exact one goes before a prefix of the same length.
	Paths []Path
	// Title says whose site it is, for people: "service shop/web", "ingress shop/shop".
	Title string
}

// Path is a part of a site.
type Path struct {
	// Path begins with a slash. Exact says that it is the whole path; else it is a prefix, by its
	// elements: /a has /a, /a/ and /a/b, and not /ab.
	Path    string
	Exact   bool `json:",omitempty"`
	Backend Backend
}

// Backend is where requests go.
type Backend struct {
	// Service names it, for people.
	Service Key
	// To are the addresses of which one is dialled: a service's own, or the endpoints of a headless
	// one.
	To []netip.AddrPort `json:",omitempty"`
	// Protocol is "" for HTTP/1.1, "h2c" for HTTP/2 without TLS, "https" for HTTP over TLS.
	Protocol string `json:",omitempty"`
	// Problem is why there is nothing to dial, empty if there is.
	Problem string `json:",omitempty"`
}

// Protocols of backends.
const (
	HTTP2 = "h2c"
	HTTPS = "https"
)

// Certificate is a certificate with its key, both PEM.
type Certificate struct{ Cert, Key []byte }
