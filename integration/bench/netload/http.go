package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"skiff/integration/bench/netload/report"
)

// requests asks for /hello by HTTP. Nothing is tried again: each request that is not answered has
// failed, as it would for a client that must not repeat it.
func requests(ctx context.Context, l load) (report.Report, error) {
	return work(ctx, l, func() (worker, error) {
		a := &asker{load: l}
		return worker{do: a.ask, close: a.drop}, nil
	})
}

// asker sends requests over a connection of its own.
type asker struct {
	load
	conn net.Conn
	read *bufio.Reader
}

func (a *asker) drop() {
	if a.conn != nil {
		_ = a.conn.Close()
	}
	a.conn = nil
}

func (a *asker) ask() error {
	if a.conn == nil {
		c, err := net.DialTimeout("tcp", a.to, a.timeout)
		if err != nil {
			return err
		}
		a.conn, a.read = c, bufio.NewReader(c)
	}
	r, err := a.exchange() //nolint:bodyclose // it has been read to its end, and the connection is ours
	if err != nil || r.Close || !a.keep {
		a.drop()
	}
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("answered with %s", r.Status)
	}
	return err
}

func (a *asker) exchange() (*http.Response, error) {
	if err := a.conn.SetDeadline(time.Now().Add(a.timeout)); err != nil {
		return nil, err
	}
	connection := "keep-alive"
	if !a.keep {
		connection = "close"
	}
	if _, err := fmt.Fprintf(a.conn, "GET /hello HTTP/1.1\r\nHost: %s\r\nConnection: %s\r\n\r\n", cmp.Or(a.name, a.to), connection); err != nil {
		return nil, err
	}
	r, err := http.ReadResponse(a.read, nil)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, r.Body)
	return r, err
}
