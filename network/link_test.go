package network

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"skiff/docker"
	"skiff/network/program"
	"skiff/network/protocol"
	"skiff/network/tunnel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeRouter is an engine whose router is this: it notes what it is told.
type fakeRouter struct {
	testing.TB
	layout docker.Layout

	mu    sync.Mutex
	lines []string
	ends  []net.Conn
	// refuse is what it answers to a service of this name.
	refuse string
	// session is the newest that has opened a control stream.
	session *tunnel.Session
	serving sync.WaitGroup
}

func newFakeRouter(t testing.TB) *fakeRouter {
	t.Helper()
	layout, err := docker.Divide(netip.MustParsePrefix("10.9.0.0/18"))
	if err != nil {
		t.Fatal(err)
	}
	return &fakeRouter{TB: t, layout: layout}
}

func (f *fakeRouter) EnsureNetwork(context.Context) (docker.Layout, error) { return f.layout, nil }
func (f *fakeRouter) Arch(context.Context) (string, error)                 { return "amd64", nil }
func (f *fakeRouter) Elsewhere() []netip.Addr {
	return []netip.Addr{f.layout.Services.Addr().Next(), f.layout.Engine.Addr().Next(), f.layout.Router.Next().Next()}
}

func (f *fakeRouter) NodeAddress(name string) netip.Addr {
	if name == "new" {
		return netip.Addr{}
	}
	return f.layout.Router.Next()
}

func (f *fakeRouter) EnsureRouter(context.Context, docker.RouterSpec) (string, error) {
	return "router", nil
}

func (f *fakeRouter) Connect(context.Context, string, ...string) (io.ReadWriteCloser, error) {
	mine, theirs := net.Pipe()
	f.mu.Lock()
	f.ends = append(f.ends, mine)
	f.mu.Unlock()
	s, err := tunnel.Server(mine)
	if err != nil {
		return nil, err
	}
	f.serving.Go(func() {
		_ = s.Accept(func(g protocol.Greeting, stream *tunnel.Stream) {
			switch g.Kind {
			case protocol.KindControl:
				f.control(s, stream)
			case protocol.KindDial:
				_ = protocol.WriteLine(stream, protocol.ResultOf(&net.OpError{Op: "dial", Net: g.Network, Err: syscall.ECONNREFUSED}))
				_ = stream.Close()
			}
		})
	})
	return theirs, nil
}

func (f *fakeRouter) control(s *tunnel.Session, stream *tunnel.Stream) {
	in, out := json.NewDecoder(stream.Lines()), json.NewEncoder(stream)
	for {
		var u protocol.Update
		if err := in.Decode(&u); err != nil {
			return
		}
		a := protocol.Answer{Sequence: u.Sequence, Stats: protocol.Stats{DataPath: "nftables"}}
		f.mu.Lock()
		f.session = s
		f.lines = append(f.lines, text(u))
		for _, service := range u.Set {
			if service.Name == f.refuse {
				a.Problems = map[string]string{service.String(): "it is refused"}
			}
		}
		f.mu.Unlock()
		if err := out.Encode(a); err != nil {
			return
		}
	}
}

func text(u protocol.Update) string {
	var words []string
	if u.Config != nil {
		words = append(words, fmt.Sprintf("config %s kept %v", u.Config.Subnet, u.Config.Kept))
	}
	if u.Whole {
		words = append(words, "whole")
	}
	for _, s := range u.Set {
		words = append(words, "set "+s.String())
	}
	for _, k := range u.Delete {
		words = append(words, "delete "+k.String())
	}
	for _, n := range u.Nodes {
		words = append(words, fmt.Sprintf("node %s %s", n.Name, n.Address))
	}
	slices.Sort(words)
	return strings.Join(words, "; ")
}

// cut ends all connections, as when the router is removed.
func (f *fakeRouter) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.ends {
		c.Close()
	}
	f.ends = nil
}

// await waits until the last that was told is want.
func (f *fakeRouter) await(want string) {
	f.Helper()
	var got []string
	for range 500 {
		f.mu.Lock()
		got = slices.Clone(f.lines)
		f.mu.Unlock()
		if len(got) > 0 && got[len(got)-1] == want {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	f.Fatalf("told %q, want at last %q", got, want)
}

func (f *fakeRouter) run(o Options) *Link {
	f.Helper()
	o.Engine, o.Domain = f, "cluster.local"
	if o.Program == nil {
		o.Program = func(string) (string, func() ([]byte, error), error) {
			return "sha256:1", func() ([]byte, error) { return []byte("router"), nil }, nil
		}
	}
	l := New(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	f.Cleanup(func() {
		cancel()
		f.cut()
		if err := <-done; err != nil {
			f.Error(err)
		}
		f.serving.Wait()
	})
	return l
}

func service(name string) protocol.Service {
	return protocol.Service{Key: protocol.Key{Namespace: "default", Name: name}}
}

const whole = "config 10.9.0.0/18 kept [10.9.48.1 10.9.24.3]; node a 10.9.24.2; set default/one; set default/two; whole"

func TestLinkTellsTheRouter(t *testing.T) {
	f := newFakeRouter(t)
	f.refuse = "three"
	told := make(chan string, 10)
	l := f.run(Options{ByRouter: true, Problem: func(_ context.Context, service protocol.Key, why string) {
		told <- service.String() + ": " + why
	}})
	// Nothing is told before everything is known: the router may be serving already.
	l.Set(service("one"))
	nodes := []protocol.Node{{Name: "a"}, {Name: "new"}}
	l.Replace([]protocol.Service{service("one"), service("two")}, nodes)
	f.await(whole)
	l.Set(service("two")) // as it is
	l.Set(service("three"))
	f.await("set default/three")
	if got := <-told; got != "default/three: it is refused" || l.Status().Problems["default/three"] == "" {
		t.Errorf("told is %q, the status has %v", got, l.Status().Problems)
	}
	l.Delete(protocol.Key{Namespace: "default", Name: "three"})
	f.await("delete default/three")
	f.cut()
	f.await(whole) // another router is told everything
	for !l.Status().Connected || len(l.Status().Problems) > 0 {
		time.Sleep(time.Millisecond)
	}
	if s := l.Status(); s.Direct || s.Why != "" || s.Router.DataPath != "nftables" || s.Layout != f.layout {
		t.Errorf("status %+v", s)
	}
}

func TestDialByRouter(t *testing.T) {
	f := newFakeRouter(t)
	l := f.run(Options{ByRouter: true})
	l.Replace(nil, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for _, dial := range []func(context.Context, string, string) (net.Conn, error){l.Dial, l.DialBulk} {
		_, err := dial(ctx, "tcp", "10.9.0.2:80")
		if !errors.Is(err, syscall.ECONNREFUSED) || !strings.Contains(err.Error(), "10.9.0.2:80") {
			t.Errorf("got %v, want a refusal that names the address", err)
		}
	}
	if _, err := l.Dial(ctx, "tcp", "nowhere"); err == nil {
		t.Error("an address that is none was dialled")
	}
}

// TestDialByName: a name is looked up and dialled here, also where pods are reached by the router.
func TestDialByName(t *testing.T) {
	l := New(Options{Engine: newFakeRouter(t), ByRouter: true})
	here, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	_, port, err := net.SplitHostPort(here.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := l.Dial(ctx, "tcp", net.JoinHostPort("localhost", port))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// TestAPICalls: what a pod asks of the API comes out of a listener, with the pod's address.
func TestAPICalls(t *testing.T) {
	f := newFakeRouter(t)
	l := f.run(Options{ByRouter: true})
	l.Replace(nil, nil)
	f.await("config 10.9.0.0/18 kept [10.9.48.1 10.9.24.3]; whole")
	defer l.API().Close()
	f.mu.Lock()
	session := f.session
	f.mu.Unlock()
	stream, err := session.Open(protocol.Greeting{Kind: protocol.KindAPI, Address: "10.9.0.7:40000"})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	c, err := l.API().Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.RemoteAddr().String(); got != "10.9.0.7:40000" {
		t.Errorf("it comes from %s", got)
	}
	if _, err := io.WriteString(stream, "hello"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 5)
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "hello" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestLayoutIsTakenInFirst(t *testing.T) {
	f := newFakeRouter(t)
	tries := 0
	l := f.run(Options{ByRouter: true, Changed: func(_ context.Context, layout docker.Layout) error {
		if tries++; tries == 1 {
			return errors.New("not now")
		}
		if layout != f.layout {
			t.Errorf("layout %+v", layout)
		}
		return nil
	}})
	l.Replace(nil, nil)
	f.await("config 10.9.0.0/18 kept [10.9.48.1 10.9.24.3]; whole")
	if tries != 2 {
		t.Errorf("taken in %d times", tries)
	}
}

func TestBuiltWithoutARouter(t *testing.T) {
	f := newFakeRouter(t)
	told := make(chan Status, 10)
	l := f.run(Options{
		Program: func(string) (string, func() ([]byte, error), error) {
			return "", nil, fmt.Errorf("router: %w", program.ErrNotBuilt)
		},
		Told: func(_ context.Context, s Status) { told <- s },
	})
	l.Replace(nil, nil)
	if s := <-told; s.Connected || !strings.Contains(s.Why, "go generate") {
		t.Errorf("status %+v", s)
	}
}
