package testbed

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"skiff/manifests/registry"
	"skiff/store"
)

// Steps has everybody who reads and writes through a bed wait at each step until it is chosen, one
// at a time, in an order drawn from a seed: so the steps of several loops come in every order that
// they might, and a decision is made on what another changes before it is carried out.
//
// A write waits before it reads what it changes, and a read through Stepped before it reads. A write
// itself is one step: if another came between its read and its commit, it would begin anew. Steps
// need the bubble of a synctest.
type Steps struct {
	mu      sync.Mutex
	on      bool
	waiting []*step
	trace   []string
	writes  int
	// names numbers the names and UIDs of objects, which are drawn by chance, as they come up.
	names map[string]int
	// chosen are the writes whose turn it is.
	chosen map[string]bool
}

type step struct {
	name string
	// number counts writes, from 1 on, and is 0 for reads.
	number int
	write  bool
	chosen chan struct{}
}

// NewStepped is New for a bed whose steps can be interleaved. Until Interleave is called, and after
// it, nobody waits.
func NewStepped(t testing.TB) (*Bed, *Steps) {
	s := &Steps{}
	return newBed(t, s), s
}

// Admit has a write wait. An update or a deletion, which has read what it changes already, then
// begins anew, as if it had been overtaken.
func (s *Steps) Admit(_ context.Context, r registry.Request) error {
	what := strings.TrimSuffix(fmt.Sprintf("%v %s %s", r.Operation, r.Kind.Resource, r.Subresource), " ")
	if r.Operation == registry.Create {
		s.wait(what, r.Name)
		return nil
	}
	write := fmt.Sprint(goroutine(), " ", what, " ", r.Name)
	s.mu.Lock()
	its := s.chosen[write]
	delete(s.chosen, write)
	s.mu.Unlock()
	if its || !s.wait(what, r.Name) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.chosen == nil {
		s.chosen = map[string]bool{}
	}
	s.chosen[write] = true
	return store.ErrConflict{}
}

// goroutine is the number of the one that calls it.
func goroutine() string {
	stack := make([]byte, 64)
	number, _, _ := strings.Cut(strings.TrimPrefix(string(stack[:runtime.Stack(stack, false)]), "goroutine "), " ")
	return number
}

// wait waits for the turn of a step about what has a name or a UID. It reports whether it had to.
func (s *Steps) wait(what, name string) bool {
	w := &step{chosen: make(chan struct{})}
	s.mu.Lock()
	on := s.on
	if on {
		w.name = fmt.Sprintf("%s %d by %s", what, s.number(name), callers())
		w.write = !strings.HasPrefix(what, "GET") && !strings.HasPrefix(what, "LIST")
		s.waiting = append(s.waiting, w)
	}
	s.mu.Unlock()
	if on {
		<-w.chosen
	}
	return on
}

func (s *Steps) number(name string) int {
	n, known := s.names[name]
	if !known {
		if s.names == nil {
			s.names = map[string]int{}
		}
		n = len(s.names)
		s.names[name] = n
	}
	return n
}

// callers names the functions of controllers and tests that are being called, the innermost first.
// They tell apart the steps of different loops.
func callers() string {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	var names []string
	for {
		f, more := frames.Next()
		if strings.HasPrefix(f.Function, "skiff/orchestrator") && !strings.Contains(f.Function, "/testbed.") && !strings.Contains(f.Function, "/controller.") {
			names = append(names, f.Function[strings.LastIndex(f.Function, "/")+1:])
		}
		if !more {
			return strings.Join(names, " < ")
		}
	}
}

// quiet is how long nothing must happen until Interleave is at its end. It is longer than the
// backoff of a key that has failed a few times.
const quiet = 2 * time.Second

// Interleave does acts beside what the bed's controllers do, each in a goroutine of its own, and
// returns when nothing has happened for a while. The order of the steps is drawn from seed. With
// every second seed one write has to wait until there is nothing else to do: each of the first
// sixteen writes is held back so in turn.
func (s *Steps) Interleave(seed uint64, acts ...func()) {
	source := rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // it must be the same for each run
	s.turn(true)
	var group sync.WaitGroup
	for _, act := range acts {
		group.Go(act)
	}
	held := 0
	if seed%2 == 0 {
		held = 1 + int(seed/2)%16 //nolint:gosec // it is small
	}
	for idle := false; ; {
		synctest.Wait()
		switch {
		case s.choose(source, held):
			idle = false
		case !idle:
			time.Sleep(quiet) //nolint:forbidigo // the clock of a synctest bubble
			idle = true
		case held > 0:
			held = 0
		default:
			s.turn(false)
			group.Wait()
			return
		}
	}
}

// choose lets one of those who wait go on, other than the write of the number held, and reports
// whether there is one.
func (s *Steps) choose(source *rand.Rand, held int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	// They have come in any order.
	slices.SortStableFunc(s.waiting, func(a, b *step) int { return strings.Compare(a.name, b.name) })
	var free []int
	for i, w := range s.waiting {
		if w.write && w.number == 0 {
			s.writes++
			w.number = s.writes
		}
		if held == 0 || w.number != held {
			free = append(free, i)
		}
	}
	if len(free) == 0 {
		return false
	}
	i := free[source.IntN(len(free))]
	w := s.waiting[i]
	s.waiting = slices.Delete(s.waiting, i, i+1)
	s.trace = append(s.trace, w.name)
	close(w.chosen)
	return true
}

func (s *Steps) turn(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on = on
	for _, w := range s.waiting {
		close(w.chosen)
	}
	s.waiting = nil
}

// Trace is the steps in the order in which they were taken, one a line.
func (s *Steps) Trace() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.trace, "\n")
}

// Stepped is a client each of whose reads is a step too.
type Stepped[T store.Object] struct {
	registry.Client[T]
	Steps *Steps
}

// StepsOf returns the client of a bed's objects of one kind.
func StepsOf[T store.Object](b *Bed, s *Steps) Stepped[T] {
	return Stepped[T]{registry.For[T](b.Registry), s}
}

// Get waits, and reads an object.
func (c Stepped[T]) Get(namespace, name string) (T, error) {
	c.Steps.wait(fmt.Sprintf("GET %T", *new(T)), name)
	return c.Client.Get(namespace, name)
}

// List waits, and reads the objects of a namespace.
func (c Stepped[T]) List(namespace string, selector labels.Selector) []T {
	c.Steps.wait(fmt.Sprintf("LIST %T", *new(T)), namespace)
	return c.Client.List(namespace, selector)
}

// ByIndex waits, and reads the objects of an index.
func (c Stepped[T]) ByIndex(index, value string) []T {
	c.Steps.wait(fmt.Sprintf("LIST %T by %s", *new(T), index), value)
	return c.Client.ByIndex(index, value)
}

// Seeds are those that a test of interleavings tries: so many with -short, five times as many
// otherwise, or as many as SKIFF_SEEDS says.
func Seeds(t testing.TB, short uint64) uint64 {
	t.Helper()
	if text := os.Getenv("SKIFF_SEEDS"); text != "" {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			t.Fatalf("SKIFF_SEEDS: %v", err)
		}
		return n
	}
	if testing.Short() {
		return short
	}
	return 5 * short
}
