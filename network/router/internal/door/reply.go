package door

import (
	"bytes"
	"errors"
)

// errOdd says that a backend has sent what is no response, or none that is understood here.
var errOdd = errors.New("what the backend has sent is no plain HTTP response")

// reply is the head of a response. Its parts lie in the backend's buffer.
type reply struct {
	size   int
	status int
	reason []byte // the status line from the status on
	fields []byte
	// length is the body's, -1 if only its end tells.
	length  int64
	chunked bool
	close   bool
	named   []byte // what Connection says
}

// parse reads a head from the beginning of data. more is true if data has only a part of it.
func (r *reply) parse(data []byte) (more bool, err error) {
	*r = reply{length: -1}
	end := endOfHead(data)
	if end < 0 {
		return true, nil
	}
	r.size = end
	line := data[:bytes.IndexByte(data, '\n')]
	r.fields = data[len(line)+1 : end]
	line = bytes.TrimSuffix(line, []byte("\r"))
	const version = "HTTP/1.x "
	if len(line) < len(version)+3 || string(line[:7]) != "HTTP/1." || line[7] != '0' && line[7] != '1' || line[8] != ' ' {
		return false, errOdd
	}
	r.close = line[7] == '0'
	r.reason = line[len(version):]
	status, ok := decimal(r.reason[:3])
	if !ok || status < 100 || len(r.reason) > 3 && r.reason[3] != ' ' {
		return false, errOdd
	}
	r.status = status
	coded := false
	for rest := r.fields; ; {
		name, value, n, ok := replyField(rest)
		if n > 0 && !ok {
			return false, errOdd
		}
		if n == 0 {
			break
		}
		rest = rest[n:]
		switch kindOf(name) {
		case fieldLength:
			length, ok := decimal(value)
			if !ok || r.length >= 0 && r.length != int64(length) {
				return false, errOdd
			}
			r.length = int64(length)
		case fieldCoding:
			if coded || !equalFold(value, "chunked") {
				return false, errOdd
			}
			coded, r.chunked = true, true
		case fieldConnection:
			if r.named != nil {
				return false, errOdd
			}
			r.named = value
			r.close = r.close && !equalFold(value, "keep-alive") || equalFold(value, "close")
			if !equalFold(value, "close") && !equalFold(value, "keep-alive") {
				r.close = true // whatever else it says
			}
		}
	}
	if r.chunked && r.length >= 0 || r.status == 101 {
		return false, errOdd
	}
	return false, nil
}

// endOfHead is where the head at the beginning of data ends, -1 if it does not. Its lines may end
// without a carriage return (RFC 9112, section 2.2).
func endOfHead(data []byte) int {
	for at := 0; ; {
		i := bytes.IndexByte(data[at:], '\n')
		if i < 0 {
			return -1
		}
		at += i + 1
		rest := data[at:]
		if len(rest) > 0 && rest[0] == '\n' {
			return at + 1
		}
		if len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n' {
			return at + 2
		}
	}
}

// replyField reads a header line; n is 0 at the empty one.
func replyField(data []byte) (name, value []byte, n int, ok bool) {
	end := bytes.IndexByte(data, '\n')
	line := bytes.TrimSuffix(data[:max(end, 0)], []byte("\r"))
	if len(line) == 0 {
		return nil, nil, 0, true
	}
	colon := bytes.IndexByte(line, ':')
	if colon < 1 {
		return nil, nil, end + 1, false
	}
	name, value = line[:colon], line[colon+1:]
	for _, c := range name {
		if !token[c] {
			return nil, nil, end + 1, false
		}
	}
	if bytes.IndexByte(value, 0) >= 0 || bytes.IndexByte(value, '\r') >= 0 {
		return nil, nil, end + 1, false
	}
	return name, bytes.Trim(value, " \t"), end + 1, true
}

// bodiless reports whether the response to such a request has no body, whatever its headers say
// (RFC 9112, section 6.3).
func (r *reply) bodiless(method []byte) bool {
	return r.status < 200 || r.status == 204 || r.status == 304 || string(method) == "HEAD"
}

// names reports whether Connection names a header: that is for one connection only.
func (r *reply) names(field []byte) bool {
	for rest := r.named; len(rest) > 0; {
		var option []byte
		option, rest, _ = bytes.Cut(rest, []byte(","))
		if bytes.EqualFold(bytes.Trim(option, " \t"), field) {
			return true
		}
	}
	return false
}

// appendTo appends the head as the client gets it, without the empty line at its end.
func (r *reply) appendTo(out []byte) []byte {
	out = append(out, "HTTP/1.1 "...)
	out = append(out, r.reason...)
	out = append(out, "\r\n"...)
	for rest := r.fields; ; {
		name, value, n, _ := replyField(rest)
		if n == 0 {
			return out
		}
		rest = rest[n:]
		switch kindOf(name) {
		case fieldConnection, fieldHop:
			continue
		case fieldPlain:
			if r.named != nil && r.names(name) {
				continue
			}
		}
		out = append(out, name...)
		out = append(out, ": "...)
		out = append(out, value...)
		out = append(out, "\r\n"...)
	}
}
