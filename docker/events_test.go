package docker

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

// eventStreams is the fake engine's side of /events: each connection comes out of opened, and what
// is sent to it goes down the wire until it is closed.
type eventStreams struct {
	opened  chan chan string
	queries chan url.Values
}

func (f *fakeEngine) onEvents() *eventStreams {
	s := &eventStreams{opened: make(chan chan string, 1), queries: make(chan url.Values, 1)}
	f.on("GET /events", func(w http.ResponseWriter, r *http.Request) {
		s.queries <- r.URL.Query()
		lines := make(chan string)
		w.WriteHeader(http.StatusOK)
		flusher := w.(http.Flusher)
		flusher.Flush()
		s.opened <- lines
		for {
			select {
			case <-r.Context().Done():
				return
			case line, open := <-lines:
				if !open {
					return
				}
				_, _ = w.Write([]byte(line))
				flusher.Flush()
			}
		}
	})
	return s
}

func next(t *testing.T, events <-chan Event) Event {
	t.Helper()
	select {
	case event, open := <-events:
		if !open {
			t.Fatal("the events have ended")
		}
		return event
	case <-time.After(10 * time.Second):
		t.Fatal("no event")
	}
	return Event{}
}

func TestEvents(t *testing.T) {
	fake := newFake(t).start()
	streams := fake.onEvents()
	clock := fakeClock()
	ctx, cancel := context.WithCancel(t.Context())
	events := fake.connect(Options{Clock: clock}).Events(ctx)

	if event := next(t, events); event.Action != ActionResync {
		t.Fatalf("first event %+v, want a resync", event)
	}
	query := <-streams.queries
	if query.Get("since") != "1746100800.000000000" {
		t.Errorf("since %q: what happens between the engine's answer and its subscription is lost", query.Get("since"))
	}
	var filter map[string]map[string]bool
	check(t, json.Unmarshal([]byte(query.Get("filters")), &filter))
	want := map[string]map[string]bool{
		"label": {"skiff/instance=i": true}, "type": {"container": true},
		"event": {"start": true, "die": true, "oom": true, "kill": true, "destroy": true},
	}
	if !reflect.DeepEqual(filter, want) {
		t.Errorf("filter %v, want %v", filter, want)
	}

	lines := <-streams.opened
	lines <- `{"Type":"container","Action":"die","Actor":{"ID":"c1","Attributes":{"image":"kubia","name":"web","exitCode":"137","execDuration":"3","app":"kubia"}},"timeNano":1746100801000000002}` + "\n"
	if event, want := next(t, events), (Event{
		Action: ActionDie, ID: "c1", ExitCode: 137, Labels: map[string]string{"app": "kubia"}, At: time.Unix(1746100801, 2),
	}); !reflect.DeepEqual(event, want) {
		t.Errorf("event %+v, want %+v", event, want)
	}
	lines <- `{"Type":"container","Action":"kill","Actor":{"ID":"c1","Attributes":{"image":"kubia","name":"web","signal":"15","app":"kubia"}},"timeNano":1746100801000000003}` + "\n"
	if event, want := next(t, events), (Event{
		Action: ActionKill, ID: "c1", Signal: syscall.SIGTERM, Labels: map[string]string{"app": "kubia"}, At: time.Unix(1746100801, 3),
	}); !reflect.DeepEqual(event, want) {
		t.Errorf("event %+v, want %+v", event, want)
	}
	cancel()
	for range events { // it ends with its context
	}
}

func TestEventsAfterTheStreamBroke(t *testing.T) {
	fake := newFake(t).start()
	streams := fake.onEvents()
	clock := fakeClock()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events := fake.connect(Options{Clock: clock}).Events(ctx)
	next(t, events)
	<-streams.queries
	lines := <-streams.opened
	lines <- `{"Action":"start","Actor":{"ID":"c1"}}{"Action":"die","Act` // cut off within an event
	if event := next(t, events); event.ID != "c1" {
		t.Fatalf("event %+v", event)
	}
	close(lines)
	step(t, clock, minReconnect)
	if event := next(t, events); event.Action != ActionResync {
		t.Fatalf("event after the break %+v, want a resync", event)
	}
	<-streams.queries
	<-streams.opened

	// The engine goes away altogether; while it is away nothing is sent, and the pauses grow.
	fake.stop()
	for pause := minReconnect; pause < maxReconnect; pause *= 2 {
		step(t, clock, pause-1)
		if !clock.HasWaiters() {
			t.Fatalf("tried again before %s had passed", pause)
		}
		clock.Step(1)
	}
	eventually(t, clock.HasWaiters) // it has failed once more
	fake.start()
	clock.Step(maxReconnect)
	if event := next(t, events); event.Action != ActionResync {
		t.Fatalf("event after the engine's return %+v, want a resync", event)
	}
	cancel()
	for range events {
	}
}

func TestEventsRefused(t *testing.T) {
	fake := newFake(t).start()
	fake.onError("GET /events", http.StatusInternalServerError, "no")
	clock := fakeClock()
	ctx, cancel := context.WithCancel(t.Context())
	events := fake.connect(Options{Clock: clock}).Events(ctx)
	step(t, clock, minReconnect)
	eventually(t, clock.HasWaiters)
	if asked := fake.requests(); asked != "GET /events\nGET /events" {
		t.Errorf("asked %q", asked)
	}
	select {
	case event := <-events:
		t.Errorf("event %+v from a stream that was never opened", event)
	default:
	}
	cancel()
	for range events {
	}
}

func TestRelayNeverDropsSilently(t *testing.T) {
	in, out := make(chan Event), make(chan Event)
	ended := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(ended)
		relay(ctx, in, out)
	}()
	for i := range maxPending {
		in <- Event{Action: ActionStart, ID: strings.Repeat("x", i%3+1)}
	}
	in <- Event{Action: ActionDie, ID: "one too many"}
	in <- Event{Action: ActionDie, ID: "after"}
	if event := <-out; event.Action != ActionResync {
		t.Errorf("first %+v, want a resync for all that was dropped", event)
	}
	if event := <-out; event.ID != "after" {
		t.Errorf("then %+v, want what came after", event)
	}
	in <- Event{Action: ActionStart, ID: "stale"}
	in <- Event{Action: ActionResync}
	if event := <-out; event.Action != ActionResync {
		t.Errorf("got %+v: a resync makes what is before it needless", event)
	}
	cancel()
	close(in)
	<-ended
}
