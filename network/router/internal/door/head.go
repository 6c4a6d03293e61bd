package door

import (
	"bytes"
	"net/url"
)

// head is the head of a request of the usual kind: HTTP/1.1, a path as target, a body of known length
// or none. Its parts lie in the client's buffer.
type head struct {
	// size is the length of the head in bytes, with the empty line at its end.
	size   int
	line   []byte // the request line without its end
	method []byte
	path   []byte // without the query and without escapes
	host   []byte
	fields []byte // all header lines, with their ends
	length int    // of the body, in bytes
	close  bool   // nothing follows on this connection
}

// token has the characters of names (RFC 9110, section 5.6.2).
var token = func() (t [256]bool) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") {
		t[c] = true
	}
	return t
}()

var headEnd = []byte("\r\n\r\n")

// parse reads a head from the beginning of data, which has all of it. It reports false for all that
// is not plainly of the usual kind: that is for net/http to judge. It never takes for one what
// net/http takes for another, so that nobody can slip a request past the door inside another.
func (h *head) parse(data []byte) bool {
	*h = head{}
	end := bytes.Index(data, headEnd)
	first := bytes.IndexByte(data, '\r')
	if end < 0 || data[first+1] != '\n' || !h.requestLine(data[:first]) {
		return false
	}
	h.size, h.line, h.fields = end+len(headEnd), data[:first], data[first+len("\r\n"):end+len("\r\n")]
	lengths := 0
	for rest := h.fields; len(rest) > 0; {
		name, value, n, ok := field(rest)
		if !ok || !h.note(name, value, &lengths) {
			return false
		}
		rest = rest[n:]
	}
	return len(h.host) > 0 && lengths <= 1
}

// requestLine reads "GET /path?query HTTP/1.1".
func (h *head) requestLine(line []byte) bool {
	method, rest, ok := bytes.Cut(line, []byte(" "))
	target, version, ok2 := bytes.Cut(rest, []byte(" "))
	if !ok || !ok2 || string(version) != "HTTP/1.1" || len(target) == 0 || target[0] != '/' {
		return false
	}
	switch string(method) {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
	default:
		return false
	}
	path := target
	for i, c := range target {
		if c <= ' ' || c >= 0x7f || c == '#' {
			return false
		}
		if c == '?' && len(path) == len(target) {
			path = target[:i]
		}
	}
	h.method, h.path = method, path
	if bytes.IndexByte(path, '%') < 0 {
		return true
	}
	plain, err := url.PathUnescape(string(path))
	h.path = []byte(plain)
	return err == nil
}

// field reads a header line. n is its length with its end.
func field(data []byte) (name, value []byte, n int, ok bool) {
	end := bytes.IndexByte(data, '\n')
	colon := bytes.IndexByte(data, ':')
	if end < 1 || data[end-1] != '\r' || colon < 1 || colon > end {
		return nil, nil, 0, false
	}
	name, value = data[:colon], data[colon+1:end-1]
	for _, c := range name {
		if !token[c] {
			return nil, nil, 0, false
		}
	}
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return nil, nil, 0, false
		}
	}
	return name, bytes.Trim(value, " \t"), end + 1, true
}

// note takes what a header says about the request. It reports false for one that is not of the usual
// kind.
func (h *head) note(name, value []byte, lengths *int) bool {
	switch kindOf(name) {
	case fieldHost:
		if h.host != nil {
			return false
		}
		h.host = value
	case fieldLength:
		*lengths++
		var ok bool
		h.length, ok = decimal(value)
		return ok
	case fieldConnection:
		switch {
		case equalFold(value, "close"):
			h.close = true
		case !equalFold(value, "keep-alive"):
			return false
		}
	case fieldHop, fieldCoding, fieldExpect, fieldTrailer:
		return false
	}
	return true
}

// sendable reports whether the request may be sent again where it is not known what became of it
// (RFC 9110, section 9.2.2).
func (h *head) sendable() bool {
	switch string(h.method) {
	case "GET", "HEAD", "OPTIONS":
		return h.length == 0
	}
	return false
}

// fieldKind is what a header is for, as far as it matters between two connections.
type fieldKind int

const (
	fieldPlain fieldKind = iota
	fieldHost
	fieldLength
	fieldConnection
	// fieldHop is for one connection only and not for what comes after it (RFC 9110, section 7.6.1).
	fieldHop
	fieldCoding
	fieldExpect
	fieldTrailer
)

func kindOf(name []byte) fieldKind {
	switch len(name) {
	case len("te"):
		return when(name, "te", fieldHop)
	case len("host"):
		return when(name, "host", fieldHost)
	case len("expect"):
		return when(name, "expect", fieldExpect)
	case len("upgrade"):
		if equalFold(name, "trailer") {
			return fieldTrailer
		}
		return when(name, "upgrade", fieldHop)
	case len("connection"):
		if equalFold(name, "connection") {
			return fieldConnection
		}
		return when(name, "keep-alive", fieldHop)
	case len("content-length"):
		if equalFold(name, "content-length") {
			return fieldLength
		}
		return when(name, "http2-settings", fieldHop)
	case len("proxy-connection"):
		return when(name, "proxy-connection", fieldHop)
	case len("transfer-encoding"):
		return when(name, "transfer-encoding", fieldCoding)
	case len("proxy-authenticate"):
		return when(name, "proxy-authenticate", fieldHop)
	case len("proxy-authorization"):
		return when(name, "proxy-authorization", fieldHop)
	}
	return fieldPlain
}

func when(name []byte, is string, kind fieldKind) fieldKind {
	if equalFold(name, is) {
		return kind
	}
	return fieldPlain
}

// equalFold compares with a text in lower case, of letters, digits and hyphens.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := range len(lower) {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// decimal reads a length: digits and nothing else.
func decimal(b []byte) (int, bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, true
}
