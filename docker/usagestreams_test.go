package docker

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
)

// opened is how many streams an engine holds open.
func (e *Engine) opened() int {
	e.streams.mu.Lock()
	defer e.streams.mu.Unlock()
	return len(e.streams.open)
}

// TestUsageStreams: streams are opened for who asks, shared, and closed some time after the last
// question; what they tell is from now, by whatever clock the engine has.
func TestUsageStreams(t *testing.T) {
	f, clock := newFake(t).start(), fakeClock()
	e := f.connect(Options{Instance: "i", Clock: clock})
	e.cgroups.root = t.TempDir()
	tick := make(chan int)
	f.on("GET /containers/c1/stats", func(w http.ResponseWriter, r *http.Request) {
		for {
			select {
			case n := <-tick:
				var s container.StatsResponse
				s.Read = time.Unix(0, 0).Add(time.Duration(n) * time.Second)
				s.CPUStats.CPUUsage.TotalUsage, s.MemoryStats.Usage = uint64(n)*uint64(time.Millisecond), 1<<20
				check(t, json.NewEncoder(w).Encode(s))
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			}
		}
	})
	f.onJSON("GET /containers/ended/stats", container.StatsResponse{})
	f.onError("GET /containers/gone/stats", 404, "No such container: gone")
	ask := func() string {
		t.Helper()
		found, err := e.Usage(t.Context(), []string{"c1", "ended", "gone"})
		check(t, err)
		u := found["c1"]
		return fmt.Sprint(len(found), " ", u.CPU, " ", u.Memory, " ", u.At.Sub(clock.Now()))
	}
	go func() { tick <- 7 }()
	if got := ask(); got != "1 7ms 1048576 0s" {
		t.Error(got)
	}
	tick <- 8
	eventually(t, func() bool { return ask() == "1 8ms 1048576 1s" }) // a second later, as the engine says
	for range 3 {
		step(t, clock, usageLinger/2)
		ask()
	}
	if n := e.opened(); n != 1 {
		t.Errorf("%d streams are open while somebody asks", n)
	}
	eventually(t, func() bool {
		if clock.HasWaiters() {
			clock.Step(usageLinger / 2)
		}
		return e.opened() == 0
	})
	e.streams.running.Wait()

	go func() { tick <- 9 }()
	if got := ask(); got != "1 9ms 1048576 0s" {
		t.Errorf("asked again: %s", got)
	}
	check(t, e.Close())
	if n := e.opened(); n != 0 {
		t.Errorf("%d streams are open after all", n)
	}
}
