//go:build linux

package datapath

import (
	"testing"

	"skiff/network/protocol"
	"skiff/network/router/internal/netlab"
	"skiff/network/router/internal/state"
)

// BenchmarkEncode plans and encodes 1,000 services with 10 endpoints, without the kernel.
func BenchmarkEncode(b *testing.B) {
	var s state.State
	if _, err := s.Apply(&protocol.Update{Config: netlab.Config(), Whole: true, Set: Thousand()}); err != nil {
		b.Fatal(err)
	}
	keys := make([]protocol.Key, 0, len(s.Services))
	for key := range s.Services {
		keys = append(keys, key)
	}
	around := surroundingsOf(nil, true)
	for b.Loop() {
		plans, _ := newLedger().plan(&around, s.Services, keys, "")
		for _, p := range plans {
			var e encoder
			p.encode(&e)
		}
	}
}
