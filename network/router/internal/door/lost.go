package door

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"syscall"
)

// fail ends a request for which there is no response. If it may be sent again, or has not been sent,
// net/http does it all over.
func (q *quick) fail(err error) outcome {
	left := q.unwatch()
	kept := false
	if q.up != nil {
		kept = q.up.kept
		q.up.close()
		q.up = nil
	}
	strange := errors.Is(err, errOdd) || errors.Is(err, errFull)
	if strange {
		q.address.odd.Store(true)
	}
	var client clientError
	refused := errors.Is(err, syscall.ECONNREFUSED)
	switch {
	case left || q.begun || errors.As(err, &client):
		q.door.log.Debug("request failed", "host", string(q.head.host), "service", q.backend.service, "error", err)
		return gone
	case refused, (strange || kept) && q.head.sendable():
		return odd
	}
	return q.answer(err)
}

// answer tells the client what has become of its request.
func (q *quick) answer(err error) outcome {
	r, parseErr := http.ReadRequest(bufio.NewReader(bytes.NewReader(q.client.pending())))
	if parseErr != nil {
		return gone
	}
	status, text := q.backend.failure(err)
	q.door.log.Debug("request failed", "host", r.Host, "path", r.URL.Path, "service", q.backend.service, "status", status, "error", err)
	said := &said{header: http.Header{}}
	answer(said, r, status, text)
	response := http.Response{
		StatusCode: said.status, ProtoMajor: 1, ProtoMinor: 1, Header: said.header, Request: r, Close: q.head.close,
		ContentLength: int64(said.body.Len()), Body: io.NopCloser(&said.body),
	}
	var out bytes.Buffer
	if response.Write(&out) != nil || q.write(out.Bytes()) != nil || q.head.close {
		return gone
	}
	q.client.skip(q.head.size + q.head.length)
	return next
}

// said is a response as one writes it.
type said struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (s *said) Header() http.Header { return s.header }

func (s *said) WriteHeader(status int) { s.status = status }

func (s *said) Write(p []byte) (int, error) { return s.body.Write(p) }
