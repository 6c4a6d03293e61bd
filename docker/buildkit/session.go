package buildkit

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"
)

// Session is the connection on which a build asks its client for what only that has: the credentials of
// registries and the build's secrets. It is gRPC with the roles turned around; no more than calls of one
// message and one answer are asked for, so a handler of HTTP/2 serves them.
type Session struct {
	// ID names it in the request to build.
	ID string
	// Credentials are those of a registry by its host, empty for none.
	Credentials func(ctx context.Context, host string) (user, secret string, err error)
	// Secrets are the build's, by ID.
	Secrets map[string][]byte
}

// NewSession is a session with a name of its own.
func NewSession() *Session { return &Session{ID: rand.Text()} }

// The methods by their paths.
const (
	credentialsMethod = "/moby.filesync.v1.Auth/Credentials"
	secretMethod      = "/moby.buildkit.secrets.v1.Secrets/GetSecret" //nolint:gosec // a method's name
	healthMethod      = "/grpc.health.v1.Health/Check"
)

// Headers introduce the session to the engine, in the request that opens the connection.
func (s *Session) Headers() map[string][]string {
	return map[string][]string{
		"X-Docker-Expose-Session-Uuid":        {s.ID},
		"X-Docker-Expose-Session-Name":        {"skiff"},
		"X-Docker-Expose-Session-Sharedkey":   {""},
		"X-Docker-Expose-Session-Grpc-Method": {credentialsMethod, secretMethod, healthMethod},
	}
}

// Serve answers what the engine asks, until the connection ends.
func (s *Session) Serve(ctx context.Context, conn net.Conn) {
	l := &single{conn: make(chan net.Conn, 1), closed: make(chan struct{}), addr: conn.LocalAddr()}
	// What the server takes for TLS, it expects to agree on HTTP/2 in TLS's handshake; the engine's has long been made.
	l.conn <- struct{ net.Conn }{conn}
	server := &http.Server{
		Handler: http.HandlerFunc(s.serve), BaseContext: func(net.Listener) context.Context { return ctx }, Protocols: new(http.Protocols),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				_ = l.Close() // never fails
			}
		},
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // the build tells what comes of a broken session
	}
	server.Protocols.SetUnencryptedHTTP2(true)
	_ = server.Serve(l) // it ends when the listener does
}

// single is a listener to which one connection comes, and which ends with it.
type single struct {
	conn   chan net.Conn
	closed chan struct{}
	once   sync.Once
	addr   net.Addr
}

func (l *single) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *single) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *single) Addr() net.Addr { return l.addr }

// refusal is a gRPC error.
type refusal struct {
	code codes.Code
	text string
}

func (r refusal) Error() string { return r.text }

// serve answers one call.
func (s *Session) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/grpc")
	answer, err := s.call(r)
	if err == nil {
		err = writeMessage(w, answer)
	}
	code, text := codes.OK, ""
	if err != nil {
		code, text = codes.Internal, err.Error()
		var known refusal
		if errors.As(err, &known) {
			code = known.code
		}
	}
	w.Header().Set(http.TrailerPrefix+"Grpc-Status", strconv.Itoa(int(code)))
	w.Header().Set(http.TrailerPrefix+"Grpc-Message", url.PathEscape(text))
}

func (s *Session) call(r *http.Request) ([]byte, error) {
	message, err := readMessage(r.Body)
	if err != nil {
		return nil, err
	}
	switch r.URL.Path {
	case healthMethod:
		return protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 1), nil // SERVING
	case credentialsMethod:
		return s.credentials(r.Context(), message)
	case secretMethod:
		return s.secret(message)
	}
	return nil, refusal{codes.Unimplemented, "skiff does not serve " + r.URL.Path}
}

func (s *Session) credentials(ctx context.Context, message []byte) ([]byte, error) {
	host, err := readString(message, 1)
	if err != nil || s.Credentials == nil {
		return nil, err
	}
	user, secret, err := s.Credentials(ctx, host)
	if err != nil {
		return nil, err
	}
	return appendString(appendString(nil, 1, user), 2, secret), nil
}

func (s *Session) secret(message []byte) ([]byte, error) {
	id, err := readString(message, 1)
	if err != nil {
		return nil, err
	}
	value, found := s.Secrets[id]
	if !found {
		return nil, refusal{codes.NotFound, "the build has no secret " + id}
	}
	return appendString(nil, 1, string(value)), nil
}

// readString is a field of a message that is a text.
func readString(message []byte, number protowire.Number) (text string, err error) {
	err = eachField(message, func(f field) error {
		if f.number == number {
			text = string(f.bytes)
		}
		return nil
	})
	return text, err
}

func appendString(message []byte, number protowire.Number, text string) []byte {
	return protowire.AppendString(protowire.AppendTag(message, number, protowire.BytesType), text)
}

// maxMessage bounds what is read of a call, in bytes.
const maxMessage = 4 << 20

// readMessage reads the one message of a call: a flag that says whether it is compressed, its size, and
// itself (gRPC over HTTP/2, "Length-Prefixed-Message").
func readMessage(from io.Reader) ([]byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return nil, fmt.Errorf("reading a call: %w", err)
	}
	size := binary.BigEndian.Uint32(head[1:])
	if head[0] != 0 || size > maxMessage {
		return nil, refusal{codes.Unimplemented, "compressed or oversized messages are not read"}
	}
	message := make([]byte, size)
	if _, err := io.ReadFull(from, message); err != nil {
		return nil, fmt.Errorf("reading a call: %w", err)
	}
	return message, nil
}

func writeMessage(to io.Writer, message []byte) error {
	head := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	_, err := to.Write(append(head, message...))
	return err
}
