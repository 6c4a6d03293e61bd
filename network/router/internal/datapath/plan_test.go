package datapath

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"skiff/network/protocol"
	"skiff/network/router/internal/state"
)

func ip(text string) netip.Addr { return netip.MustParseAddr(text) }

func endpoints(list ...string) []netip.AddrPort {
	var out []netip.AddrPort
	for _, e := range list {
		out = append(out, netip.MustParseAddrPort(e))
	}
	return out
}

func key(name string) protocol.Key { return protocol.Key{Namespace: "default", Name: name} }

// planner plans one state after another, as if each were in force.
type planner struct {
	t        *testing.T
	ledger   *ledger
	around   surroundings
	services map[protocol.Key]*protocol.Service
}

func newPlanner(t *testing.T) *planner {
	return &planner{t, newLedger(), surroundingsOf([]protocol.Node{
		{Name: "n1", Address: ip("10.77.6.2"), Machine: true}, {Name: "n2", Address: ip("10.77.6.3")},
	}, true), map[protocol.Key]*protocol.Service{}}
}

// plan sets services, removes those of which there are only names, and returns the plan and problems as
// text.
func (p *planner) plan(services ...*protocol.Service) string {
	var keys []protocol.Key
	for _, s := range services {
		keys = append(keys, s.Key)
		if delete(p.services, s.Key); s.Ports != nil {
			p.services[s.Key] = s
		}
	}
	plans, problems := p.ledger.plan(&p.around, p.services, keys, "")
	var out strings.Builder
	for _, plan := range plans {
		out.WriteString(plan.String())
		p.ledger.done(plan)
	}
	for _, key := range slices.SortedFunc(maps.Keys(problems), state.CompareKeys) {
		if problems[key] != nil {
			out.WriteString("problem: " + key.String() + ": " + problems[key].Error() + "\n")
		}
	}
	return out.String()
}

func (p *planner) want(got, want string) {
	p.t.Helper()
	if want = strings.TrimPrefix(want, "\n"); got != want {
		p.t.Errorf("the plan is\n%swant\n%s", got, want)
	}
}

func web(ports ...protocol.Port) *protocol.Service {
	return &protocol.Service{Key: key("web"), Addresses: []netip.Addr{ip("10.77.12.5")}, Ports: ports}
}

// TestPlan follows a service through its life.
func TestPlan(t *testing.T) {
	p := newPlanner(t)
	port := protocol.Port{Protocol: "tcp", Port: 80}
	p.want(p.plan(web(port)), "") // the router refuses by itself
	port.Endpoints = endpoints("10.77.0.11:8080")
	p.want(p.plan(web(port)), `
default/web: it is new, or has its first endpoint
  add chain svc/default/web/tcp/80
  add rule svc/default/web/tcp/80 dnat to 10.77.0.11:8080
  add element services { 10.77.12.5 . tcp . 80 : goto svc/default/web/tcp/80 }
`)
	p.want(p.plan(web(port)), "")
	port.Endpoints, port.NodePort = endpoints("10.77.0.12:8080", "10.77.0.11:8080"), 30080
	p.want(p.plan(web(port)), `
default/web: it has changed
  flush chain svc/default/web/tcp/80
  add rule svc/default/web/tcp/80 dnat to th sport of 32 { 10.77.0.11:8080, 10.77.0.12:8080 }
  add element nodeports { tcp . 30080 : goto svc/default/web/tcp/80 }
`)
	port.Endpoints = endpoints("10.77.0.11:8080", "10.77.0.12:8080") // the same in another order
	p.want(p.plan(web(port)), "")
	port.Endpoints = nil
	p.want(p.plan(web(port)), `
default/web: it has changed
  flush chain svc/default/web/tcp/80
  delete element nodeports { tcp . 30080 }
  delete element services { 10.77.12.5 . tcp . 80 }
  add element nodeports { tcp . 30080 : accept }
  delete chain svc/default/web/tcp/80
`)
	p.want(p.plan(&protocol.Service{Key: key("web")}), `
default/web: it is gone
  delete element nodeports { tcp . 30080 }
`)
	if len(p.ledger.have)+len(p.ledger.owners) > 0 {
		t.Errorf("left: %v, %v", p.ledger.have, p.ledger.owners)
	}
}

// TestPlanPlaces has lists for clients of a node, and for a node's own address.
func TestPlanPlaces(t *testing.T) {
	p := newPlanner(t)
	port := protocol.Port{
		Protocol: "udp", Port: 53, NodePort: 30053, Endpoints: endpoints("10.77.0.11:53"),
		From: map[string][]netip.AddrPort{"n1": endpoints("10.77.0.12:53"), "n2": nil, "unknown": nil},
		At:   map[string][]netip.AddrPort{"n1": nil, "n2": endpoints("10.77.0.13:53", "10.77.0.14:53")},
	}
	s := web(port)
	s.HealthCheck = 30999
	p.want(p.plan(s), `
default/web: it is new, or has its first endpoint
  add chain svc/default/web/udp/53/from/10.77.6.2
  add chain svc/default/web/udp/53
  add chain svc/default/web/udp/53/at/10.77.6.3
  add chain svc/default/web/udp/53/node
  add rule svc/default/web/udp/53/from/10.77.6.2 dnat to 10.77.0.12:53
  add rule svc/default/web/udp/53 meta mark set 10.77.6.2
  add rule svc/default/web/udp/53 meta mark set ip saddr map @places
  add rule svc/default/web/udp/53 meta mark vmap { 10.77.6.2 : goto svc/default/web/udp/53/from/10.77.6.2, 10.77.6.3 : drop }
  add rule svc/default/web/udp/53 dnat to 10.77.0.11:53
  add rule svc/default/web/udp/53/at/10.77.6.3 dnat to th sport of 32 { 10.77.0.13:53, 10.77.0.14:53 }
  add rule svc/default/web/udp/53/node ip daddr vmap { 10.77.6.2 : drop, 10.77.6.3 : goto svc/default/web/udp/53/at/10.77.6.3 }
  add rule svc/default/web/udp/53/node dnat to 10.77.0.11:53
  add element nodeports { tcp . 30999 : accept }
  add element nodeports { udp . 30053 : goto svc/default/web/udp/53/node }
  add element services { 10.77.12.5 . udp . 53 : goto svc/default/web/udp/53 }
`)
}

// TestPlanAffinity keeps what clients had, but for endpoints that are gone.
func TestPlanAffinity(t *testing.T) {
	p := newPlanner(t)
	s := web(protocol.Port{Protocol: "tcp", Port: 80, Endpoints: endpoints("10.77.0.11:80", "10.77.0.12:80")})
	s.Affinity = time.Hour
	p.want(p.plan(s), `
default/web: it is new, or has its first endpoint
  add chain svc/default/web/tcp/80
  add map svc/default/web/tcp/80 { ip saddr : endpoint, timeout 1h0m0s }
  add rule svc/default/web/tcp/80 dnat to update @svc/default/web/tcp/80 { ip saddr : ip saddr map @svc/default/web/tcp/80 } if in { 10.77.0.11:80, 10.77.0.12:80 }
  add rule svc/default/web/tcp/80 update @svc/default/web/tcp/80 { ip saddr : dnat to th sport of 32 { 10.77.0.11:80, 10.77.0.12:80 } }
  add element services { 10.77.12.5 . tcp . 80 : goto svc/default/web/tcp/80 }
`)
	fewer := *s
	fewer.Ports = []protocol.Port{{Protocol: "tcp", Port: 80, Endpoints: endpoints("10.77.0.12:80")}}
	p.want(p.plan(&fewer), `
default/web: it has changed
  flush chain svc/default/web/tcp/80
  add rule svc/default/web/tcp/80 dnat to update @svc/default/web/tcp/80 { ip saddr : ip saddr map @svc/default/web/tcp/80 } if in { 10.77.0.12:80 }
  add rule svc/default/web/tcp/80 update @svc/default/web/tcp/80 { ip saddr : dnat to 10.77.0.12:80 }
  forget in map svc/default/web/tcp/80 all but { 10.77.0.12:80 }
`)
	none := fewer
	none.Affinity = 0
	p.want(p.plan(&none), `
default/web: it has changed
  flush chain svc/default/web/tcp/80
  delete map svc/default/web/tcp/80
  add rule svc/default/web/tcp/80 dnat to 10.77.0.12:80
`)
	p.around.memory = false
	p.want(p.plan(s), `
default/web: it has changed
  flush chain svc/default/web/tcp/80
  add rule svc/default/web/tcp/80 dnat to ip saddr of 32 { 10.77.0.11:80, 10.77.0.12:80 }
`)
}

// TestPlanConflict has two services that want one address, and swap another.
func TestPlanConflict(t *testing.T) {
	p := newPlanner(t)
	service := func(name, endpoint string, external ...string) *protocol.Service {
		s := &protocol.Service{Key: key(name), Ports: []protocol.Port{{Protocol: "tcp", Port: 80, Endpoints: endpoints(endpoint)}}}
		for _, e := range external {
			s.External = append(s.External, ip(e))
		}
		return s
	}
	p.want(p.plan(service("b", "10.77.0.12:80", "10.77.12.9"), service("a", "10.77.0.11:80", "10.77.12.9")), `
default/b: it is new, or has its first endpoint
  add chain svc/default/b/tcp/80
  add rule svc/default/b/tcp/80 dnat to 10.77.0.12:80
  add element services { 10.77.12.9 . tcp . 80 : goto svc/default/b/tcp/80 }
default/a: it is new, or has its first endpoint
  add chain svc/default/a/tcp/80
  add rule svc/default/a/tcp/80 dnat to 10.77.0.11:80
problem: default/a: services { 10.77.12.9 . tcp . 80 } belongs to service default/b
`)
	// The second has it when the first leaves it, whatever comes first in the update.
	p.want(p.plan(service("b", "10.77.0.12:80", "10.77.12.8")), `
default/b: another service takes over
  delete element services { 10.77.12.9 . tcp . 80 }
default/b: it has changed
  add element services { 10.77.12.8 . tcp . 80 : goto svc/default/b/tcp/80 }
default/a: it has changed
  add element services { 10.77.12.9 . tcp . 80 : goto svc/default/a/tcp/80 }
`)
	p.want(p.plan(service("a", "10.77.0.11:80", "10.77.12.8"), service("b", "10.77.0.12:80", "10.77.12.9")), `
default/a: another service takes over
  delete element services { 10.77.12.9 . tcp . 80 }
default/b: another service takes over
  delete element services { 10.77.12.8 . tcp . 80 }
default/a: it has changed
  add element services { 10.77.12.8 . tcp . 80 : goto svc/default/a/tcp/80 }
default/b: it has changed
  add element services { 10.77.12.9 . tcp . 80 : goto svc/default/b/tcp/80 }
`)
	p.want(p.plan(&protocol.Service{Key: key("a")}, &protocol.Service{Key: key("b")}), `
default/a: it is gone
  flush chain svc/default/a/tcp/80
  delete element services { 10.77.12.8 . tcp . 80 }
  delete chain svc/default/a/tcp/80
default/b: it is gone
  flush chain svc/default/b/tcp/80
  delete element services { 10.77.12.9 . tcp . 80 }
  delete chain svc/default/b/tcp/80
`)
}

// TestPlanNodes follows the nodes.
func TestPlanNodes(t *testing.T) {
	c := &protocol.Config{Gateway: ip("10.77.0.1")}
	one := placesOf([]protocol.Node{{Name: "n1", Address: ip("10.77.6.2"), Pods: []netip.Addr{ip("10.77.0.10"), ip("10.77.0.11")}}})
	two := placesOf([]protocol.Node{
		{Name: "n1", Address: ip("10.77.6.2"), Pods: []netip.Addr{ip("10.77.0.11")}},
		{Name: "n2", Address: ip("10.77.6.3"), Machine: true, Pods: []netip.Addr{ip("10.77.0.10")}},
	})
	for _, step := range []struct {
		have, want *places
		plan       string
	}{
		{nil, one, `add element nodes { 10.77.6.2 }
add element places { 10.77.0.10 : 10.77.6.2 }
add element places { 10.77.0.11 : 10.77.6.2 }
flush chain dispatch
add rule dispatch ip daddr . meta l4proto . th dport vmap @services
add rule dispatch ip daddr @nodes meta l4proto . th dport vmap @nodeports
`},
		{one, two, `add element nodes { 10.77.6.3 }
delete element places { 10.77.0.10 }
add element places { 10.77.0.10 : 10.77.6.3 }
flush chain dispatch
add rule dispatch ip daddr . meta l4proto . th dport vmap @services
add rule dispatch ip daddr @nodes meta l4proto . th dport vmap @nodeports
add rule dispatch ip daddr 10.77.6.3 dnat to 10.77.0.1
`},
		{two, two, ""},
		{two, placesOf(nil), `delete element nodes { 10.77.6.2 }
delete element nodes { 10.77.6.3 }
delete element places { 10.77.0.10 }
delete element places { 10.77.0.11 }
flush chain dispatch
add rule dispatch ip daddr . meta l4proto . th dport vmap @services
add rule dispatch ip daddr @nodes meta l4proto . th dport vmap @nodeports
`},
	} {
		if got := planPlaces(c, step.have, step.want).String(); got != step.plan {
			t.Errorf("the plan is\n%swant\n%s", got, step.plan)
		}
	}
}

// TestSlots checks that endpoints have equal shares, nearly, and that each has one.
func TestSlots(t *testing.T) {
	for _, n := range []int{2, 3, 5, 10, 100, 1000, 3000, 10_000} {
		fewest := slots(n) / n
		if fewest < 1 || n <= 1000 && fewest < 4 {
			t.Errorf("%d endpoints: %d slots", n, slots(n))
		}
	}
	// One endpoint more moves only those who go there.
	three, four := endpoints("10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"), endpoints("10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1", "10.0.0.4:1")
	before, after := rendezvous(three, 32), rendezvous(four, 32)
	shares := map[int]int{}
	for i := range before {
		shares[after[i]]++
		if before[i] != after[i] && after[i] != 3 {
			t.Errorf("slot %d moved from %d to %d", i, before[i], after[i])
		}
	}
	if len(shares) != 4 {
		t.Errorf("shares: %v", shares)
	}
}
