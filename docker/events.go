package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"
)

const (
	// maxPending bounds what waits for a slow receiver; beyond it a resync stands for all.
	maxPending = 10_000
	// The first and the longest pause before the stream is opened anew.
	minReconnect = 100 * time.Millisecond
	maxReconnect = 5 * time.Second
)

// Events tells of what happens to this instance's containers until ctx ends; then it closes the
// channel. An ActionResync comes first, and again each time the stream has been opened anew or a
// slow receiver fell too far behind: events may be missing before it, so list again. What happens
// after it is not missed. The same event may come twice.
func (e *Engine) Events(ctx context.Context) <-chan Event {
	in, out := make(chan Event), make(chan Event)
	go func() {
		defer close(in)
		e.follow(ctx, in)
	}()
	go func() {
		defer close(out)
		relay(ctx, in, out)
	}()
	return out
}

// relay takes events off the stream at once, whatever the receiver does: an engine drops events for
// a reader that lags by more than a thousand, and does not say so.
func relay(ctx context.Context, in <-chan Event, out chan<- Event) {
	var pending []Event
	for {
		var next Event
		var ready chan<- Event
		if len(pending) > 0 {
			next, ready = pending[0], out
		}
		select {
		case <-ctx.Done():
			for range in { // until follow has ended
			}
			return
		case event, open := <-in:
			if !open {
				return
			}
			if len(pending) >= maxPending || event.Action == ActionResync {
				event, pending = Event{Action: ActionResync, At: event.At}, nil // it stands for all before it
			}
			pending = append(pending, event)
		case ready <- next:
			pending = pending[1:]
		}
	}
}

// follow keeps the stream open until ctx ends.
func (e *Engine) follow(ctx context.Context, in chan<- Event) {
	pause := minReconnect
	for ctx.Err() == nil {
		opened, err := e.readEvents(ctx, in)
		if ctx.Err() != nil {
			return
		}
		if opened {
			pause = minReconnect
			e.log.Warn("docker event stream broke; opening it anew", "error", err)
		} else {
			e.log.Debug("docker event stream not opened", "error", err, "retry", pause)
		}
		if e.pause(ctx, pause) != nil {
			return
		}
		pause = min(2*pause, maxReconnect)
	}
}

// readEvents reads one stream to its end and reports whether there was one.
func (e *Engine) readEvents(ctx context.Context, in chan<- Event) (opened bool, err error) {
	err = e.stream(ctx, "events", "", func(ctx context.Context, c *client.Client) error {
		// The engine answers before it subscribes; asking for what happened since now closes that
		// gap.
		now := e.clock.Now()
		query, err := e.eventQuery(now)
		if err != nil {
			return err
		}
		answer, err := e.get(ctx, c, "/events", query)
		if err != nil {
			return err
		}
		defer func() { _ = answer.Body.Close() }() // only read from
		opened = true
		in <- Event{Action: ActionResync, At: now}
		decoder := json.NewDecoder(answer.Body)
		for {
			var m events.Message
			if err := decoder.Decode(&m); err != nil {
				return err
			}
			in <- fromMessage(m)
		}
	})
	return opened, err
}

func (e *Engine) eventQuery(since time.Time) (url.Values, error) {
	chosen := e.own()
	chosen.Add("type", string(events.ContainerEventType))
	// Only these: each exec of a probe would send three more.
	for _, action := range []Action{ActionStart, ActionDie, ActionOOM, ActionKill, ActionDestroy} {
		chosen.Add("event", string(action))
	}
	encoded, err := filters.ToJSON(chosen)
	if err != nil {
		return nil, fmt.Errorf("encode filter: %w", err)
	}
	return url.Values{"since": {timestamp(since)}, "filters": {encoded}}, nil
}

// fromMessage reads an event. The engine puts facts of its own among the labels, and over labels of
// the same name: so labels named image, name, exitCode, execDuration or signal
// are not seen here.
func fromMessage(m events.Message) Event {
	labels := maps.Clone(m.Actor.Attributes)
	event := Event{Action: Action(m.Action), ID: m.Actor.ID, At: time.Unix(0, m.TimeNano)}
	if event.Action == ActionDie {
		event.ExitCode, _ = strconv.Atoi(labels["exitCode"]) // the engine always writes it
	}
	if event.Action == ActionKill {
		number, _ := strconv.Atoi(labels["signal"])
		event.Signal = syscall.Signal(number)
	}
	for _, own := range []string{"image", "name", "exitCode", "execDuration", "signal"} {
		delete(labels, own)
	}
	event.Labels = labels
	return event
}

// timestamp is the engine's form of a time: seconds and nanoseconds.
func timestamp(t time.Time) string {
	return strconv.FormatInt(t.Unix(), 10) + "." + nanos(t)
}

func nanos(t time.Time) string {
	digits := strconv.Itoa(1_000_000_000 + t.Nanosecond())
	return digits[1:]
}
