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
	"skiff/network/router/internal/state"
)

// action is what a step does.
type action int

const (
	addMemory action = iota
	addChain
	flushChain
	addRule
	deleteTarget
	addTarget
	deleteChain
	deleteMemory
	// forget removes from a chain's memory the clients of endpoints that are gone.
	forget
)

// step is one of a plan's.
type step struct {
	action action
	chain  string
	rule   rule
	// target and verdict are of addTarget and deleteTarget.
	target  target
	verdict verdict
	timeout time.Duration
	// endpoints are those that forget keeps.
	endpoints []netip.AddrPort
}

// String is as nft would be told, nearly.
func (s step) String() string {
	switch s.action {
	case addMemory:
		return fmt.Sprintf("add map %s { ip saddr : endpoint, timeout %s }", s.chain, s.timeout)
	case addChain:
		return "add chain " + s.chain
	case flushChain:
		return "flush chain " + s.chain
	case addRule:
		return fmt.Sprintf("add rule %s %s", s.chain, s.rule)
	case deleteTarget:
		return fmt.Sprintf("delete element %s }", s.target)
	case addTarget:
		return fmt.Sprintf("add element %s : %s }", s.target, s.verdict)
	case deleteChain:
		return "delete chain " + s.chain
	case deleteMemory:
		return "delete map " + s.chain
	default:
		return fmt.Sprintf("forget in map %s all but { %s }", s.chain, addressList(s.endpoints))
	}
}

// servicePlan is what is to be done for one service, in one transaction.
type servicePlan struct {
	key   protocol.Key
	cause string
	steps []step
	// then is what there is afterwards.
	then *installed
}

// String has a line for the service and its cause, and one for each step.
func (p servicePlan) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s: %s\n", p.key, p.cause)
	for _, s := range p.steps {
		fmt.Fprintf(&out, "  %s\n", s)
	}
	return out.String()
}

// installed is what the kernel has of a service.
type installed struct {
	chains  map[string]installedChain
	targets map[target]verdict
}

// installedChain is one chain: its rules as text, for comparison.
type installedChain struct {
	rules     string
	memory    time.Duration
	endpoints []netip.AddrPort
}

func install(o *objects) *installed {
	i := &installed{chains: make(map[string]installedChain, len(o.chains)), targets: o.targets}
	for _, c := range o.chains {
		i.chains[c.name] = installedChain{rulesText(c.rules), c.memory, c.endpoints}
	}
	return i
}

func rulesText(rules []rule) string {
	texts := make([]string, len(rules))
	for i, r := range rules {
		texts[i] = r.String()
	}
	return strings.Join(texts, "\n")
}

// difference lists the steps from what there is to what there is to be. The order is the kernel's: what
// is referred to is there before, and is gone after.
func difference(have *installed, want *objects) []step {
	then := install(want)
	var first, rules, targets, last, forgets []step
	for _, c := range want.chains {
		old, there := have.chains[c.name]
		switch {
		case !there:
			first = append(first, step{action: addChain, chain: c.name})
		case old.memory != c.memory || old.rules != then.chains[c.name].rules:
			first = append(first, step{action: flushChain, chain: c.name})
		default:
			continue
		}
		if old.memory != c.memory {
			first = append(first, memorySteps(c.name, old.memory, c.memory)...)
		} else if c.memory != 0 && lost(old.endpoints, c.endpoints) {
			forgets = append(forgets, step{action: forget, chain: c.name, endpoints: c.endpoints})
		}
		for _, r := range c.rules {
			rules = append(rules, step{action: addRule, chain: c.name, rule: r})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(have.chains)) {
		if _, stays := then.chains[name]; !stays {
			first = append(first, step{action: flushChain, chain: name})
			last = append(last, step{action: deleteChain, chain: name})
			last = append(last, memorySteps(name, have.chains[name].memory, 0)...)
		}
	}
	for _, t := range slices.SortedFunc(maps.Keys(have.targets), compareTargets) {
		if v, stays := want.targets[t]; !stays || v != have.targets[t] {
			targets = append(targets, step{action: deleteTarget, target: t})
		}
	}
	for _, t := range slices.SortedFunc(maps.Keys(want.targets), compareTargets) {
		if v, there := have.targets[t]; !there || v != want.targets[t] {
			targets = append(targets, step{action: addTarget, target: t, verdict: want.targets[t]})
		}
	}
	return slices.Concat(first, rules, targets, last, forgets)
}

// memorySteps replace a chain's map of clients. Nothing refers to the old one any longer.
func memorySteps(name string, before, after time.Duration) []step {
	var steps []step
	if before != 0 {
		steps = append(steps, step{action: deleteMemory, chain: name})
	}
	if after != 0 {
		steps = append(steps, step{action: addMemory, chain: name, timeout: after})
	}
	return steps
}

// lost reports whether some of the endpoints are gone.
func lost(before, after []netip.AddrPort) bool {
	return slices.ContainsFunc(before, func(e netip.AddrPort) bool { return !slices.Contains(after, e) })
}

// ledger is what the kernel has of all services, and which of them has which target: there may be two
// that want the same external address, and the first keeps it.
type ledger struct {
	have   map[protocol.Key]*installed
	owners map[target]protocol.Key
	// waiting are the services that would have a target if it were free.
	waiting map[target]map[protocol.Key]bool
}

func newLedger() *ledger {
	return &ledger{
		have: map[protocol.Key]*installed{}, owners: map[target]protocol.Key{},
		waiting: map[target]map[protocol.Key]bool{},
	}
}

// plan makes a plan for each of these services, and for those that may have what one of them leaves.
// Problems say what a service does not have, nil if it has all.
func (l *ledger) plan(s *surroundings, services map[protocol.Key]*protocol.Service, keys []protocol.Key, cause string) ([]servicePlan, map[protocol.Key]error) {
	wanted := make(map[protocol.Key]*objects, len(keys))
	left := map[protocol.Key]bool{}
	compile := func(key protocol.Key) {
		o := &objects{}
		if service := services[key]; service != nil {
			o = s.compile(service)
		}
		wanted[key] = o
		for t := range l.installedOf(key).targets {
			if _, stays := o.targets[t]; !stays && l.owners[t] == key {
				delete(l.owners, t)
				for next := range l.waiting[t] {
					left[next] = true
				}
			}
		}
	}
	for _, key := range keys {
		compile(key)
	}
	for _, next := range slices.SortedFunc(maps.Keys(left), state.CompareKeys) {
		if wanted[next] == nil {
			compile(next)
			keys = append(keys, next)
		}
	}
	problems := map[protocol.Key]error{}
	for _, key := range keys {
		problems[key] = l.claim(key, wanted[key])
	}
	plans := make([]servicePlan, 0, len(keys))
	given := map[protocol.Key]*installed{}
	for _, key := range keys {
		if p, ok := l.give(key, wanted[key]); ok {
			plans = append(plans, p)
			given[key] = p.then
		}
	}
	for _, key := range keys {
		have := l.installedOf(key)
		if given[key] != nil {
			have = given[key]
		}
		if steps := difference(have, wanted[key]); len(steps) > 0 {
			plans = append(plans, servicePlan{key, causeOf(have, services[key], cause), steps, install(wanted[key])})
		}
	}
	return plans, problems
}

// give makes a plan by which a service leaves the targets that another one is about to take.
func (l *ledger) give(key protocol.Key, want *objects) (servicePlan, bool) {
	have := l.installedOf(key)
	p := servicePlan{key: key, cause: "another service takes over", then: &installed{chains: have.chains, targets: maps.Clone(have.targets)}}
	for _, t := range slices.SortedFunc(maps.Keys(have.targets), compareTargets) {
		owner, taken := l.owners[t]
		if _, stays := want.targets[t]; !stays && taken && owner != key {
			p.steps = append(p.steps, step{action: deleteTarget, target: t})
			delete(p.then.targets, t)
		}
	}
	return p, len(p.steps) > 0
}

func causeOf(have *installed, want *protocol.Service, cause string) string {
	switch {
	case cause != "":
		return cause
	case want == nil:
		return "it is gone"
	case len(have.chains) == 0 && len(have.targets) == 0:
		return "it is new, or has its first endpoint"
	}
	return "it has changed"
}

func (l *ledger) installedOf(key protocol.Key) *installed {
	if i := l.have[key]; i != nil {
		return i
	}
	return &installed{}
}

// claim takes a service's targets for it, and removes from it those that are another's.
func (l *ledger) claim(key protocol.Key, o *objects) error {
	for t, waiting := range l.waiting {
		if delete(waiting, key); len(waiting) == 0 {
			delete(l.waiting, t)
		}
	}
	var problem error
	for _, t := range slices.SortedFunc(maps.Keys(o.targets), compareTargets) {
		owner, taken := l.owners[t]
		if !taken || owner == key {
			l.owners[t] = key
			continue
		}
		delete(o.targets, t)
		if l.waiting[t] == nil {
			l.waiting[t] = map[protocol.Key]bool{}
		}
		l.waiting[t][key] = true
		problem = fmt.Errorf("%s } belongs to service %s", t, owner)
	}
	return problem
}

// done notes that a plan is in force.
func (l *ledger) done(p servicePlan) {
	if len(p.then.chains) == 0 && len(p.then.targets) == 0 {
		delete(l.have, p.key)
		return
	}
	l.have[p.key] = p.then
}
