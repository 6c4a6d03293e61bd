package names

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	// idle is how long a client may keep a connection without a question.
	idle = 10 * time.Second
	// connections bounds how many clients may be connected at a time.
	connections = 256
	// readers is how many goroutines answer datagrams.
	readers = 2
)

// Server answers questions at one address.
type Server struct {
	packets  packets
	upstream *upstream
}

// NewServer returns a server that answers from the index, and asks resolvers for the rest.
func NewServer(index *Index, resolvers []netip.AddrPort) *Server {
	return &Server{packets: packets{index: index}, upstream: newUpstream(resolvers)}
}

// Listener is where a server listens.
type Listener struct {
	udp *net.UDPConn
	tcp *net.TCPListener
}

// Listen opens an address's port by UDP and TCP.
func Listen(ctx context.Context, at netip.AddrPort) (*Listener, error) {
	udp, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, fmt.Errorf("dns: %w", err)
	}
	bound := udp.LocalAddr().(*net.UDPAddr).AddrPort()
	tcp, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(bound))
	if err != nil {
		return nil, fmt.Errorf("dns: %w", errors.Join(err, udp.Close()))
	}
	return &Listener{udp, tcp}, nil
}

// Close closes it, for one that no server runs at.
func (l *Listener) Close() error { return errors.Join(l.udp.Close(), l.tcp.Close()) }

// Addr is the address.
func (l *Listener) Addr() netip.AddrPort { return l.tcp.Addr().(*net.TCPAddr).AddrPort() }

// Run answers until ctx ends. It returns when nobody is being answered any longer.
func (s *Server) Run(ctx context.Context, l *Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		_ = l.udp.Close()
		_ = l.tcp.Close()
	})
	defer stop()
	var serving sync.WaitGroup
	defer serving.Wait()
	for range readers {
		serving.Go(func() { s.serveUDP(ctx, &serving, l.udp) })
	}
	places := make(chan struct{}, connections)
	for {
		c, err := l.tcp.AcceptTCP()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			cancel()
			return fmt.Errorf("dns: %w", err)
		}
		select {
		case places <- struct{}{}:
			serving.Go(func() {
				defer func() { <-places }()
				s.serveTCP(ctx, c)
			})
		default:
			_ = c.Close()
		}
	}
}

func (s *Server) serveUDP(ctx context.Context, serving *sync.WaitGroup, c *net.UDPConn) {
	buffer := make([]byte, largest)
	for {
		n, from, err := c.ReadFromUDPAddrPort(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // about an earlier answer
		}
		out, todo, q, r := s.packets.answer(buffer[:n], true)
		if todo == forward || todo == chase {
			packet := append([]byte(nil), buffer[:n]...)
			if s.upstream.begin() {
				serving.Go(func() {
					defer s.upstream.end()
					send(c, s.rest(ctx, packet, todo, q, r, false), from)
				})
				continue
			}
			out = q.fail(dnsmessage.RCodeServerFailure)
		}
		send(c, out, from)
	}
}

// send sends an answer, if there is one. A client that it does not reach asks again.
func send(c *net.UDPConn, packet []byte, to netip.AddrPort) {
	if packet != nil {
		_, _ = c.WriteToUDPAddrPort(packet, to)
	}
}

// rest gets from the resolvers what is missing.
func (s *Server) rest(ctx context.Context, packet []byte, todo verdict, q query, r result, whole bool) []byte {
	if todo == forward {
		answer, err := s.upstream.ask(ctx, packet, whole)
		if err != nil {
			return q.fail(dnsmessage.RCodeServerFailure)
		}
		return answer
	}
	list, code := s.upstream.resolve(ctx, q, r.alias)
	r.answers = append(r.answers[:len(r.answers):len(r.answers)], list...)
	r.code = code
	return s.packets.finish(q, r)
}

func (s *Server) serveTCP(ctx context.Context, c *net.TCPConn) {
	defer func() { _ = c.Close() }() // all is said
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	for {
		if c.SetDeadline(time.Now().Add(idle)) != nil {
			return
		}
		packet, err := readFramed(c)
		if err != nil {
			return
		}
		out, todo, q, r := s.packets.answer(packet, false)
		if todo == forward || todo == chase {
			if s.upstream.begin() {
				out = s.rest(ctx, packet, todo, q, r, true)
				s.upstream.end()
			} else {
				out = q.fail(dnsmessage.RCodeServerFailure)
			}
		}
		if out == nil {
			return
		}
		if _, err := c.Write(framed(out)); err != nil {
			return
		}
	}
}
