package probe

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
)

// maxInterim is how many responses of status 1xx may come before the one that counts (net/http's
// figure).
const maxInterim = 5

// plainTransport speaks HTTP/1.1 without TLS, on a connection of its own for each request. Against
// http.Transport, whose two goroutines for each connection serve what probes do not need, it saves a
// third of the daemon's CPU.
type plainTransport struct{ dial Dial }

// RoundTrip implements http.RoundTripper.
func (t plainTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	conn, err := t.dial(ctx, "tcp", net.JoinHostPort(r.URL.Hostname(), cmp.Or(r.URL.Port(), "80")))
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	response, err := exchange(conn, r)
	if err != nil {
		stop()
		_ = conn.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, err
	}
	response.Body = &plainBody{Reader: response.Body, ctx: ctx, conn: conn, stop: stop}
	return response, nil
}

// exchange writes the request and reads the head of its response.
func exchange(conn net.Conn, r *http.Request) (*http.Response, error) {
	write := bufio.NewWriterSize(conn, 512)
	if err := errors.Join(r.Write(write), write.Flush()); err != nil {
		return nil, err
	}
	head := &io.LimitedReader{R: conn, N: maxHeader}
	read := bufio.NewReaderSize(head, 1024)
	for range maxInterim + 1 {
		if _, err := read.Peek(1); err != nil {
			return nil, err // the server hung up without a word
		}
		response, err := http.ReadResponse(read, r)
		switch {
		case err != nil && head.N <= 0:
			err = fmt.Errorf("net/http: server response headers exceeded %d bytes; aborted", maxHeader)
			fallthrough
		case err != nil:
			return nil, fmt.Errorf("net/http: HTTP/1.x transport connection broken: %w", err)
		case response.StatusCode >= http.StatusOK || response.StatusCode == http.StatusSwitchingProtocols:
			head.N = math.MaxInt64 // the reader of the body has its own bound
			return response, nil
		}
	}
	return nil, errors.New("net/http: too many 1xx informational responses")
}

// plainBody is a response's body. The connection lasts as long as it does, or until ctx ends.
type plainBody struct {
	io.Reader
	ctx  context.Context
	conn net.Conn
	stop func() bool
}

// Read implements io.Reader.
func (b *plainBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil && b.ctx.Err() != nil {
		err = b.ctx.Err()
	}
	return n, err
}

// Close implements io.Closer. It reads nothing more: the connection is not used again.
func (b *plainBody) Close() error {
	b.stop()
	return b.conn.Close()
}
