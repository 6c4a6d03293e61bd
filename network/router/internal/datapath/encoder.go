//go:build linux

package datapath

import (
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"

	"skiff/network/router/internal/netlink"
)

// Types of keys and data, which only nft reads (include/datatype.h of nftables). Those of several
// parts have six bits for each.
const (
	typeAddress  = 7
	typeProtocol = 12
	typePort     = 13
	typeEndpoint = typeAddress<<6 | typePort
	typeTarget   = typeAddress<<12 | typeProtocol<<6 | typePort
	typeNodePort = typeProtocol<<6 | typePort
	typeVerdict  = unix.NFT_DATA_VERDICT
)

const (
	// elementsAtOnce is how many elements a message has: an attribute is 64 KiB at most.
	elementsAtOnce = 500
	// rememberedClients bounds a map of clients.
	rememberedClients = 1 << 16
)

// element is a set's or, with data, a map's. verdictElement is one of a map of verdicts.
type element struct{ key, data []byte }

type verdictElement struct {
	key []byte
	verdict
}

// encoder makes one transaction.
type encoder struct {
	messages []netlink.Message
	size     int
	// sets counts the sets of this transaction.
	sets uint32
}

// message adds a message about the table.
func (e *encoder) message(kind, flags uint16, fill func(*netlink.Attributes)) {
	e.sized(kind, flags, 128, fill)
}

// sized adds a message that is about so large.
func (e *encoder) sized(kind, flags uint16, size int, fill func(*netlink.Attributes)) {
	body := append(make(netlink.Attributes, 0, size), unix.NFPROTO_IPV4, unix.NFNETLINK_V0, 0, 0)
	fill(&body)
	e.messages = append(e.messages, netlink.Message{
		Type: unix.NFNL_SUBSYS_NFTABLES<<8 | kind, Flags: unix.NLM_F_REQUEST | flags, Body: body,
	})
	e.size += unix.SizeofNlMsghdr + len(body)
}

// transaction is the whole batch: it is carried out as a whole or not at all. The last message before
// its end asks for an answer, which comes when all is in force.
func (e *encoder) transaction() []netlink.Message {
	head := binary.BigEndian.AppendUint16([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0}, unix.NFNL_SUBSYS_NFTABLES)
	batch := make([]netlink.Message, 0, len(e.messages)+2)
	batch = append(batch, netlink.Message{Type: unix.NFNL_MSG_BATCH_BEGIN, Flags: unix.NLM_F_REQUEST, Body: head})
	batch = append(batch, e.messages...)
	batch[len(batch)-1].Flags |= unix.NLM_F_ACK
	return append(batch, netlink.Message{Type: unix.NFNL_MSG_BATCH_END, Flags: unix.NLM_F_REQUEST, Body: head})
}

func (e *encoder) addTable(name string) {
	e.message(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE, func(a *netlink.Attributes) { a.String(unix.NFTA_TABLE_NAME, name) })
}

func (e *encoder) deleteTable(name string) {
	e.message(unix.NFT_MSG_DELTABLE, 0, func(a *netlink.Attributes) { a.String(unix.NFTA_TABLE_NAME, name) })
}

// addChain adds a chain, which the kernel enters by itself if it has a hook.
func (e *encoder) addChain(in, name string, at *hook) {
	e.message(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE, func(a *netlink.Attributes) {
		a.String(unix.NFTA_CHAIN_TABLE, in)
		a.String(unix.NFTA_CHAIN_NAME, name)
		if at == nil {
			return
		}
		a.Nest(unix.NFTA_CHAIN_HOOK, func(a *netlink.Attributes) {
			a.Network32(unix.NFTA_HOOK_HOOKNUM, at.at)
			a.Network32(unix.NFTA_HOOK_PRIORITY, uint32(at.priority))
		})
		a.String(unix.NFTA_CHAIN_TYPE, at.kind)
	})
}

func (e *encoder) deleteChain(name string) {
	e.message(unix.NFT_MSG_DELCHAIN, 0, func(a *netlink.Attributes) {
		a.String(unix.NFTA_CHAIN_TABLE, table)
		a.String(unix.NFTA_CHAIN_NAME, name)
	})
}

// flushChain removes all rules of a chain.
func (e *encoder) flushChain(name string) {
	e.message(unix.NFT_MSG_DELRULE, 0, func(a *netlink.Attributes) {
		a.String(unix.NFTA_RULE_TABLE, table)
		a.String(unix.NFTA_RULE_CHAIN, name)
	})
}

// addRule appends a rule to a chain, after the sets that it has for itself.
func (e *encoder) addRule(in, chain string, r rule) {
	list := r.statements(e)
	e.message(unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND, func(a *netlink.Attributes) {
		a.String(unix.NFTA_RULE_TABLE, in)
		a.String(unix.NFTA_RULE_CHAIN, chain)
		a.Nest(unix.NFTA_RULE_EXPRESSIONS, func(a *netlink.Attributes) {
			for _, add := range list {
				add(a)
			}
		})
	})
}

// setOf describes a set. Sizes are in bytes; without dataSize it is no map.
type setOf struct {
	name               string
	flags              uint32
	keyType, keySize   uint32
	dataType, dataSize uint32
	// elements is how many there will be, 0 if that is open.
	elements int
	timeout  time.Duration
}

func (e *encoder) addSet(in string, s setOf) setRef {
	e.sets++
	ref := setRef{s.name, e.sets}
	e.message(unix.NFT_MSG_NEWSET, unix.NLM_F_CREATE, func(a *netlink.Attributes) {
		a.String(unix.NFTA_SET_TABLE, in)
		a.String(unix.NFTA_SET_NAME, s.name)
		if s.dataType != 0 {
			s.flags |= unix.NFT_SET_MAP
			a.Network32(unix.NFTA_SET_DATA_TYPE, s.dataType)
			if s.dataSize != 0 {
				a.Network32(unix.NFTA_SET_DATA_LEN, s.dataSize)
			}
		}
		a.Network32(unix.NFTA_SET_FLAGS, s.flags)
		a.Network32(unix.NFTA_SET_KEY_TYPE, s.keyType)
		a.Network32(unix.NFTA_SET_KEY_LEN, s.keySize)
		a.Network32(unix.NFTA_SET_ID, ref.id)
		if s.timeout != 0 {
			a.Network64(unix.NFTA_SET_TIMEOUT, uint64(s.timeout.Milliseconds()))
		}
		if s.elements != 0 {
			a.Nest(unix.NFTA_SET_DESC, func(a *netlink.Attributes) { a.Network32(unix.NFTA_SET_DESC_SIZE, uint32(s.elements)) })
		}
	})
	return ref
}

func (e *encoder) deleteSet(name string) {
	e.message(unix.NFT_MSG_DELSET, 0, func(a *netlink.Attributes) {
		a.String(unix.NFTA_SET_TABLE, table)
		a.String(unix.NFTA_SET_NAME, name)
	})
}

// memory is a map of clients and the endpoints they had.
func (e *encoder) memory(in, name string, timeout time.Duration) {
	e.addSet(in, setOf{
		name: name, flags: unix.NFT_SET_TIMEOUT | unix.NFT_SET_EVAL, timeout: timeout, elements: rememberedClients,
		keyType: typeAddress, keySize: 4, dataType: typeEndpoint, dataSize: 8,
	})
}

const anonymous = unix.NFT_SET_ANONYMOUS | unix.NFT_SET_CONSTANT

// anonymousMap makes a map to endpoints, anonymousSet a set of endpoints, anonymousVerdicts a map from
// addresses to verdicts: for one rule, which they end with.
func (e *encoder) anonymousMap(keyType uint32, elements []element) setRef {
	ref := e.addSet(table, setOf{
		name: "__map%d", flags: anonymous, keyType: keyType, keySize: uint32(len(elements[0].key)),
		dataType: typeEndpoint, dataSize: 8, elements: len(elements),
	})
	e.addElements(ref, elements)
	return ref
}

func (e *encoder) anonymousSet(elements []element) setRef {
	ref := e.addSet(table, setOf{name: "__set%d", flags: anonymous, keyType: typeEndpoint, keySize: 8, elements: len(elements)})
	e.addElements(ref, elements)
	return ref
}

func (e *encoder) anonymousVerdicts(elements []verdictElement) setRef {
	ref := e.addSet(table, setOf{
		name: "__map%d", flags: anonymous, keyType: typeAddress, keySize: 4, dataType: typeVerdict, elements: len(elements),
	})
	e.addVerdicts(ref, elements)
	return ref
}

// addElements adds elements to a set or a map.
func (e *encoder) addElements(set setRef, list []element) {
	e.elements(unix.NFT_MSG_NEWSETELEM, unix.NLM_F_CREATE, set, len(list), func(a *netlink.Attributes, i int) {
		value(a, unix.NFTA_SET_ELEM_KEY, list[i].key)
		if list[i].data != nil {
			value(a, unix.NFTA_SET_ELEM_DATA, list[i].data)
		}
	})
}

func (e *encoder) addVerdicts(set setRef, list []verdictElement) {
	e.elements(unix.NFT_MSG_NEWSETELEM, unix.NLM_F_CREATE, set, len(list), func(a *netlink.Attributes, i int) {
		value(a, unix.NFTA_SET_ELEM_KEY, list[i].key)
		a.Nest(unix.NFTA_SET_ELEM_DATA, func(a *netlink.Attributes) { verdictData(a, list[i].code(), list[i].chain) })
	})
}

func (e *encoder) deleteElements(set setRef, keys [][]byte) {
	e.elements(unix.NFT_MSG_DELSETELEM, 0, set, len(keys), func(a *netlink.Attributes, i int) {
		value(a, unix.NFTA_SET_ELEM_KEY, keys[i])
	})
}

func (e *encoder) elements(kind, flags uint16, set setRef, count int, fill func(a *netlink.Attributes, i int)) {
	for begin := 0; begin < count; begin += elementsAtOnce {
		const elementSize = 48
		e.sized(kind, flags, 128+elementSize*min(count-begin, elementsAtOnce), func(a *netlink.Attributes) {
			a.String(unix.NFTA_SET_ELEM_LIST_TABLE, table)
			a.String(unix.NFTA_SET_ELEM_LIST_SET, set.name)
			if set.id != 0 {
				a.Network32(unix.NFTA_SET_ELEM_LIST_SET_ID, set.id)
			}
			a.Nest(unix.NFTA_SET_ELEM_LIST_ELEMENTS, func(a *netlink.Attributes) {
				for i := begin; i < min(begin+elementsAtOnce, count); i++ {
					a.Nest(unix.NFTA_LIST_ELEM, func(a *netlink.Attributes) { fill(a, i) })
				}
			})
		})
	}
}
