//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"

	"skiff/network/protocol"
	"skiff/network/tunnel"
)

// queued is how many updates may wait. They are brought in force together.
const queued = 256

// errReplaced is what a daemon is told that another one has come after.
var errReplaced = errors.New("another daemon has taken over")

// sessions keeps which session is a daemon's that steers the router.
type sessions struct {
	mu      sync.Mutex
	current *tunnel.Session
	// changed is closed when there is another one.
	changed chan struct{}
}

// set makes a session the current one.
func (s *sessions) set(session *tunnel.Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = session
	close(s.changed)
	s.changed = make(chan struct{})
}

// get is the current session, nil for none, and what is closed when there is another one.
func (s *sessions) get() (*tunnel.Session, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil && s.current.Ended() {
		s.current = nil
	}
	return s.current, s.changed
}

// is reports whether a session is the current one.
func (s *sessions) is(session *tunnel.Session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current == session
}

// serveSession serves one end of a tunnel until it ends.
func (r *router) serveSession(ctx context.Context, c net.Conn) {
	session, err := tunnel.Server(c)
	if err != nil {
		slog.Error("a session", "err", err)
		_ = c.Close()
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = session.Close() })
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	_ = session.Accept(func(g protocol.Greeting, s *tunnel.Stream) { // its end is the daemon's
		switch g.Kind {
		case protocol.KindControl:
			r.sessions.set(session)
			err := r.control(ctx, s, func() bool { return r.sessions.is(session) })
			if err != nil && ctx.Err() == nil && !session.Ended() {
				slog.Error("control", "err", err)
			}
			_ = s.Close()
		case protocol.KindDial:
			dial(ctx, g, s)
		default:
			_ = s.Close()
		}
	})
}

// received is an update, or why it is none.
type received struct {
	update *protocol.Update
	err    error
}

// control answers updates until the stream ends. Those that have come meanwhile are brought in force
// together.
func (r *router) control(ctx context.Context, s *tunnel.Stream, current func() bool) error {
	incoming := make(chan received, queued)
	ctx, cancel := context.WithCancel(ctx)
	var reading sync.WaitGroup
	defer reading.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	var readErr error
	reading.Go(func() {
		defer close(incoming)
		readErr = readUpdates(ctx, s, incoming)
	})
	out := json.NewEncoder(s)
	for first := range incoming {
		batch := append([]received{first}, waiting(incoming)...)
		for _, answer := range r.answer(batch, current) {
			if err := out.Encode(answer); err != nil {
				return fmt.Errorf("answer an update: %w", err)
			}
		}
	}
	return readErr
}

// waiting takes what has come already.
func waiting(incoming <-chan received) []received {
	var list []received
	for len(list) < queued {
		select {
		case next, ok := <-incoming:
			if !ok {
				return list
			}
			list = append(list, next)
		default:
			return list
		}
	}
	return list
}

// answer brings updates in force, and returns the answers in their order.
func (r *router) answer(batch []received, current func() bool) []protocol.Answer {
	answers := make([]protocol.Answer, len(batch))
	var updates []*protocol.Update
	var places []int
	for i, one := range batch {
		if one.err == nil && !current() {
			one.err = errReplaced
		}
		if one.err != nil {
			answers[i] = protocol.Answer{Sequence: one.update.Sequence, Error: one.err.Error()}
			continue
		}
		updates, places = append(updates, one.update), append(places, i)
	}
	if len(updates) > 0 {
		done, err := r.update(updates)
		if err != nil {
			slog.Error("an update is not in force", "err", err)
		}
		for i, answer := range done {
			answers[places[i]] = answer
		}
	}
	return answers
}

// readUpdates reads updates. What is JSON and no update is answered; what is no JSON ends the stream,
// for nobody knows where the next update begins.
func readUpdates(ctx context.Context, s *tunnel.Stream, to chan<- received) error {
	in := json.NewDecoder(s.Lines())
	for {
		var raw json.RawMessage
		err := in.Decode(&raw)
		var syntax *json.SyntaxError
		next := received{update: &protocol.Update{}}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &syntax):
			next.err = fmt.Errorf("not JSON: %w", err)
		case err != nil:
			return fmt.Errorf("read an update: %w", err)
		default:
			next.update, next.err = decodeUpdate(raw)
		}
		select {
		case to <- next:
		case <-ctx.Done():
			return nil
		}
		if syntax != nil {
			return next.err
		}
	}
}

// decodeUpdate decodes an update; one that makes no sense has its sequence, if that does.
func decodeUpdate(raw []byte) (*protocol.Update, error) {
	u := &protocol.Update{}
	err := json.NewDecoder(bytes.NewReader(raw)).Decode(u)
	if err == nil {
		return u, nil
	}
	var head struct{ Sequence uint64 }
	_ = json.Unmarshal(raw, &head) // what there is of it
	return &protocol.Update{Sequence: head.Sequence}, fmt.Errorf("not an update: %w", err)
}
