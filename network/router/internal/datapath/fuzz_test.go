package datapath

import (
	"encoding/json"
	"testing"
	"time"

	"skiff/network/protocol"
	"skiff/network/router/internal/netlab"
	"skiff/network/router/internal/state"
)

// FuzzUpdate checks that no update does harm, and that from any state the plan for an empty one leaves
// nothing.
func FuzzUpdate(f *testing.F) {
	port := protocol.Port{Protocol: "tcp", Port: 80, NodePort: 30080, Endpoints: endpoints("10.77.0.11:8080", "10.77.0.12:8080")}
	sticky := web(port)
	sticky.Affinity = time.Hour
	for _, u := range []protocol.Update{
		{Config: netlab.Config(), Whole: true, Set: []protocol.Service{*web(port), {Key: key("b"), External: sticky.Addresses, Ports: sticky.Ports}}},
		{Nodes: []protocol.Node{{Name: "n1", Address: ip("10.77.6.2"), Machine: true}}, Set: []protocol.Service{*sticky}},
		{Delete: []protocol.Key{key("web")}},
	} {
		data, err := json.Marshal(u)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, data)
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var s state.State
		if _, err := s.Apply(&protocol.Update{Config: netlab.Config(), Whole: true}); err != nil {
			t.Fatal(err)
		}
		l := newLedger()
		apply := func(u *protocol.Update) {
			change, err := s.Apply(u)
			if err != nil {
				return
			}
			around := surroundingsOf(s.Nodes, true)
			plans, _ := l.plan(&around, s.Services, change.Services, "")
			for _, p := range plans {
				var e encoder
				p.encode(&e)
				e.transaction()
				l.done(p)
			}
			var e encoder
			planPlaces(s.Config, nil, placesOf(s.Nodes)).encode(&e)
			encodeBase(&e, s.Config)
		}
		for _, data := range [][]byte{first, second} {
			var u protocol.Update
			if json.Unmarshal(data, &u) == nil {
				apply(&u)
			}
		}
		apply(&protocol.Update{Whole: true})
		if len(l.have)+len(l.owners)+len(l.waiting) > 0 {
			t.Fatalf("left: %v, %v, %v", l.have, l.owners, l.waiting)
		}
	})
}
