package streams

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"

	"golang.org/x/net/websocket"
	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// serveTunnel opens a WebSocket and hands serve a request for SPDY whose connection runs within it:
// each message carries a piece of the SPDY connection's bytes.
// https://github.com/kubernetes/enhancements/tree/master/keps/sig-api-machinery/4006-transition-spdy-to-websockets
func serveTunnel(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) {
	websocket.Server{
		Handshake: chooseTunnel,
		Handler: func(ws *websocket.Conn) {
			ws.PayloadType = websocket.BinaryFrame
			serve(&tunnelWriter{conn: ws, header: http.Header{}}, asSPDY(r))
		},
	}.ServeHTTP(w, r)
}

// chooseTunnel picks the one protocol that can be tunnelled.
func chooseTunnel(config *websocket.Config, _ *http.Request) error {
	for _, offered := range config.Protocol {
		if strings.TrimSpace(offered) == portforward.WebsocketsSPDYTunnelingPortForwardV1 {
			config.Protocol = []string{offered}
			return nil
		}
	}
	return fmt.Errorf("requested protocol(s) are not supported: %v; supports %v", config.Protocol, portforward.WebsocketsSPDYTunnelingPortForwardV1)
}

// asSPDY is the request that a client without tunnel would have made.
func asSPDY(r *http.Request) *http.Request {
	out := r.Clone(r.Context())
	out.Method = http.MethodPost
	for name := range out.Header {
		if strings.HasPrefix(name, "Sec-Websocket-") {
			out.Header.Del(name)
		}
	}
	out.Header.Set(httpstream.HeaderConnection, httpstream.HeaderUpgrade)
	out.Header.Set(httpstream.HeaderUpgrade, spdy.HeaderSpdy31)
	out.Header.Set(httpstream.HeaderProtocolVersion, portforward.ProtocolV1Name)
	return out
}

// tunnelWriter answers a request made within a tunnel. The tunnel's own handshake told the client
// that it is through, so the answer to the request goes nowhere.
type tunnelWriter struct {
	conn   net.Conn
	header http.Header
}

// Header implements http.ResponseWriter.
func (t *tunnelWriter) Header() http.Header { return t.header }

// Write implements http.ResponseWriter.
func (t *tunnelWriter) Write(p []byte) (int, error) { return len(p), nil }

// WriteHeader implements http.ResponseWriter.
func (t *tunnelWriter) WriteHeader(int) {}

// Hijack implements http.Hijacker.
func (t *tunnelWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn := &tied{Conn: t.conn, lost: func() {}}
	return conn, bufio.NewReadWriter(bufio.NewReader(conn), bufio.NewWriter(conn)), nil
}
