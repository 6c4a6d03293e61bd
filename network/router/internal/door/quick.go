package door

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
	"time"
)

// patience is how long a backend may be silent before somebody looks whether the client is still
// there.
const patience = 250 * time.Millisecond

// outcome is what becomes of a client's connection after a request.
type outcome int

const (
	// next: it waits for the next request.
	next outcome = iota
	// gone: it is to be closed.
	gone
	// odd: its request, of which nothing has been used, is for net/http.
	odd
)

// quick carries HTTP/1.1 requests of the usual kind, one after another, by one goroutine for both
// connections: that takes a third of the time that net/http's server and client take together.
type quick struct {
	door   *door
	conn   *conn
	client *wire
	about  callerText

	// Of the request that is being carried:
	head    head
	backend *backend
	address *address
	up      *upstream
	reply   reply
	watch   *watch
	out     []byte
	begun   bool // the client has been sent something

	// The name that was asked for last, and what it led to then.
	lastHost  []byte
	lastTable *table
	lastSite  *site
}

// quick serves a connection until it ends or has to be handed over.
func (d *door) quick(c *conn, w *wire) {
	q := &quick{door: d, conn: c, client: w, about: textOf(c.caller)}
	for {
		switch q.request() {
		case gone:
			w.release()
			_ = c.Close()
			return
		case odd:
			c.rest = bytes.Clone(w.pending())
			w.release()
			d.handover.hand(c)
			return
		}
	}
}

// request carries one request.
func (q *quick) request() outcome {
	if o := q.await(); o != next {
		return o
	}
	if q.backend = q.route(); q.backend == nil || q.backend.problem != "" || q.backend.protocol != "" {
		return odd
	}
	q.address = q.backend.next()
	if q.address.odd.Load() {
		return odd
	}
	buffer := bulkBuffers.Get().(*[copySize]byte)
	defer bulkBuffers.Put(buffer)
	q.out, q.begun, q.up = buffer[:0], false, nil
	return q.carry()
}

// await reads until the client's buffer has a whole request.
func (q *quick) await() outcome {
	c, timed := q.client, false
	if len(c.pending()) == 0 {
		if c.conn.SetReadDeadline(time.Now().Add(idleTimeout)) != nil || c.fill() != nil {
			return gone
		}
	}
	for {
		data := c.pending()
		whole := bytes.Contains(data, headEnd)
		switch {
		case whole && !q.head.parse(data):
			return odd
		case whole && q.head.size+q.head.length <= len(data):
			return next
		case whole && q.head.size+q.head.length > wireSize, !whole && bytes.Contains(data, []byte("\n\n")):
			return odd
		}
		if !timed {
			timed = true
			if c.conn.SetReadDeadline(time.Now().Add(headTimeout)) != nil {
				return gone
			}
		}
		if err := c.fill(); errors.Is(err, errFull) || whole && errors.Is(err, os.ErrDeadlineExceeded) {
			return odd
		} else if err != nil {
			return gone
		}
	}
}

// route is the backend that the request is for, nil if that is not plain.
func (q *quick) route() *backend {
	t := q.door.table.Load()
	if t != q.lastTable || !bytes.Equal(q.lastHost, q.head.host) {
		name, _, ok := hostOf(string(q.head.host))
		if !ok {
			return nil
		}
		q.lastTable, q.lastSite, q.lastHost = t, t.site(name), append(q.lastHost[:0], q.head.host...)
	}
	if q.lastSite == nil {
		return nil
	}
	return q.lastSite.backend(string(q.head.path))
}

// carry sends the request and brings the response back.
func (q *quick) carry() outcome {
	up, err := q.address.get(q.door.ctx, !q.head.sendable())
	if err != nil {
		return q.fail(err)
	}
	q.up = up
	if err := up.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return q.fail(err)
	}
	q.appendRequest()
	if _, err := up.conn.Write(q.out); err != nil {
		return q.fail(err)
	}
	if err := q.receive(); err != nil {
		return q.fail(err)
	}
	whole, err := q.respond()
	left := q.unwatch()
	if whole && !q.reply.close && len(up.pending()) == 0 {
		q.address.put(up)
	} else {
		up.close()
	}
	q.up = nil
	if err != nil {
		q.door.log.Debug("response not carried to its end", "host", string(q.head.host), "service", q.backend.service, "error", err)
	}
	if !whole || left || q.head.close {
		return gone
	}
	q.client.skip(q.head.size + q.head.length)
	return next
}

// appendRequest appends the request as the backend gets it.
func (q *quick) appendRequest() {
	h, out := &q.head, q.out[:0]
	out = append(out, h.line...)
	out = append(out, "\r\n"...)
	for rest := h.fields; len(rest) > 0; {
		n := bytes.IndexByte(rest, '\n') + 1
		line := rest[:n]
		rest = rest[n:]
		name := line[:bytes.IndexByte(line, ':')]
		if kindOf(name) != fieldConnection && !forwarding(name) {
			out = append(out, line...)
		}
	}
	out = append(out, q.about.fields...)
	out = append(out, h.host...)
	out = append(out, "\"\r\nX-Forwarded-Host: "...)
	out = append(out, h.host...)
	out = append(out, "\r\n\r\n"...)
	q.out = append(out, q.client.pending()[h.size:h.size+h.length]...)
}

// callerText is what a backend is told of a caller, up to the host in Forwarded.
type callerText struct{ fields []byte }

func textOf(c *caller) callerText {
	address, node := forwardedFor(c.remote.Addr())
	return callerText{[]byte("X-Forwarded-For: " + address + "\r\nX-Forwarded-Proto: " + c.scheme() +
		"\r\nX-Forwarded-Port: " + strconv.Itoa(int(c.local.Port())) +
		"\r\nForwarded: for=" + node + ";proto=" + c.scheme() + ";host=\"")}
}

// receive reads the head of the response. Interim ones are passed on, but for the one that tells a
// client to go on.
func (q *quick) receive() error {
	for {
		more, err := q.reply.parse(q.up.pending())
		switch {
		case err != nil:
			return err
		case more:
			if err := q.fill(); err != nil {
				return err
			}
			continue
		case q.reply.status >= 200:
			return nil
		case q.reply.status > 100:
			if err := q.write(append(q.reply.appendTo(q.out[:0]), "\r\n"...)); err != nil {
				return err
			}
		}
		q.up.skip(q.reply.size)
	}
}

// respond sends the response. It reports whether the client has got all of it.
func (q *quick) respond() (whole bool, err error) {
	r := &q.reply
	body := framing{left: r.length, chunked: r.chunked, open: r.length < 0 && !r.chunked}
	if r.bodiless(q.head.method) {
		body = framing{}
	}
	out := r.appendTo(q.out[:0])
	if body.open {
		out = append(out, "Transfer-Encoding: chunked\r\n"...)
	}
	if q.head.close {
		out = append(out, "Connection: close\r\n"...)
	}
	out = append(out, "\r\n"...)
	q.up.skip(r.size)
	for {
		n, done, err := body.next(q.up.pending())
		if err != nil {
			return false, err
		}
		out = body.append(out, q.up.pending()[:n])
		q.up.skip(n)
		if len(out) > 0 {
			if err := q.write(out); err != nil {
				return false, err
			}
		}
		switch {
		case done:
			return true, nil
		case !body.chunked && !body.open && body.left > wireSize:
			return q.bulk(body.left)
		}
		out = q.out[:0]
		if err := q.fill(); err != nil {
			if !body.open || !errors.Is(err, io.EOF) {
				return false, err
			}
			return true, q.write(append(out, "0\r\n\r\n"...))
		}
	}
}

// bulk carries the rest of a body of known length.
func (q *quick) bulk(left int64) (whole bool, err error) {
	buffer := q.out[:copySize]
	for left > 0 {
		n, err := q.up.conn.Read(buffer[:min(left, copySize)])
		left -= int64(n)
		if n > 0 {
			if err := q.write(buffer[:n]); err != nil {
				return false, err
			}
		}
		if err = q.patient(err); err != nil && left > 0 {
			return false, err
		}
	}
	return true, nil
}

// fill reads more from the backend, for as long as it takes.
func (q *quick) fill() error {
	for {
		err := q.up.fill()
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		if err := q.patient(err); err != nil {
			return err
		}
	}
}

// patient takes an error of reading from the backend. If it has only been silent, one looks from now
// on whether the client is still there.
func (q *quick) patient(err error) error {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	q.watchClient()
	return q.up.conn.SetReadDeadline(time.Time{})
}

// write sends something to the client.
func (q *quick) write(p []byte) error {
	q.begun = true
	if _, err := q.client.conn.Write(p); err != nil {
		return clientError{err}
	}
	return nil
}

// clientError says that it is the client's connection that has failed.
type clientError struct{ error }

func (e clientError) Unwrap() error { return e.error }

// framing tells where a body ends.
type framing struct {
	left    int64 // if neither chunked nor open
	chunked bool
	chunks  chunks
	// open says that it ends with the connection. The client gets it in chunks.
	open bool
}

// next is how much of p belongs to the body, and whether it ends there.
func (f *framing) next(p []byte) (n int, done bool, err error) {
	switch {
	case f.chunked:
		return f.chunks.follow(p)
	case f.open:
		return len(p), false, nil
	}
	n = int(min(f.left, int64(len(p))))
	f.left -= int64(n)
	return n, f.left == 0, nil
}

// append appends a part of the body as the client gets it.
func (f *framing) append(out, p []byte) []byte {
	if !f.open || len(p) == 0 {
		return append(out, p...)
	}
	out = strconv.AppendInt(out, int64(len(p)), 16)
	out = append(out, "\r\n"...)
	out = append(out, p...)
	return append(out, "\r\n"...)
}

// watch waits for a client to say something, or to leave, while its response is on its way.
type watch struct {
	done chan struct{}
	n    int
	err  error
}

// watchClient begins to watch. If the client leaves, the backend's connection is closed.
func (q *quick) watchClient() {
	c, up := q.client, q.up
	if q.watch != nil || c.w == len(c.buf) || c.conn.SetReadDeadline(time.Time{}) != nil {
		return
	}
	w := &watch{done: make(chan struct{})}
	q.watch = w
	free := c.buf[c.w:]
	go func() {
		defer close(w.done)
		w.n, w.err = c.conn.Read(free)
		if w.err != nil && !errors.Is(w.err, os.ErrDeadlineExceeded) {
			_ = up.conn.Close()
		}
	}()
}

// unwatch ends watching. It reports whether the client has left.
func (q *quick) unwatch() (left bool) {
	w := q.watch
	if w == nil {
		return false
	}
	q.watch = nil
	past := time.Unix(1, 0)
	if err := q.client.conn.SetReadDeadline(past); err != nil {
		_ = q.conn.Close()
	}
	<-w.done
	q.client.w += w.n
	return w.err != nil && !errors.Is(w.err, os.ErrDeadlineExceeded)
}
