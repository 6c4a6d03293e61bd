package scheduling

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"skiff/orchestrator/controller"
)

// TestQueue plays acts on a queue and writes down which pods come out when.
func TestQueue(t *testing.T) {
	for _, c := range []struct{ name, acts, want string }{
		{"in the order in which they came", "put a, put b, put c, next 3", "0s a b c"},
		{"the important ones first", "put a, put b 5, put c 9, put d 5, next 4", "0s c b d a"},
		{"one that is worked on is not handed out", "put a, put a, next 2", "0s a -"},
		{"one that was changed meanwhile is, again", "put a, next 1, put a, failed a, next 1, done a, next 1", "0s a - a"},
		{"one that fits nowhere waits", "put a, next 1, failed a, done a, next 1, pass 4m59s, next 1", "0s a - 4m59s -"},
		{"but is looked at again", "put a, next 1, failed a, done a, next 1, pass 6m, next 1", "0s a - 6m0s a"},
		{"until it is woken", "put a, next 1, failed a, done a, wake a, next 1", "0s a a"},
		{"also while its failure is written", "put a, next 1, failed a, wake a, next 1, done a, next 1", "0s a - a"},
		{"then it rests for a second", "put a, next 1, failed a, done a, wake a, next 1, failed a, done a, wake a, next 1, pass 999ms, next 1, pass 1ms, next 1",
			"0s a a - 999ms - 1s a"},
		{"and for twice as long", "put a, try a 3, wake a, pass 1999ms, next 1, pass 1ms, next 1", "0s 1.999s - 2s a"},
		{"but never for more than ten", "put a, try a 60, wake a, pass 10s, next 1", "0s 10s a"},
		{"a rest counts from the try", "put a, try a 3, pass 1h, wake a, next 1", "0s 1h0m0s a"},
		{"a change ends the rest", "put a, try a 9, wake a, put a, next 1", "0s a"},
		{"what could not be written is tried a second later", "put a, next 1, retry a, next 1, pass 1s, next 1", "0s a - 1s a"},
		{"dropped", "put a, put b, drop a, next 2", "0s b -"},
		{"dropped while worked on", "put a, next 1, drop a, done a, next 1", "0s a -"},
		{"another of its name", "put a, next 1, replace a, next 1, done a, next 1", "0s a a -"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := play(t, c.acts); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

// stage is a queue and what was handed out of it.
type stage struct {
	q     *queue
	start time.Time
	now   time.Time
	out   map[string]*entry
	text  []string
}

func play(t *testing.T, acts string) string {
	start := time.Unix(0, 0)
	s := &stage{q: newQueue(), start: start, now: start, out: map[string]*entry{}, text: []string{"0s"}}
	for _, act := range strings.Split(acts, ", ") {
		words := append(strings.Fields(act), "", "")
		var n int
		_, _ = fmt.Sscan(words[2], &n)
		s.act(t, words[0], words[1], n)
	}
	return strings.Join(s.text, " ")
}

func (s *stage) act(t *testing.T, verb, name string, n int) {
	p := makePod(fmt.Sprintf("%s priority=%d", name, n))
	e := s.out[name]
	switch verb {
	case "put":
		s.q.put(p)
	case "replace":
		p.UID = "another"
		s.q.put(p)
	case "drop":
		s.q.drop(controller.NameOf(p))
	case "next":
		_, _ = fmt.Sscan(name, &n)
		for range n {
			s.next()
		}
	case "failed":
		s.q.failed(e, newPod(p), false, s.now)
	case "done":
		s.q.done(e)
	case "try": // in vain, so often
		e, _ = s.q.next(s.now)
		for range n {
			s.q.failed(e, newPod(p), false, s.now)
		}
		s.q.done(e)
		s.out[name] = e
	case "wake":
		s.q.wake(e, false, s.now)
	case "retry":
		s.q.retry(e, s.now)
	case "pass":
		d, err := time.ParseDuration(name)
		if err != nil {
			t.Fatal(err)
		}
		s.now = s.now.Add(d)
		s.text = append(s.text, s.now.Sub(s.start).String())
	default:
		t.Fatalf("no act %q", verb)
	}
}

func (s *stage) next() {
	e, _ := s.q.next(s.now)
	if e == nil {
		s.text = append(s.text, "-")
		return
	}
	if s.out[e.name.Name] == nil {
		s.out[e.name.Name] = e
	}
	s.text = append(s.text, e.name.Name)
}
