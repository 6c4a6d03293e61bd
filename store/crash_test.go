package store

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"

	"k8s.io/utils/clock"
)

// crashChildEnv makes this test binary the child that is killed; its value is the
// database.
const crashChildEnv = "SKIFF_STORE_CRASH_CHILD"

const crashWorkers = 8

// crashChild writes until it is killed. Each worker has a pair of things, always
// changed in one commit, and a step it counts in their text: create, update,
// update, delete, create … After each commit it writes "worker step revision"
// to stdout.
func crashChild(path string) {
	s, err := Open(Options{Path: path, Codec: jsonCodec{}, Clock: clock.RealClock{}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for worker := range crashWorkers {
		go func() {
			for {
				if err := crashStep(s, worker); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
			}
		}()
	}
	fmt.Fprintln(os.Stderr, s.Run(context.Background()))
	os.Exit(1)
}

func crashStep(s *Store, worker int) error {
	left, right, counter := crashKeys(worker)
	count, _ := s.Get(counter)
	step := stepOf(count) + 1
	changes := []Change{{Key: counter, Expect: expectOf(count), Object: newThing("", counter.Name, fmt.Sprint(step))}}
	for _, k := range []Key{left, right} {
		had, _ := s.Get(k)
		c := Change{Key: k, Expect: expectOf(had)}
		if step%4 != 0 {
			c.Object = newThing("", k.Name, fmt.Sprint(step))
		}
		changes = append(changes, c)
	}
	if step%4 == 0 && changes[1].Expect == 0 {
		return fmt.Errorf("worker %d has nothing to delete at step %d", worker, step)
	}
	objects, err := s.Commit(context.Background(), changes...)
	if err != nil {
		return err
	}
	_, err = fmt.Println(worker, step, objects[2].GetResourceVersion())
	return err
}

func crashKeys(worker int) (left, right, counter Key) {
	name := fmt.Sprintf("worker-%d", worker)
	return Key{"lefts", "", name}, Key{"rights", "", name}, Key{"counters", "", name}
}

func expectOf(o Object) uint64 {
	if o == nil {
		return 0
	}
	var revision uint64
	_, _ = fmt.Sscan(o.GetResourceVersion(), &revision)
	return revision
}

func stepOf(o Object) int {
	if o == nil {
		return 0
	}
	var step int
	_, _ = fmt.Sscan(o.(*thing).Text, &step)
	return step
}

// What was acknowledged before a kill -9 is there afterwards, whole, and the
// database opens.
func TestKill(t *testing.T) {
	path := t.TempDir() + "/skiff.db"
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	acknowledged, revision := map[int]int{}, uint64(1)
	for range rounds {
		revision = max(revision, crashRound(t, path, 1+rand.IntN(400), acknowledged))
		crashCheck(t, path, acknowledged, revision)
	}
}

// crashRound lets a child acknowledge so many commits, kills it, and notes all that
// it had acknowledged by then.
func crashRound(t *testing.T, path string, commits int, acknowledged map[int]int) (newest uint64) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), crashChildEnv+"="+path)
	var stderr bytes.Buffer
	child.Stderr = &stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n := 1; lines.Scan(); n++ {
		var worker, step int
		var revision uint64
		if _, err := fmt.Sscan(lines.Text(), &worker, &step, &revision); err != nil {
			continue // the line that was cut off
		}
		acknowledged[worker], newest = step, max(newest, revision)
		if n == commits {
			if err := child.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	_ = child.Wait() // killed
	if stderr.Len() > 0 {
		t.Fatalf("child: %s", &stderr)
	}
	return newest
}

func crashCheck(t *testing.T, path string, acknowledged map[int]int, revision uint64) {
	t.Helper()
	f := openOnly(t, path)
	defer f.stop()
	if got := f.Revision(); got < revision {
		t.Errorf("revision %d, acknowledged was %d", got, revision)
	}
	for worker := range crashWorkers {
		left, right, counter := crashKeys(worker)
		l, _ := f.Get(left)
		r, _ := f.Get(right)
		c, _ := f.Get(counter)
		step, want := stepOf(c), acknowledged[worker]
		if step < want || step > want+1 {
			t.Errorf("worker %d is at step %d, acknowledged was %d", worker, step, want)
		}
		if step%4 == 0 {
			step = 0 // both deleted
		}
		if stepOf(l) != step || stepOf(r) != step {
			t.Errorf("worker %d at step %d: the pair is at %d and %d", worker, stepOf(c), stepOf(l), stepOf(r))
		}
		acknowledged[worker] = stepOf(c)
	}
}
