package docker

import (
	"testing"
	"time"
)

func TestEndsTakeTurnsOnOldEngines(t *testing.T) {
	for version, alone := range map[string]bool{"1.41": true, "1.42": false, "1.44": false} {
		t.Run(version, func(t *testing.T) {
			fake := newFake(t)
			fake.version = version
			clock := fakeClock()
			e := fake.start().connect(Options{Clock: clock})
			free := func() bool {
				got := e.ends.TryAcquire(1)
				if got {
					e.ends.Release(1)
				}
				return got
			}
			done, err := e.turn(t.Context(), time.Hour)
			check(t, err)
			if free() == alone {
				t.Errorf("another may end meanwhile: %v", free())
			}
			done()
			if done(); !free() {
				t.Error("the turn goes on after its end")
			}
			done, err = e.turn(t.Context(), time.Second)
			check(t, err)
			if alone {
				step(t, clock, time.Second)
			}
			eventually(t, free)
			done()
		})
	}
}
