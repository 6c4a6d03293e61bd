package ui

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"skiff/cli/report"
)

// pace is the shortest time between two messages: five a second are as good as any more to the eye.
const pace = 200 * time.Millisecond

// beat is the longest time without a message: the page then knows that the connection is gone.
const beat = 10 * time.Second

// patience is how long a browser may take to take a message. One that does not is cut off, and may come again.
const patience = 20 * time.Second

// changes sends what there is, then what changes, as server-sent events. Nothing waits for a slow browser and
// nothing is queued for it: when it has taken a message it gets what has changed since.
func (s *server) changes(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	out := newPatient(w)
	var seen report.Seen
	for {
		changed := s.recorder.Changed()
		text, now, err := s.recorder.Since(seen)
		if err != nil {
			return
		}
		seen = now
		if _, err := fmt.Fprintf(out, "data: %s\n\n", text); err != nil {
			return
		}
		if !s.pause(r.Context(), pace, nil) || !s.pause(r.Context(), beat, changed) {
			return
		}
	}
}

// patient writes to a browser at once, and gives up on one that does not take it.
type patient struct {
	http.ResponseWriter
	*http.ResponseController
}

func newPatient(w http.ResponseWriter) patient { return patient{w, http.NewResponseController(w)} }

// Write writes and flushes.
func (p patient) Write(text []byte) (int, error) {
	if err := p.renew(); err != nil {
		return 0, err
	}
	n, err := p.ResponseWriter.Write(text)
	if err == nil {
		err = p.Flush()
	}
	return n, err
}

// renew has the time that a browser may take begin anew. It is the connection's, and so the real clock's.
func (p patient) renew() error { return p.SetWriteDeadline(time.Now().Add(patience)) }

// pause waits for a time, or until something has changed. It reports false when the request has ended.
func (s *server) pause(ctx context.Context, most time.Duration, changed <-chan struct{}) bool {
	timer := s.clock.NewTimer(most)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-changed:
	case <-timer.C():
	}
	return true
}
