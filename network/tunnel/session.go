// Package tunnel carries many streams over the one connection that the Engine API gives between the
// daemon and the router: the standard streams of a process in the router's container. Both ends use
// it; it knows nothing of what the streams are for beyond their first line.
package tunnel

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/yamux"

	"skiff/network/protocol"
)

// greetingTimeout is how long a new stream may take to say what it is for.
const greetingTimeout = 10 * time.Second

// kindReset is the kind of a stream that says only that another one, whose number is its address, is not
// read any longer. yamux has no such message: whoever writes would fill the window and then wait.
const kindReset = "reset"

// errNotRead is of writes to a stream that the other end has closed.
var errNotRead = fmt.Errorf("the other end has closed the stream: %w", syscall.EPIPE)

// ErrEnded is of reads from a stream whose session has ended: what the other end had to say may be
// missing. It is syscall.ENETDOWN too.
var ErrEnded = fmt.Errorf("the tunnel has ended: %w", syscall.ENETDOWN)

// Session is one end of a tunnel. It is safe for concurrent use.
type Session struct {
	mux *yamux.Session

	mu sync.Mutex
	// streams are those that are open, by number.
	streams map[uint32]*halves
}

func newSession(mux *yamux.Session) *Session {
	return &Session{mux: mux, streams: map[uint32]*halves{}}
}

// Client is the daemon's end over a connection, which the session closes when it ends.
func Client(conn io.ReadWriteCloser) (*Session, error) {
	mux, err := yamux.Client(&joinedWrites{ReadWriteCloser: conn}, settings())
	if err != nil {
		return nil, fmt.Errorf("opening the tunnel: %w", err)
	}
	return newSession(mux), nil
}

// Server is the router's end.
func Server(conn io.ReadWriteCloser) (*Session, error) {
	mux, err := yamux.Server(&joinedWrites{ReadWriteCloser: conn}, settings())
	if err != nil {
		return nil, fmt.Errorf("opening the tunnel: %w", err)
	}
	return newSession(mux), nil
}

func settings() *yamux.Config {
	c := yamux.DefaultConfig()
	// The default of 256 KiB is 5 MB/s where an answer takes 50 ms, as from a machine far away.
	c.MaxStreamWindowSize = 4 << 20
	// A stream may be closed at one end for as long as the other one likes: who reads no more says so.
	c.StreamCloseTimeout = 0
	c.KeepAliveInterval = 10 * time.Second
	c.ConnectionWriteTimeout = 30 * time.Second
	c.LogOutput = io.Discard
	return c
}

// Open begins a stream, with its first line.
func (s *Session) Open(g protocol.Greeting) (*Stream, error) {
	raw, err := s.mux.OpenStream()
	if err != nil {
		return nil, fmt.Errorf("opening a %s stream: %w", g.Kind, err)
	}
	stream := s.newStream(raw)
	if err := protocol.WriteLine(stream, g); err != nil {
		return nil, errors.Join(err, stream.Close())
	}
	return stream, nil
}

// Accept calls serve for each stream that the other end opens, each in a goroutine of its own, until
// the session ends. It returns when all calls have: they end because their streams do.
func (s *Session) Accept(serve func(protocol.Greeting, *Stream)) error {
	var serving sync.WaitGroup
	defer serving.Wait()
	for {
		raw, err := s.mux.AcceptStream()
		if err != nil {
			return fmt.Errorf("the tunnel has ended: %w", err)
		}
		serving.Go(func() { s.greet(s.newStream(raw), serve) })
	}
}

// greet reads what a stream is for. One that does not say so in time, or says nothing sensible, is
// closed.
func (s *Session) greet(stream *Stream, serve func(protocol.Greeting, *Stream)) {
	var g protocol.Greeting
	err := stream.SetReadDeadline(time.Now().Add(greetingTimeout))
	if err == nil {
		err = protocol.ReadLine(stream.in, &g)
	}
	if err == nil {
		err = stream.SetReadDeadline(time.Time{})
	}
	if err == nil && g.Kind != kindReset {
		serve(g, stream)
		return
	}
	if err == nil {
		s.resetStream(g.Address)
		_, _ = stream.Read(make([]byte, 1)) // to its end
	}
	// There is nobody to tell: the other end has said all, has gone, or makes no sense.
	_ = stream.Close()
}

// resetStream makes writes to a stream fail. What the other end has written before can still be read.
func (s *Session) resetStream(number string) {
	id, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return
	}
	s.mu.Lock()
	h := s.streams[uint32(id)]
	s.mu.Unlock()
	if h != nil {
		h.notRead.Store(true)
		_ = h.raw.SetWriteDeadline(past) // wakes up whoever writes
	}
}

// Done is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.mux.CloseChan() }

// Ended reports whether the session has ended.
func (s *Session) Ended() bool { return s.mux.IsClosed() }

// Close ends the session and all its streams.
func (s *Session) Close() error { return s.mux.Close() }

// Ping asks whether the other end is there, and returns how long its answer took.
func (s *Session) Ping() (time.Duration, error) { return s.mux.Ping() }

// past is a deadline that has expired.
var past = time.Unix(1, 0)

// Stream is one of a session's. It is a net.Conn whose halves close on their own, as those of TCP
// do: CloseWrite leaves the reading half open, Close ends both.
type Stream struct {
	*yamux.Stream
	in *bufio.Reader
	// local and remote are the addresses it goes by, nil for the tunnel's.
	local, remote net.Addr
	*halves
}

// halves are what is known of a stream's.
type halves struct {
	session *Session
	raw     *yamux.Stream
	// closed says that this end has closed both, ended that the other end will not write any more,
	// notRead that it will not read any more.
	closed, ended, notRead atomic.Bool
}

func (s *Session) newStream(raw *yamux.Stream) *Stream {
	h := &halves{session: s, raw: raw}
	s.mu.Lock()
	s.streams[raw.StreamID()] = h
	s.mu.Unlock()
	// The buffer is for the first line. Longer reads go past it.
	return &Stream{Stream: raw, in: bufio.NewReaderSize(raw, 256), halves: h}
}

// Named returns the stream with the addresses that it stands for.
func (s *Stream) Named(local, remote net.Addr) *Stream {
	return &Stream{Stream: s.Stream, in: s.in, local: local, remote: remote, halves: s.halves}
}

// Lines is the reader from which a stream's lines are read, one by one, before the rest.
func (s *Stream) Lines() *bufio.Reader { return s.in }

// Read implements net.Conn. An expired deadline is os.ErrDeadlineExceeded: yamux's own error for it
// says that it is not temporary, and crypto/tls then takes the connection for dead, which net/http
// brings about after each request.
func (s *Stream) Read(p []byte) (int, error) {
	if s.closed.Load() {
		return 0, net.ErrClosed
	}
	n, err := s.in.Read(p)
	switch {
	case err == nil:
	case s.closed.Load():
		err = net.ErrClosed
	case errors.Is(err, yamux.ErrTimeout):
		err = os.ErrDeadlineExceeded
	default:
		if s.session.Ended() {
			err = ErrEnded // yamux says that the other end has closed the stream
		}
		s.ended.Store(true)
	}
	return n, err
}

// Write implements net.Conn.
func (s *Stream) Write(p []byte) (int, error) {
	if s.notRead.Load() {
		return 0, errNotRead
	}
	n, err := s.Stream.Write(p)
	switch {
	case err == nil:
	case s.closed.Load():
		err = net.ErrClosed
	case s.notRead.Load():
		err = errNotRead
	case errors.Is(err, yamux.ErrTimeout):
		err = os.ErrDeadlineExceeded
	}
	return n, err
}

// CloseWrite ends the writing half: the other end reads the end of the stream.
func (s *Stream) CloseWrite() error { return s.Stream.Close() }

// Close ends both halves. Whatever waits for a read is woken up, at the other end whatever waits for a
// write.
func (s *Stream) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.session.mu.Lock()
	delete(s.session.streams, s.StreamID())
	s.session.mu.Unlock()
	err := errors.Join(s.Stream.Close(), s.SetReadDeadline(past))
	if !s.ended.Load() && !s.session.Ended() {
		s.session.tellReset(s.StreamID())
	}
	return err
}

// tellReset tells the other end that a stream is not read any longer. If that fails, the tunnel has
// ended, and so has the stream.
func (s *Session) tellReset(id uint32) {
	raw, err := s.mux.OpenStream()
	if err != nil {
		return
	}
	_ = protocol.WriteLine(raw, protocol.Greeting{Kind: kindReset, Address: strconv.FormatUint(uint64(id), 10)})
	_ = raw.Close()
}

// LocalAddr implements net.Conn.
func (s *Stream) LocalAddr() net.Addr {
	if s.local != nil {
		return s.local
	}
	return s.Stream.LocalAddr()
}

// RemoteAddr implements net.Conn.
func (s *Stream) RemoteAddr() net.Addr {
	if s.remote != nil {
		return s.remote
	}
	return s.Stream.RemoteAddr()
}
