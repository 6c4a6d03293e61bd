package memory

import (
	"context"
	"sync"

	"skiff/docker"
)

// stream is one reader of events. A slow reader delays nobody.
type stream struct {
	mu      sync.Mutex
	pending []docker.Event
	more    chan struct{}
}

func (s *stream) put(e docker.Event) {
	s.mu.Lock()
	s.pending = append(s.pending, e)
	s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
}

func (s *stream) take() []docker.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	events := s.pending
	s.pending = nil
	return events
}

// emit sends an event to all readers, except during an outage. r.mu is held.
func (r *Runtime) emit(e docker.Event) {
	if r.outage != nil {
		return
	}
	for _, s := range r.streams {
		s.put(e)
	}
}

// Events begins with a resync. Another follows each outage.
func (r *Runtime) Events(ctx context.Context) <-chan docker.Event {
	s := &stream{more: make(chan struct{}, 1)}
	r.mu.Lock()
	r.streams = append(r.streams, s)
	if r.outage == nil {
		s.put(docker.Event{Action: docker.ActionResync})
	}
	r.mu.Unlock()
	out := make(chan docker.Event)
	r.goroutines.Go(func() {
		defer close(out)
		defer r.drop(s)
		for {
			for _, e := range s.take() {
				select {
				case out <- e:
				case <-ctx.Done():
					return
				}
			}
			select {
			case <-s.more:
			case <-ctx.Done():
				return
			}
		}
	})
	return out
}

func (r *Runtime) drop(s *stream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, other := range r.streams {
		if other == s {
			r.streams = append(r.streams[:i:i], r.streams[i+1:]...)
			return
		}
	}
}
