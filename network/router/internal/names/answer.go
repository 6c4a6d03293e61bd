package names

import (
	"encoding/binary"
	"sort"
	"strings"
	"sync/atomic"

	"golang.org/x/net/dns/dnsmessage"
)

// Times to live, in seconds.
const (
	ttl         = 5
	negativeTTL = 1
)

const (
	headSize = 12
	// smallest is how large an answer by UDP may be for a client that says nothing of it, largest for
	// any (RFC 6891).
	smallest = 512
	largest  = 4096
	// class and types that dnsmessage does not name.
	classAny     = dnsmessage.Class(255)
	typeIXFR     = dnsmessage.Type(251)
	optVersion0  = 0
	badVersion   = dnsmessage.RCode(16)
	maxTCPLength = 0xffff
)

// query is a question that has been understood.
type query struct {
	id       uint16
	recurse  bool
	question dnsmessage.Question
	// edns says that the client knows EDNS, and limit how large an answer may be.
	edns  bool
	limit int
}

// verdict is what is to be done with a packet.
type verdict int

const (
	ignore  verdict = iota // nothing: it is no question
	reply                  // the answer is there
	forward                // others know
	chase                  // others know the rest
)

// packets answers packets from an index.
type packets struct {
	index *Index
	turn  atomic.Uint32
}

// answer answers a packet by itself, as far as it can. For chase, r is what there is of the answer, and
// finish makes one of it.
func (p *packets) answer(packet []byte, udp bool) (out []byte, todo verdict, q query, r result) {
	if len(packet) < headSize {
		return nil, ignore, q, r
	}
	q, code, ok := parse(packet, udp)
	if !ok {
		return nil, ignore, q, r
	}
	if code != dnsmessage.RCodeSuccess {
		return q.fail(code), reply, q, r
	}
	r, ours := p.index.lookup(q.question.Name.String(), q.question.Type)
	switch {
	case q.question.Type == dnsmessage.TypeAXFR || q.question.Type == typeIXFR:
		return q.fail(dnsmessage.RCodeRefused), reply, q, r
	case !ours:
		return nil, forward, q, r
	case q.question.Class != dnsmessage.ClassINET && q.question.Class != classAny:
		return q.fail(dnsmessage.RCodeRefused), reply, q, r
	case r.alias != "":
		return nil, chase, q, r
	}
	return p.finish(q, r), reply, q, r
}

// parse reads a question. ok is false for what is none; code says what is wrong with it.
func parse(packet []byte, udp bool) (q query, code dnsmessage.RCode, ok bool) {
	var parser dnsmessage.Parser
	head, err := parser.Start(packet)
	if err != nil || head.Response {
		return q, 0, false
	}
	q = query{id: head.ID, recurse: head.RecursionDesired, limit: maxTCPLength}
	if udp {
		q.limit = smallest
	}
	if head.OpCode != 0 {
		return q, dnsmessage.RCodeNotImplemented, true
	}
	if binary.BigEndian.Uint16(packet[4:]) != 1 {
		return q, dnsmessage.RCodeFormatError, true
	}
	question, err := parser.Question()
	if err != nil {
		return q, dnsmessage.RCodeFormatError, true
	}
	q.question = question
	if parser.SkipAllQuestions() != nil || parser.SkipAllAnswers() != nil || parser.SkipAllAuthorities() != nil {
		return q, dnsmessage.RCodeFormatError, true
	}
	for {
		head, err := parser.AdditionalHeader()
		if err == dnsmessage.ErrSectionDone { //nolint:errorlint // the parser returns this very value
			return q, dnsmessage.RCodeSuccess, true
		}
		if err != nil || parser.SkipAdditional() != nil {
			return q, dnsmessage.RCodeFormatError, true
		}
		if head.Type != dnsmessage.TypeOPT {
			continue
		}
		q.edns = true
		if udp {
			q.limit = max(smallest, min(int(head.Class), largest))
		}
		if head.TTL>>16&0xff != optVersion0 {
			return q, badVersion, true
		}
	}
}

// finish makes the packet of an answer.
func (p *packets) finish(q query, r result) []byte {
	if out := q.pack(r, len(r.answers), true, false); out == nil { // a record that can't be said
		return q.fail(dnsmessage.RCodeServerFailure)
	} else if len(r.answers) == 0 {
		return out
	}
	// A client takes the first: they take turns. Aliases stay before what they are for.
	aliases := 0
	for aliases < len(r.answers) {
		if _, ok := r.answers[aliases].body.(*dnsmessage.CNAMEResource); !ok {
			break
		}
		aliases++
	}
	if rest := r.answers[aliases:]; len(rest) > 1 {
		k := int(p.turn.Add(1)) % len(rest)
		turned := append(append(append(make([]record, 0, len(r.answers)), r.answers[:aliases]...), rest[k:]...), rest[:k]...)
		r.answers = turned
	}
	if out := q.pack(r, len(r.answers), true, false); len(out) <= q.limit {
		return out
	}
	// Additional records may be left out; answers may not, without saying so.
	if out := q.pack(r, len(r.answers), false, false); len(out) <= q.limit {
		return out
	}
	fits := sort.Search(len(r.answers), func(n int) bool { return len(q.pack(r, n+1, false, true)) > q.limit })
	return q.pack(r, fits, false, true)
}

// fail is an answer that says only what went wrong.
func (q query) fail(code dnsmessage.RCode) []byte {
	return q.pack(result{code: code}, 0, false, false)
}

// pack makes a packet with the first n answers. It is nil if a record can't be packed.
func (q query) pack(r result, n int, additional, truncated bool) []byte {
	b := dnsmessage.NewBuilder(make([]byte, 0, smallest), dnsmessage.Header{
		ID: q.id, Response: true, Authoritative: r.zone != "", RecursionDesired: q.recurse, RecursionAvailable: true,
		Truncated: truncated, RCode: r.code & 0xf,
	})
	b.EnableCompression()
	ok := b.StartQuestions() == nil
	if q.question.Name.Length > 0 {
		ok = ok && b.Question(q.question) == nil
	}
	ok = ok && b.StartAnswers() == nil
	for _, record := range r.answers[:n] {
		ok = ok && q.add(&b, record, ttl)
	}
	ok = ok && b.StartAuthorities() == nil
	if n == 0 && r.zone != "" && !truncated {
		ok = ok && q.add(&b, authority(r.zone), negativeTTL)
	}
	ok = ok && b.StartAdditionals() == nil
	if additional {
		for _, record := range r.additional {
			ok = ok && q.add(&b, record, ttl)
		}
	}
	if q.edns {
		var head dnsmessage.ResourceHeader
		ok = ok && head.SetEDNS0(largest, r.code, false) == nil
		ok = ok && b.OPTResource(head, dnsmessage.OPTResource{}) == nil
	}
	out, err := b.Finish()
	if err != nil || !ok {
		return nil
	}
	return out
}

// add appends a record to the section that the builder is at.
func (q query) add(b *dnsmessage.Builder, r record, ttl uint32) bool {
	head := dnsmessage.ResourceHeader{Name: q.question.Name, Class: dnsmessage.ClassINET, TTL: ttl}
	if r.name != "" && !strings.EqualFold(r.name, q.question.Name.String()) {
		name, err := dnsmessage.NewName(r.name)
		if err != nil {
			return false
		}
		head.Name = name
	}
	var err error
	switch body := r.body.(type) {
	case *dnsmessage.AResource:
		err = b.AResource(head, *body)
	case *dnsmessage.AAAAResource:
		err = b.AAAAResource(head, *body)
	case *dnsmessage.CNAMEResource:
		err = b.CNAMEResource(head, *body)
	case *dnsmessage.NSResource:
		err = b.NSResource(head, *body)
	case *dnsmessage.PTRResource:
		err = b.PTRResource(head, *body)
	case *dnsmessage.SOAResource:
		err = b.SOAResource(head, *body)
	case *dnsmessage.SRVResource:
		err = b.SRVResource(head, *body)
	case *dnsmessage.TXTResource:
		err = b.TXTResource(head, *body)
	case *dnsmessage.MXResource:
		err = b.MXResource(head, *body)
	case *dnsmessage.UnknownResource:
		head.Type = body.Type
		err = b.UnknownResource(head, *body)
	}
	return err == nil
}
