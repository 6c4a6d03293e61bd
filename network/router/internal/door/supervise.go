package door

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"sync"
	"time"

	"skiff/network/protocol"
)

const (
	// A child that has died is replaced after firstBackoff, and each further one after twice the time
	// of the one before, up to lastBackoff. One that has lived for steady counts as well.
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 5 * time.Second
	steady       = 10 * time.Second
	// endTimeout is how long a child may take to end when it is told to.
	endTimeout = 2 * time.Second
)

// Supervisor keeps a front door running in a process of its own, and tells it what to serve. Make one
// with Supervise.
type Supervisor struct {
	command func() *exec.Cmd
	log     *slog.Logger
	done    chan struct{}

	mu    sync.Mutex
	state *protocol.Door
	news  chan struct{} // closed by the next Set
}

// Supervise starts a child and keeps one running until ctx ends: Wait returns when the last one has
// ended. The command is made anew for each; its standard input is the supervisor's, everything else
// the caller's.
func Supervise(ctx context.Context, command func() *exec.Cmd, log *slog.Logger) *Supervisor {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Supervisor{
		command: command, log: log.With("component", "door"),
		done: make(chan struct{}), news: make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		s.run(ctx)
	}()
	return s
}

// Set says what the door is to serve from now on. It does not wait for the door: only the newest
// state counts, and a new child is told it too. The caller does not change the state afterwards.
func (s *Supervisor) Set(state *protocol.Door) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
	close(s.news)
	s.news = make(chan struct{})
}

// Wait waits until the last child has ended, after ctx has.
func (s *Supervisor) Wait() { <-s.done }

// newest is the newest state, nil for none yet, and what is closed when there is a newer one.
func (s *Supervisor) newest() (*protocol.Door, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state, s.news
}

func (s *Supervisor) run(ctx context.Context) {
	backoff := firstBackoff
	for {
		began := time.Now()
		err := s.child(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) >= steady {
			backoff = firstBackoff
		}
		s.log.Error("front door has ended, another is started", "after", time.Since(began).Round(time.Millisecond), "in", backoff, "error", err)
		pause := time.NewTimer(backoff)
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
		backoff = min(2*backoff, lastBackoff)
	}
}

// child runs one child to its end.
func (s *Supervisor) child(ctx context.Context) error {
	cmd := s.command()
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("starting the front door: %w", err)
	}
	if err := cmd.Start(); err != nil {
		_ = in.Close()
		return fmt.Errorf("starting the front door: %w", err)
	}
	s.log.Debug("front door started", "process", cmd.Process.Pid)
	ended := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() { s.feed(ctx, in, ended) })
	group.Go(func() { s.end(ctx, cmd, in, ended) })
	err = cmd.Wait() // this closes in, too
	close(ended)
	group.Wait()
	if err != nil {
		return fmt.Errorf("front door: %w", err)
	}
	return nil
}

// feed tells a child the newest state, and each newer one, until it has ended.
func (s *Supervisor) feed(ctx context.Context, in io.Writer, ended <-chan struct{}) {
	encoder := json.NewEncoder(in)
	for {
		state, news := s.newest()
		if state != nil {
			if err := encoder.Encode(state); err != nil {
				s.log.Debug("front door not told", "error", err)
				return // it has ended, or will be ended
			}
		}
		select {
		case <-news:
		case <-ended:
			return
		case <-ctx.Done():
			return
		}
	}
}

// end ends a child when ctx ends: it is to leave when its input does.
func (s *Supervisor) end(ctx context.Context, cmd *exec.Cmd, in io.Closer, ended <-chan struct{}) {
	select {
	case <-ended:
		return
	case <-ctx.Done():
	}
	_ = in.Close() // a child that is gone has closed it
	patience := time.NewTimer(endTimeout)
	defer patience.Stop()
	select {
	case <-ended:
	case <-patience.C:
		_ = cmd.Process.Kill() // it may have ended just now
	}
}
