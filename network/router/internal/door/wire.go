package door

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// Sizes of buffers, in bytes.
const (
	wireSize = 8 << 10
	copySize = 32 << 10
)

// errFull says that what comes does not fit in the buffer.
var errFull = errors.New("too large")

var (
	wireBuffers = sync.Pool{New: func() any { return new([wireSize]byte) }}
	bulkBuffers = sync.Pool{New: func() any { return new([copySize]byte) }}
)

// copyBuffers lends net/http's proxy the large ones.
type copyBuffers struct{}

func (copyBuffers) Get() []byte { return bulkBuffers.Get().(*[copySize]byte)[:] }

func (copyBuffers) Put(p []byte) { bulkBuffers.Put((*[copySize]byte)(p[:copySize])) }

// wire is a connection with what has been read of it: buf[r:w]. It has a buffer only while there is
// something to read.
type wire struct {
	conn net.Conn
	buf  []byte
	r, w int
	// most is how large the buffer may become.
	most int
}

func newWire(conn net.Conn) *wire { return &wire{conn: conn, most: wireSize} }

// pending is what has been read and not been used.
func (w *wire) pending() []byte {
	return w.buf[w.r:w.w]
}

// skip takes n bytes as used.
func (w *wire) skip(n int) {
	w.r += n
	if w.r == w.w {
		w.r, w.w = 0, 0
	}
}

// fill reads more, once. What is pending may be moved.
func (w *wire) fill() error {
	switch {
	case w.buf == nil:
		w.buf = wireBuffers.Get().(*[wireSize]byte)[:]
	case w.w < len(w.buf):
	case w.r > 0:
		w.w = copy(w.buf, w.buf[w.r:w.w])
		w.r = 0
	case len(w.buf) < w.most:
		larger := make([]byte, 2*len(w.buf))
		copy(larger, w.buf)
		w.buf = larger
	default:
		return errFull
	}
	n, err := w.conn.Read(w.buf[w.w:])
	w.w += n
	if n > 0 {
		return nil
	}
	return err
}

// release gives the buffer back. What is pending is lost.
func (w *wire) release() {
	if len(w.buf) == wireSize {
		wireBuffers.Put((*[wireSize]byte)(w.buf))
	}
	w.buf, w.r, w.w = nil, 0, 0
}

// upstream is a connection to a backend, as quick.go uses it.
type upstream struct {
	wire
	// kept says that it has carried a request before. since is when that ended.
	kept  bool
	since time.Time
}

// freshUpstream is for how long an idle connection counts as alive without a look. Servers keep idle
// connections for a second at least.
const freshUpstream = 500 * time.Millisecond

// alive reports whether the backend has not closed an idle connection. Without sure it looks only
// where that is likely.
func (u *upstream) alive(sure bool) bool {
	if !sure && time.Since(u.since) < freshUpstream {
		return true
	}
	tcp, ok := u.conn.(*net.TCPConn)
	if !ok {
		return true
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return false
	}
	alive := false
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		alive = errors.Is(err, syscall.EAGAIN)
	})
	return err == nil && alive
}

func (u *upstream) close() {
	u.release()
	_ = u.conn.Close()
}
