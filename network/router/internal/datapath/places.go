//go:build linux

package datapath

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"skiff/network/protocol"
)

// places are what the kernel knows of nodes: their addresses, which of them is the machine's, and the
// node's address for each pod.
type places struct {
	nodes   map[netip.Addr]bool
	machine netip.Addr
	pods    map[netip.Addr]netip.Addr
}

func placesOf(nodes []protocol.Node) *places {
	p := &places{nodes: map[netip.Addr]bool{}, pods: map[netip.Addr]netip.Addr{}}
	for i := range nodes {
		n := &nodes[i]
		p.nodes[n.Address] = true
		if n.Machine {
			p.machine = n.Address
		}
		for _, pod := range n.Pods {
			p.pods[pod] = n.Address
		}
	}
	return p
}

// placesPlan is what is to be done to have other places.
type placesPlan struct {
	deleteNodes, addNodes []netip.Addr
	deletePods, addPods   []netip.Addr
	// dispatch are the new rules of the chain dispatch, nil for the old ones.
	dispatch []rule
	then     *places
}

// planPlaces lists what has to be done. Without anything before, all of it has.
func planPlaces(c *protocol.Config, have, want *places) placesPlan {
	p := placesPlan{then: want}
	if have == nil {
		have = &places{}
		p.dispatch = dispatchRules(c, want.machine)
	}
	if have.machine != want.machine {
		p.dispatch = dispatchRules(c, want.machine)
	}
	for _, a := range slices.SortedFunc(maps.Keys(have.nodes), netip.Addr.Compare) {
		if !want.nodes[a] {
			p.deleteNodes = append(p.deleteNodes, a)
		}
	}
	for _, a := range slices.SortedFunc(maps.Keys(want.nodes), netip.Addr.Compare) {
		if !have.nodes[a] {
			p.addNodes = append(p.addNodes, a)
		}
	}
	for _, pod := range slices.SortedFunc(maps.Keys(have.pods), netip.Addr.Compare) {
		if have.pods[pod] != want.pods[pod] {
			p.deletePods = append(p.deletePods, pod)
		}
	}
	for _, pod := range slices.SortedFunc(maps.Keys(want.pods), netip.Addr.Compare) {
		if have.pods[pod] != want.pods[pod] {
			p.addPods = append(p.addPods, pod)
		}
	}
	return p
}

// String has a line for each step.
func (p placesPlan) String() string {
	var out strings.Builder
	for _, a := range p.deleteNodes {
		fmt.Fprintf(&out, "delete element nodes { %s }\n", a)
	}
	for _, a := range p.addNodes {
		fmt.Fprintf(&out, "add element nodes { %s }\n", a)
	}
	for _, pod := range p.deletePods {
		fmt.Fprintf(&out, "delete element places { %s }\n", pod)
	}
	for _, pod := range p.addPods {
		fmt.Fprintf(&out, "add element places { %s : %s }\n", pod, p.then.pods[pod])
	}
	if p.dispatch != nil {
		fmt.Fprintf(&out, "flush chain dispatch\n")
	}
	for _, r := range p.dispatch {
		fmt.Fprintf(&out, "add rule dispatch %s\n", r)
	}
	return out.String()
}

func (p placesPlan) encode(e *encoder) {
	keys := func(list []netip.Addr) [][]byte {
		out := make([][]byte, len(list))
		for i, a := range list {
			out[i] = a.AsSlice()
		}
		return out
	}
	e.deleteElements(named(nodesSet), keys(p.deleteNodes))
	e.deleteElements(named(placesMap), keys(p.deletePods))
	nodes := make([]element, len(p.addNodes))
	for i, a := range p.addNodes {
		nodes[i].key = a.AsSlice()
	}
	e.addElements(named(nodesSet), nodes)
	pods := make([]element, len(p.addPods))
	for i, pod := range p.addPods {
		pods[i] = element{pod.AsSlice(), p.then.pods[pod].AsSlice()}
	}
	e.addElements(named(placesMap), pods)
	if p.dispatch != nil {
		e.flushChain(dispatch)
		for _, r := range p.dispatch {
			e.addRule(table, dispatch, r)
		}
	}
}

// encodeBase makes the table anew: adding, deleting and adding it empties it whether it was there or
// not.
func encodeBase(e *encoder, c *protocol.Config) {
	e.addTable(table)
	e.deleteTable(table)
	e.addTable(table)
	e.addSet(table, setOf{name: servicesMap, keyType: typeTarget, keySize: 12, dataType: typeVerdict})
	e.addSet(table, setOf{name: nodePortsMap, keyType: typeNodePort, keySize: 8, dataType: typeVerdict})
	e.addSet(table, setOf{name: nodesSet, keyType: typeAddress, keySize: 4})
	e.addSet(table, setOf{name: placesMap, keyType: typeAddress, keySize: 4, dataType: typeAddress, dataSize: 4})
	e.addChain(table, dispatch, nil)
	for _, b := range base(c) {
		e.addChain(table, b.name, &b.hook)
		for _, r := range b.rules {
			e.addRule(table, b.name, r)
		}
	}
}

// encodeProbe makes and removes a table for which the kernel must be able to keep clients' endpoints.
func encodeProbe(e *encoder) {
	const probe = table + "-probe"
	e.addTable(probe)
	e.memory(probe, "memory", time.Second)
	e.addChain(probe, "chain", nil)
	e.addRule(probe, "chain", fixed("update @memory { ip saddr : endpoint }",
		loadSource(reg4), immediate(reg0, make([]byte, 8)), update("memory", reg4, reg0)))
	e.deleteTable(probe)
}

// encode adds a step to a transaction; forget is none of it.
func (s step) encode(e *encoder) {
	switch s.action {
	case addMemory:
		e.memory(table, s.chain, s.timeout)
	case addChain:
		e.addChain(table, s.chain, nil)
	case flushChain:
		e.flushChain(s.chain)
	case addRule:
		e.addRule(table, s.chain, s.rule)
	case deleteTarget:
		e.deleteElements(named(s.target.set()), [][]byte{s.target.key()})
	case addTarget:
		e.addVerdicts(named(s.target.set()), []verdictElement{{s.target.key(), s.verdict}})
	case deleteChain:
		e.deleteChain(s.chain)
	case deleteMemory:
		e.deleteSet(s.chain)
	case forget:
	}
}
