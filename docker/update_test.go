package docker

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/docker/docker/api/types/container"
)

func TestUpdate(t *testing.T) {
	f := newFake(t).start()
	var asked container.UpdateConfig
	f.on("POST /containers/c1/update", func(w http.ResponseWriter, r *http.Request) {
		asked = container.UpdateConfig{}
		check(t, json.NewDecoder(r.Body).Decode(&asked))
		writeJSON(w, http.StatusOK, container.UpdateResponse{})
	})
	e := f.connect(Options{Instance: "i"})
	for _, c := range []struct {
		r    Resources
		want string
	}{
		{Resources{CPUShares: 512, CPUQuota: 50000, CPUPeriod: 100000, Memory: 64 << 20, MemoryReservation: 32 << 20, OOMScoreAdj: 7},
			"shares 512 quota 50000 of 100000 memory 67108864 swap 67108864 reservation 33554432 restart "},
		{Resources{CPUShares: 2, Memory: 64 << 20}, "shares 2 quota 0 of 0 memory 67108864 swap 67108864 reservation 67108864 restart "},
		{Resources{CPUShares: 2}, "shares 2 quota 0 of 0 memory 0 swap 0 reservation 0 restart "},
	} {
		check(t, e.Update(t.Context(), "c1", c.r))
		got := fmt.Sprintf("shares %d quota %d of %d memory %d swap %d reservation %d restart %s", asked.CPUShares, asked.CPUQuota, asked.CPUPeriod,
			asked.Memory, asked.MemorySwap, asked.MemoryReservation, asked.RestartPolicy.Name)
		if got != c.want {
			t.Errorf("asked %s\nwant  %s", got, c.want)
		}
	}
	f.onError("POST /containers/gone/update", 404, "No such container: gone")
	wantKind(t, e.Update(t.Context(), "gone", Resources{}), ErrNotFound)
}

func TestMemoryUsage(t *testing.T) {
	f := newFake(t).start()
	e := f.connect(Options{Instance: "i"})
	for stats, want := range map[string]int64{
		`{"usage": 100, "stats": {"total_inactive_file": 30, "inactive_file": 10}}`: 70,
		`{"usage": 100, "stats": {"inactive_file": 10}}`:                            90,
		`{"usage": 100, "stats": {"inactive_file": 200}}`:                           0,
		`{}`: 0,
	} {
		f.onJSON("GET /containers/c1/stats", map[string]any{"memory_stats": json.RawMessage(stats)})
		got, err := e.MemoryUsage(t.Context(), "c1")
		if err != nil || got != want {
			t.Errorf("%s: %d, %v, want %d", stats, got, err, want)
		}
	}
}
