package docker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/docker/docker/client"
)

// session is a connection to a process in a container.
type session struct {
	conn net.Conn
	from *bufio.Reader
	// stop ends the watch over the context.
	stop func() bool
}

// hijack posts a request and takes the connection over once the engine has switched it to a stream,
// which is bounded as other calls are. The session ends with ctx; close it in any case.
func (e *Engine) hijack(ctx context.Context, c *client.Client, name string, query url.Values, body any) (*session, error) {
	request, err := e.newRequest(ctx, c, http.MethodPost, name, query, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", "tcp")
	conn, err := c.Dialer()(ctx)
	if err != nil {
		return nil, err
	}
	s := &session{conn: conn, from: bufio.NewReader(conn)}
	s.stop = context.AfterFunc(ctx, func() { _ = conn.Close() }) // wakes whoever reads or writes
	bounded, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	hangs := context.AfterFunc(bounded, func() { _ = conn.Close() })
	err = s.upgrade(request)
	switch late := !hangs(); {
	case late && ctx.Err() == nil:
		err = e.hung("hijack", name)
	case err == nil && !late:
		return s, nil
	}
	s.close()
	return nil, orContext(ctx, err)
}

func (s *session) upgrade(request *http.Request) error {
	if err := request.Write(s.conn); err != nil {
		return err
	}
	answer, err := http.ReadResponse(s.from, request)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		return refusal(answer)
	}
	return nil
}

func (s *session) close() {
	s.stop()
	_ = s.conn.Close() // both ends are done with it
}

// carry copies In to the process and its output to Out and Err until the output ends. What reads In
// may then still wait for its next bytes: the caller ends that by closing In.
func (s *session) carry(ctx context.Context, streams Streams) error {
	if streams.In != nil {
		go s.send(streams.In, !streams.TTY)
	}
	if err := demultiplex(streams.TTY, streams.Out, streams.Err, s.from); err != nil {
		return orContext(ctx, fmt.Errorf("read output: %w", err))
	}
	return ctx.Err()
}

// send copies input and, if end is set, then closes its half of the connection, which the process
// sees as the end of its input. A terminal has no such end; at a closed half the engine would end
// the output as well. An error means that the process or the caller is gone, and the output tells
// that.
func (s *session) send(in io.Reader, end bool) {
	_, _ = io.Copy(s.conn, in)
	if half, ok := s.conn.(interface{ CloseWrite() error }); ok && end {
		_ = half.CloseWrite()
	}
}

// orContext is ctx's error where that is why err came about.
func orContext(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// resize hands the sizes of the caller's terminal on until ctx ends or there are no more.
func resize(ctx context.Context, sizes <-chan Size, to func(context.Context, Size) error) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case size, open := <-sizes:
			if !open {
				return nil
			}
			if size.Width == 0 || size.Height == 0 {
				continue // a client without a terminal says so; the engine would refuse it
			}
			if err := to(ctx, size); err != nil && !errors.Is(err, context.Canceled) {
				return err
			}
		}
	}
}
