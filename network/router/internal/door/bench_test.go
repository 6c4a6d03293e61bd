package door

import (
	"encoding/json"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"runtime/debug"
	"testing"

	"skiff/network/protocol"
)

// said first on each connection, as the daemon does.
type daemonListener struct{ net.Listener }

func (l daemonListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &daemonConn{Conn: c, line: []byte("PROXY TCP4 127.0.0.1 127.0.0.1 51234 80\r\n")}, nil
}

type daemonConn struct {
	net.Conn
	line []byte
}

func (c *daemonConn) Read(p []byte) (int, error) {
	if len(c.line) > 0 {
		n := copy(p, c.line)
		c.line = c.line[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// TestServeForWrk serves until it is interrupted, for load generators that know no PROXY line:
//
//	DOOR_SERVE=127.0.0.1:18096 DOOR_BACKEND=127.0.0.1:18081 go test -run TestServeForWrk
func TestServeForWrk(t *testing.T) {
	at := os.Getenv("DOOR_SERVE")
	if at == "" {
		t.Skip("DOOR_SERVE is not set")
	}
	debug.SetGCPercent(gcPercent)
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	backend := protocol.Backend{Service: protocol.Key{Namespace: "shop", Name: "web"}, To: []netip.AddrPort{netip.MustParseAddrPort(os.Getenv("DOOR_BACKEND"))}}
	in, out := io.Pipe()
	go func() {
		_ = json.NewEncoder(out).Encode(protocol.Door{Sites: []protocol.Site{{Host: "", Title: "bench", Paths: []protocol.Path{{Path: "/", Backend: backend}}}}})
	}()
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt)
	defer stop()
	if err := Run(ctx, in, daemonListener{l}, Options{}); err != nil {
		t.Fatal(err)
	}
}
