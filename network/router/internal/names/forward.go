package names

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	// upstreamTimeout is how long a resolver may take; a client asks again after five seconds.
	upstreamTimeout = 2500 * time.Millisecond
	// upstreamQuestions bounds how many questions are out at a time.
	upstreamQuestions = 512
)

var errNoResolver = errors.New("no resolver")

// upstream asks the engine's resolvers.
type upstream struct {
	servers []netip.AddrPort
	out     chan struct{}
}

func newUpstream(servers []netip.AddrPort) *upstream {
	return &upstream{servers: servers, out: make(chan struct{}, upstreamQuestions)}
}

// Resolvers reads the nameservers of a file like /etc/resolv.conf.
func Resolvers(file string) ([]netip.AddrPort, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read resolvers: %w", err)
	}
	defer f.Close()
	var list []netip.AddrPort
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 2 || words[0] != "nameserver" {
			continue
		}
		if a, err := netip.ParseAddr(words[1]); err == nil {
			list = append(list, netip.AddrPortFrom(a, 53))
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read resolvers: %w", err)
	}
	return list, nil
}

// begin takes one of the places for questions that are out; end gives it back. It does not wait: a
// client that is told so asks again.
func (u *upstream) begin() bool {
	select {
	case u.out <- struct{}{}:
		return true
	default:
		return false
	}
}

func (u *upstream) end() { <-u.out }

// ask sends a question to one resolver after the other until one answers. whole says that an answer
// which does not fit into a datagram is asked for again by TCP.
func (u *upstream) ask(ctx context.Context, question []byte, whole bool) ([]byte, error) {
	err := errNoResolver
	for _, server := range u.servers {
		var answer []byte
		if answer, err = exchange(ctx, "udp", server, question); err != nil {
			continue
		}
		const truncated = 0x02
		if whole && answer[2]&truncated != 0 {
			if full, err := exchange(ctx, "tcp", server, question); err == nil {
				return full, nil
			}
		}
		return answer, nil
	}
	return nil, err
}

// exchange sends a question and waits for its answer.
func exchange(ctx context.Context, network string, server netip.AddrPort, question []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, upstreamTimeout)
	defer cancel()
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, network, server.String())
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", server, err)
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	var answer []byte
	if network == "tcp" {
		answer, err = exchangeTCP(c, question)
	} else {
		answer, err = exchangeUDP(c, question)
	}
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", server, err)
	}
	return answer, nil
}

func exchangeUDP(c net.Conn, question []byte) ([]byte, error) {
	if _, err := c.Write(question); err != nil {
		return nil, err
	}
	buffer := buffers.Get().(*[largest]byte)
	defer buffers.Put(buffer)
	for {
		n, err := c.Read(buffer[:])
		if err != nil {
			return nil, err
		}
		if answers(buffer[:n], question) {
			return bytes.Clone(buffer[:n]), nil
		}
	}
}

// buffers are for one datagram each.
var buffers = sync.Pool{New: func() any { return new([largest]byte) }}

func exchangeTCP(c net.Conn, question []byte) ([]byte, error) {
	if _, err := c.Write(framed(question)); err != nil {
		return nil, err
	}
	answer, err := readFramed(c)
	if err != nil {
		return nil, err
	}
	if !answers(answer, question) {
		return nil, errors.New("the answer is to another question")
	}
	return answer, nil
}

// answers reports whether a packet is an answer to the question.
func answers(packet, question []byte) bool {
	const response = 0x80
	return len(packet) >= headSize && packet[0] == question[0] && packet[1] == question[1] && packet[2]&response != 0
}

// framed is a packet as TCP carries it: after its length.
func framed(packet []byte) []byte {
	return append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(packet)), uint16(len(packet))), packet...)
}

func readFramed(r io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	packet := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(r, packet)
	return packet, err
}

// resolve asks for the records of a name: the rest of an answer that begins with an alias.
func (u *upstream) resolve(ctx context.Context, q query, name string) (list []record, code dnsmessage.RCode) {
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: q.id, RecursionDesired: true})
	question := dnsmessage.Question{Name: nameOf(name), Type: q.question.Type, Class: dnsmessage.ClassINET}
	if b.StartQuestions() != nil || b.Question(question) != nil {
		return nil, dnsmessage.RCodeServerFailure
	}
	packet, err := b.Finish()
	if err != nil {
		return nil, dnsmessage.RCodeServerFailure
	}
	answer, err := u.ask(ctx, packet, true)
	if err != nil {
		return nil, dnsmessage.RCodeServerFailure
	}
	var parser dnsmessage.Parser
	head, err := parser.Start(answer)
	if err != nil || parser.SkipAllQuestions() != nil {
		return nil, dnsmessage.RCodeServerFailure
	}
	for {
		resource, err := parser.Answer()
		if err != nil {
			return list, head.RCode
		}
		list = append(list, record{resource.Header.Name.String(), resource.Body})
	}
}
