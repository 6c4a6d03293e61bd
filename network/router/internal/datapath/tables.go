//go:build linux

package datapath

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"skiff/network/protocol"
	"skiff/network/router/internal/netlink"
	"skiff/network/router/internal/state"
)

// Tables is the data path in nftables. It is not safe for concurrent use, but for Run.
type Tables struct {
	conn *netlink.Conn
	// atOnce is how large a transaction may be, in bytes.
	atOnce int
	memory bool

	// base is what the table was made of.
	base   string
	places *places
	ledger *ledger
	flows  *flows
}

// Open makes the table anew, without services and nodes, which drops nothing that the kernel knows of
// connections. It fails where the kernel lacks what it takes.
func Open(c *protocol.Config) (*Tables, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, err
	}
	t := &Tables{conn: conn, atOnce: min(conn.SendBuffer()/3, 256<<10), flows: newFlows()}
	if err := t.reset(c); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	var probe encoder
	encodeProbe(&probe)
	t.memory = t.commit(&probe) == nil
	return t, nil
}

// Close leaves the table as it is.
func (t *Tables) Close() error { return t.conn.Close() }

func (t *Tables) reset(c *protocol.Config) error {
	var e encoder
	encodeBase(&e, c)
	if err := t.commit(&e); err != nil {
		return fmt.Errorf("make table %s: %w", table, err)
	}
	t.base, t.places, t.ledger = baseText(c), nil, newLedger()
	return nil
}

// Apply brings a change of the state in force. Problems has the services that it looked at: nil for
// those that are in force, and why for those that are not, or not quite. They are as they were before.
func (t *Tables) Apply(s *state.State, change state.Change) (problems map[protocol.Key]error, err error) {
	if t.base != baseText(s.Config) {
		if err := t.reset(s.Config); err != nil {
			return nil, err
		}
	}
	keys := slices.Clone(change.Services)
	cause := ""
	anew := t.places == nil
	placed := placesOf(s.Nodes)
	if anew || change.Nodes {
		p := planPlaces(s.Config, t.places, placed)
		var e encoder
		p.encode(&e)
		if err := t.commit(&e); err != nil {
			return nil, fmt.Errorf("nodes: %w", err)
		}
		t.places = placed
	}
	switch {
	case anew:
		keys, cause = slices.SortedFunc(maps.Keys(s.Services), state.CompareKeys), "all is new"
	case change.Nodes:
		keys = withPlaced(keys, s)
	}
	around := surroundingsOf(s.Nodes, t.memory)
	plans, problems := t.ledger.plan(&around, s.Services, keys, cause)
	t.execute(plans, problems)
	t.flows.changed(s, plans)
	return problems, nil
}

// withPlaced adds the services for which it matters where a client or a node is.
func withPlaced(keys []protocol.Key, s *state.State) []protocol.Key {
	for _, key := range slices.SortedFunc(maps.Keys(s.Services), state.CompareKeys) {
		placed := func(p protocol.Port) bool { return len(p.From)+len(p.At) > 0 }
		if slices.ContainsFunc(s.Services[key].Ports, placed) && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// execute carries out plans, many in a transaction. If one fails, each of its services gets one of its
// own, so that one doesn't spoil the others.
func (t *Tables) execute(plans []servicePlan, problems map[protocol.Key]error) {
	for len(plans) > 0 {
		var e encoder
		n := 0
		for n < len(plans) && (n == 0 || e.size < t.atOnce) {
			plans[n].encode(&e)
			n++
		}
		err := t.commit(&e)
		if err == nil {
			for _, p := range plans[:n] {
				t.done(p)
			}
		} else if n == 1 {
			problems[plans[0].key] = fmt.Errorf("nftables: %w", err)
		} else {
			for _, p := range plans[:n] {
				t.execute([]servicePlan{p}, problems)
			}
		}
		plans = plans[n:]
	}
}

func (p servicePlan) encode(e *encoder) {
	for _, s := range p.steps {
		s.encode(e)
	}
}

// done notes what is in force, and lets clients forget endpoints that are gone. That comes after: until
// then the rule may still choose them. A client that can't be made to forget only loses its affinity.
func (t *Tables) done(p servicePlan) {
	t.ledger.done(p)
	for _, s := range p.steps {
		if s.action == forget {
			_ = t.forget(s)
		}
	}
}

func (t *Tables) forget(s step) error {
	body := netlink.Attributes{unix.NFPROTO_IPV4, unix.NFNETLINK_V0, 0, 0}
	body.String(unix.NFTA_SET_ELEM_LIST_TABLE, table)
	body.String(unix.NFTA_SET_ELEM_LIST_SET, s.chain)
	var gone [][]byte
	err := t.conn.Dump(netlink.Message{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETSETELEM, Body: body}, func(m netlink.Message) error {
		return elementsOf(m, func(e element) {
			if to, ok := origin(e.data); ok && !slices.Contains(s.endpoints, to) {
				gone = append(gone, slices.Clone(e.key))
			}
		})
	})
	if err != nil {
		return fmt.Errorf("list clients of %s: %w", s.chain, err)
	}
	for _, key := range gone { // one may have been forgotten by itself meanwhile
		var e encoder
		e.deleteElements(named(s.chain), [][]byte{key})
		if err := t.commit(&e); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("forget clients of %s: %w", s.chain, err)
		}
	}
	return nil
}

// elementsOf calls visit for each element in a message.
func elementsOf(m netlink.Message, visit func(element)) error {
	const head = 4
	if len(m.Body) < head {
		return nil
	}
	return netlink.Each(m.Body[head:], func(kind uint16, list []byte) error {
		if kind != unix.NFTA_SET_ELEM_LIST_ELEMENTS {
			return nil
		}
		return netlink.Each(list, func(_ uint16, item []byte) error {
			var e element
			err := netlink.Each(item, func(kind uint16, data []byte) error {
				part := &e.key
				switch kind {
				case unix.NFTA_SET_ELEM_KEY:
				case unix.NFTA_SET_ELEM_DATA:
					part = &e.data
				default:
					return nil
				}
				return netlink.Each(data, func(_ uint16, value []byte) error { *part = value; return nil })
			})
			if err == nil {
				visit(e)
			}
			return err
		})
	})
}

// commit carries out a transaction. After an error the socket may have answers left that nobody waits
// for: it is replaced.
func (t *Tables) commit(e *encoder) error {
	if len(e.messages) == 0 {
		return nil
	}
	err := t.conn.Batch(e.transaction())
	if err == nil {
		return nil
	}
	var refused *netlink.MessageError
	if !errors.As(err, &refused) {
		if conn, dialErr := netlink.Dial(unix.NETLINK_NETFILTER); dialErr == nil {
			_ = t.conn.Close() // it is of no use any longer
			t.conn = conn
		}
	}
	return err
}
