package docker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"go.uber.org/goleak"
)

// The tests in *_engine_test.go use the machine's Docker Engine. Each has an instance of its own
// and leaves nothing.

func TestMain(m *testing.M) {
	code := m.Run()
	if err := removeTestImage(); err != nil {
		fmt.Fprintln(os.Stderr, "remove test image:", err)
		code = 1
	}
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// bench is an engine, a network and what a test needs to make containers.
type bench struct {
	*Engine
	t         testing.TB
	addresses *Addresses
	count     int
}

// realEngine connects to the machine's engine under a fresh instance, and skips the test where
// there is none: except with CI=true, where that is a failure.
func realEngine(t testing.TB, o Options) *Engine {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED with -short, this test needs a Docker Engine")
	}
	o.Instance = "test-" + randomName()
	o.Logger = slog.New(slog.DiscardHandler)
	e, err := Connect(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { check(t, e.Close()) })
	if err := e.Ping(t.Context()); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("this test needs a Docker Engine: %v", err)
		}
		t.Skipf("SKIPPED, this test needs a Docker Engine: %v", err)
	}
	return e
}

func newBench(t testing.TB) *bench { return benchWith(t, Options{}) }

func benchWith(t testing.TB, o Options) *bench {
	t.Helper()
	e := realEngine(t, o)
	t.Cleanup(func() { check(t, e.PruneInstance(context.WithoutCancel(t.Context()))) })
	layout, err := e.EnsureNetwork(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	testImage(t, e)
	return &bench{Engine: e, t: t, addresses: PodAddresses(layout)}
}

func randomName() string {
	var raw [4]byte
	_, _ = rand.Read(raw[:]) // never fails
	return hex.EncodeToString(raw[:])
}

// spec is a container that runs the helper program with args.
func (b *bench) spec(args ...string) ContainerSpec {
	b.t.Helper()
	b.count++
	name := fmt.Sprintf("%s-%d", b.Instance(), b.count)
	return ContainerSpec{Name: name, Image: testImageRef, Args: args, Network: Network{IP: b.address(name)}}
}

func (b *bench) address(key string) netip.Addr {
	b.t.Helper()
	address, err := b.addresses.Allocate(key)
	if err != nil {
		b.t.Fatal(err)
	}
	return address
}

func (b *bench) create(spec ContainerSpec) string {
	b.t.Helper()
	id, err := b.Create(b.t.Context(), spec)
	if err != nil {
		b.t.Fatal(err)
	}
	return id
}

func (b *bench) start(id string) string {
	b.t.Helper()
	check(b.t, b.Start(b.t.Context(), id))
	return id
}

func (b *bench) run(args ...string) string {
	b.t.Helper()
	return b.start(b.create(b.spec(args...)))
}

// awaitLog waits until a line of the container's log contains text.
func (b *bench) awaitLog(id, text string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 20*time.Second)
	defer cancel()
	seen := &finder{text: text, found: cancel}
	err := b.Logs(ctx, id, LogOptions{Follow: true, Stdout: true, Stderr: true, Tail: -1}, seen, seen)
	if !seen.done {
		b.t.Fatalf("log of %.12s ended without %q: %v\n%s", id, text, err, seen.all.String())
	}
}

// finder calls found when text has been written to it.
type finder struct {
	text  string
	found func()
	all   strings.Builder
	done  bool
}

func (f *finder) Write(p []byte) (int, error) {
	f.all.Write(p)
	if !f.done && strings.Contains(f.all.String(), f.text) {
		f.done = true
		f.found()
	}
	return len(p), nil
}

// ended waits for a container's death and gives its last state.
func (b *bench) ended(id string) Container {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 20*time.Second)
	defer cancel()
	check(b.t, b.wait(ctx, id, "not-running"))
	c, err := b.Inspect(ctx, id)
	check(b.t, err)
	return c
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t testing.TB, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("got error %v, want one that is %q", err, kind)
	}
}

// The image of the engine tests holds one static program, built here; nothing is pulled.
var (
	testImageRef  = "skiff-test/helper:" + randomName()
	testImageOnce sync.Once
	testImageErr  error
	testImageMade *Engine
)

func testImage(t testing.TB, e *Engine) {
	t.Helper()
	testImageOnce.Do(func() {
		testImageErr = makeTestImage(e)
		testImageMade = e
	})
	if testImageErr != nil {
		t.Fatal(testImageErr)
	}
}

func makeTestImage(e *Engine) error {
	ctx := context.Background()
	info, err := e.Info(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "skiff-helper-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "helper")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, "./testdata/helper")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+info.Arch)
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build helper: %w\n%s", err, out)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	config := imageConfig{
		Entrypoint: []string{"/helper"}, Env: []string{"GREETING=image"},
		Labels: map[string]string{"from": "image"}, StopSignal: "SIGUSR1",
	}
	archive, err := imageArchive(testImageRef, info.Arch, config, file{"helper", 0o555, content})
	if err != nil {
		return err
	}
	return e.load(ctx, testImageRef, archive)
}

func removeTestImage() error {
	if testImageMade == nil {
		return nil
	}
	defer testImageMade.Close()
	return removeImage(testImageMade, testImageRef)
}

func removeImage(e *Engine, ref string) error {
	return e.call(context.Background(), "image_remove", ref, func(ctx context.Context, c *client.Client) error {
		_, err := c.ImageRemove(ctx, ref, image.RemoveOptions{})
		return err
	})
}
