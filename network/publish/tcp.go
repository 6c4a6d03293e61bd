package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"skiff/network/tunnel"
)

// dialTimeout is how long the pods' network may take to take a connection.
const dialTimeout = 10 * time.Second

// acceptPause is how long to wait when no connection can be accepted, for want of files for example.
const acceptPause = 50 * time.Millisecond

func (p *Publisher) listenTCP(l *listener) error {
	open, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(l.port.At))
	if err != nil {
		return err
	}
	l.close = open.Close
	p.group.Go(func() { p.acceptTCP(open, l) })
	return nil
}

func (p *Publisher) acceptTCP(open *net.TCPListener, l *listener) {
	for {
		conn, err := open.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			p.log.Warn("connection not accepted", "port", l.port, "error", err)
			wait(p.ctx, acceptPause)
			continue
		}
		p.group.Go(func() { p.forward(conn, l) })
	}
}

// forward joins a connection with one into the pods' network. Where there is none to be had, the
// caller's is reset, as if nobody listened.
func (p *Publisher) forward(conn *net.TCPConn, l *listener) {
	ctx, cancel := context.WithTimeout(p.ctx, dialTimeout)
	to, err := p.dial(ctx, "tcp", l.target())
	cancel()
	if err != nil {
		p.log.Debug("connection not forwarded", "port", l.port, "error", err)
		_ = conn.SetLinger(0)
		_ = conn.Close()
		return
	}
	if l.port.Proxy {
		if _, err := io.WriteString(to, proxyLine(conn)); err != nil {
			p.log.Debug("connection not forwarded", "port", l.port, "error", err)
		}
	}
	tunnel.Join(p.ctx, conn, to)
}

// proxyLine is the line of the PROXY protocol for a connection.
func proxyLine(conn net.Conn) string {
	from, to := addrPort(conn.RemoteAddr()), addrPort(conn.LocalAddr())
	family := "TCP4"
	if from.Addr().Is6() {
		family = "TCP6"
	}
	return fmt.Sprintf("PROXY %s %s %s %d %d\r\n", family, from.Addr(), to.Addr(), from.Port(), to.Port())
}

func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	at := tcp.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

func wait(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}
