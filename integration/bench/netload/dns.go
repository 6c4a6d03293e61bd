package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"skiff/integration/bench/netload/report"
)

// queries asks for the address of a name, by UDP, over a socket for each worker.
func queries(ctx context.Context, l load) (report.Report, error) {
	return work(ctx, l, func() (worker, error) {
		r, err := newResolver(l)
		if err != nil {
			return worker{}, err
		}
		return worker{close: func() { _ = r.conn.Close() }, do: func() error {
			_, err := r.ask()
			return err
		}}, nil
	})
}

// resolver asks one question again and again. Nothing is asked twice for want of an answer.
type resolver struct {
	load
	conn     net.Conn
	question dnsmessage.Question
	buf      [1232]byte
}

// ids makes every query's number another, whoever asks.
var ids atomic.Uint32

func newResolver(l load) (*resolver, error) {
	if l.to == "" {
		server, err := nameserver()
		if err != nil {
			return nil, err
		}
		l.to = server
	}
	name, err := dnsmessage.NewName(strings.TrimSuffix(l.name, ".") + ".")
	if err != nil {
		return nil, fmt.Errorf("name %q: %w", l.name, err)
	}
	c, err := net.Dial("udp", l.to)
	if err != nil {
		return nil, err
	}
	return &resolver{load: l, conn: c, question: dnsmessage.Question{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}, nil
}

// nameserver is the first one of resolv.conf.
func nameserver() (string, error) {
	f, err := os.Open("/etc/resolv.conf")
	if err != nil {
		return "", err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if w := strings.Fields(s.Text()); len(w) == 2 && w[0] == "nameserver" {
			return net.JoinHostPort(w[1], "53"), nil
		}
	}
	return "", fmt.Errorf("/etc/resolv.conf names no server")
}

// ask returns the first address that the name has.
func (r *resolver) ask() (netip.Addr, error) {
	id := uint16(ids.Add(1))
	b := dnsmessage.NewBuilder(r.buf[:0], dnsmessage.Header{ID: id, RecursionDesired: true})
	if err := b.StartQuestions(); err != nil {
		return netip.Addr{}, err
	}
	if err := b.Question(r.question); err != nil {
		return netip.Addr{}, err
	}
	q, err := b.Finish()
	if err != nil {
		return netip.Addr{}, err
	}
	if err := r.conn.SetDeadline(time.Now().Add(r.timeout)); err != nil {
		return netip.Addr{}, err
	}
	if _, err := r.conn.Write(q); err != nil {
		return netip.Addr{}, err
	}
	for {
		n, err := r.conn.Read(r.buf[:])
		if err != nil {
			return netip.Addr{}, err
		}
		if a, mine, err := answer(r.buf[:n], id); mine || err != nil {
			return a, err
		}
	}
}

// answer reads an answer; mine says that it is to the query of that number.
func answer(packet []byte, id uint16) (a netip.Addr, mine bool, err error) {
	var p dnsmessage.Parser
	h, err := p.Start(packet)
	if err != nil || h.ID != id {
		return a, false, err
	}
	if h.RCode != dnsmessage.RCodeSuccess {
		return a, true, fmt.Errorf("answered with %s", h.RCode)
	}
	if err := p.SkipAllQuestions(); err != nil {
		return a, true, err
	}
	for {
		h, err := p.AnswerHeader()
		if err != nil {
			return a, true, fmt.Errorf("no address: %w", err)
		}
		if h.Type != dnsmessage.TypeA {
			if err := p.SkipAnswer(); err != nil {
				return a, true, err
			}
			continue
		}
		r, err := p.AResource()
		return netip.AddrFrom4(r.A), true, err
	}
}
