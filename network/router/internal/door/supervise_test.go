package door

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"skiff/network/protocol"
)

const childVariable = "SKIFF_DOOR_TEST_CHILD"

func isChild() bool { return os.Getenv(childVariable) != "" }

// runChild is what "/router door" does.
func runChild() {
	if os.Getenv(childVariable) == "fails" {
		os.Exit(3)
	}
	if err := Main(context.Background(), os.Stdin, nil, slog.New(slog.NewTextHandler(os.Stderr, nil))); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// children are those that a supervisor has started.
type children struct {
	mu  sync.Mutex
	all []*exec.Cmd
}

func (c *children) add(cmd *exec.Cmd) *exec.Cmd {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, cmd)
	return cmd
}

func (c *children) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all)
}

func (c *children) last() *exec.Cmd {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all[len(c.all)-1]
}

func TestSupervision(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	command, release, err := Command(l.(*net.TCPListener), os.Args[0], nil, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	var started children
	ctx, cancel := context.WithCancel(t.Context())
	s := Supervise(ctx, func() *exec.Cmd {
		cmd := command()
		cmd.Env = append(os.Environ(), childVariable+"=1")
		return started.add(cmd)
	}, nil)
	defer s.Wait()
	defer cancel()

	at, _ := serve(t, echo, nil)
	for i := range 1000 { // only the newest counts
		s.Set(&protocol.Door{Sites: []protocol.Site{oneSite(fmt.Sprintf("shop%d.localhost", i), to("web", at))}})
	}
	d := &running{t: t, at: l.Addr().String()}
	get := func() bool {
		r, _ := say(t, d.dial(), "GET / HTTP/1.1\r\nHost: shop999.localhost\r\n\r\n")
		return r.StatusCode == http.StatusOK
	}
	until(t, get)
	if err := started.last().Process.Kill(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	until(t, func() bool { return started.count() == 2 })
	// Whoever comes meanwhile is not refused, and waits for the new child.
	if !get() || time.Since(began) > 5*time.Second {
		t.Errorf("a new child does not serve what the old one did, after %s", time.Since(began))
	}
	t.Logf("a new child serves %s after the old one's end", time.Since(began))
	cancel()
	s.Wait()
	if state := started.last().ProcessState; state == nil || !state.Success() {
		t.Errorf("the child has not ended in good order: %v", state)
	}
}

func TestBackoff(t *testing.T) {
	var log bytes.Buffer
	var started children
	ctx, cancel := context.WithCancel(t.Context())
	s := Supervise(ctx, func() *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childVariable+"=fails")
		return started.add(cmd)
	}, slog.New(slog.NewTextHandler(&log, nil)))
	s.Set(&protocol.Door{})
	until(t, func() bool { return started.count() == 3 })
	cancel()
	s.Wait()
	for _, want := range []string{"in=100ms", "in=200ms", "exit status 3"} {
		if !bytes.Contains(log.Bytes(), []byte(want)) {
			t.Errorf("%q is not logged:\n%s", want, log.String())
		}
	}
}

// TestStuckChild has a child that does not read its input and does not end with it.
func TestStuckChild(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := Supervise(ctx, func() *exec.Cmd { return exec.Command("sleep", "60") }, nil)
	large := oneSite("a", protocol.Backend{Problem: string(bytes.Repeat([]byte("x"), 1<<20))})
	for range 100 {
		began := time.Now()
		s.Set(&protocol.Door{Sites: []protocol.Site{large}})
		if time.Since(began) > time.Second {
			t.Fatal("Set waits for the child")
		}
	}
	cancel()
	began := time.Now()
	s.Wait()
	if time.Since(began) > endTimeout+5*time.Second {
		t.Errorf("the child is ended after %s", time.Since(began))
	}
}
